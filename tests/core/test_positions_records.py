"""What reads stored plans reads those for the positions table, too: two nights, and what is made of them."""

from __future__ import annotations

import msgspec

from reconciler.core import erasure
from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.actions import Outcome
from reconciler.core.compare import compare
from reconciler.core.history import NO_HISTORY, PastRun, history_of
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.redact import redacted
from reconciler.core.timeline import Timeline
from reconciler.core.trends import outcome_at_a_glance, plan_at_a_glance, run_of
from reconciler.report.sheet import plan_csv
from tests.support.positions import Pair, plan_of, rows_of, source_of

HELD = [("100", "pres"), ("101", "evp")]
ROWS: list[Pair] = [("100", " pres"), ("101", "evp"), ("999", "facrep"), (" zoe quimby", "facrep")]
"""One is spelt otherwise, one is nobody's, and one has a name in the place of a number."""
NIGHT = plan_of(source_of(HELD), rows_of(ROWS, with_ids=True))
KEY = b"0123456789abcdef"


def run(plan: Plan) -> RunOutcome:
    """All of it was done."""
    outcomes = tuple(
        Outcome(one.id, one.do, "done", member=one.member, row=one.row, sent=one.set or one.expect)
        for one in plan.actions
    )
    return RunOutcome(
        plan=plan.id,
        plan_digest=plan_file.digest_of(plan_file.encode(plan)),
        started_at="2026-11-24T02:16:00Z",
        finished_at="2026-11-24T02:17:00Z",
        summary=count(outcomes),
        outcomes=outcomes,
    )


def test_what_is_shown_without_personal_data() -> None:
    """Numbers, codes and ids of rows stay, so that it can be read; what is neither goes, also from the row's name."""
    hidden = redacted(NIGHT, KEY)
    assert [(one.do, (one.row or "").partition("/")[2]) for one in hidden.actions] == [
        (one.do, (one.row or "").partition("/")[2]) for one in NIGHT.actions
    ]
    assert {one.row for one in hidden.actions} >= {"100/pres", "999/facrep"}
    assert {"member_number": "999", "code": "facrep", "id": "3"} in [one.expect for one in hidden.actions]
    written = plan_file.encode(hidden)
    assert b"zoe quimby" in plan_file.encode(NIGHT)
    assert b"zoe" not in written
    assert NIGHT.inputs.actual.sha256.encode() not in written
    assert plan_file.decode(written, where="x").inputs.rows is not None


def test_what_is_erased() -> None:
    """Values and the digests of all that was read; what stays still proves the same."""
    lines = erasure.lines_of(plan_file.encode(NIGHT))
    keys: list[erasure.Key] = [bytes([at]) * erasure.KEY_BYTES for at in range(erasure.count_items(lines))]
    kept, left = erasure.erase(lines, keys, which=lambda item: item.public.get("member") == "999")
    assert erasure.commitment(kept, left) == erasure.commitment(lines, keys)
    digest = plan_file.digest_of(plan_file.encode(NIGHT))
    data = erasure.encode(erasure.Erased(record=f"{NIGHT.id}.json", record_digest=digest, lines=kept))
    for read in (NIGHT.inputs.members, NIGHT.inputs.positions, NIGHT.inputs.actual):
        assert read.sha256.encode() not in data
    plan = plan_file.decode_erased(erasure.as_record(erasure.decode(data, where="x")), where="x")
    assert {one.row: one.expect.get("code") for one in plan.actions}["999/facrep"] == erasure.ERASED
    assert {one.row: one.expect.get("code") for one in plan.actions}["100/pres"] == " pres"


def test_two_nights_are_compared_row_by_row() -> None:
    """Two rows of one member are two things: the one that went is resolved, the other is there still."""
    old = plan_of(source_of(HELD), rows_of([*ROWS, ("100", "pres"), ("100", "facrep"), ("100", "arearep")]))
    new = plan_of(source_of(HELD), rows_of([*ROWS, ("100", "pres"), ("100", "arearep")]))
    found = {(pair.latest.do, pair.latest.row): pair.status for pair in compare(old, new).actions}
    assert found["delete", "100/facrep"] == "resolved"
    assert found["delete", "100/arearep"] == found["delete", "999/facrep"] == "persistent"


def test_a_member_s_timeline_names_the_row() -> None:
    """What happened to a row is told of its member, and is not taken for something that happened to a contact."""
    timeline = Timeline("999")
    timeline.see(NIGHT, run(NIGHT))
    assert [(one.event, one.do, one.row, one.contact) for one in timeline.events()] == [
        ("planned", "delete", "999/facrep", None),
        ("done", "delete", "999/facrep", None),
    ]
    alone = Timeline("999")
    alone.see(None, run(NIGHT))
    assert [(one.event, one.row) for one in alone.events()] == [("done", "999/facrep")]


def test_rows_are_no_drift_of_contacts() -> None:
    """A row that is put right counts as planned and done, and not as a contact that differs or is there twice."""
    line = run_of(
        plan_at_a_glance(plan_file.encode(NIGHT), where="x"),
        outcome_at_a_glance(outcome_file.encode(run(NIGHT)), where="x"),
        applied=True,
    )
    assert line is not None
    assert line.target == "positions"
    assert (line.planned, line.done, line.duplicates, line.drift) == (
        len(NIGHT.actions),
        len(NIGHT.actions),
        None,
        None,
    )


def test_the_planner_of_contacts_remembers_nothing_of_rows() -> None:
    """Rows written night after night neither freeze a contact nor count towards its limits."""
    assert history_of([PastRun(run(NIGHT))] * 5) == msgspec.structs.replace(
        NO_HISTORY, counts={"archive": 0, "merge": 0}
    )


def test_a_spreadsheet_names_the_row() -> None:
    """In a column of its own."""
    header, *lines = plan_csv(NIGHT).splitlines()
    at = header.split(",").index('"row"')
    assert {line.split(",")[at] for line in lines if '"action"' in line} >= {'"100/pres"', '"999/facrep"'}
