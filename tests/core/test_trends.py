"""One line a run, and where the numbers go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.actions import Because, Outcome
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.seen import Basis
from reconciler.core.trends import Run, Trend, in_time, outcome_at_a_glance, plan_at_a_glance, run_of, trends
from reconciler.core.undo import takes_back
from reconciler.errors import PlanUnreadable
from tests.report.plans import make_action, make_finding, make_plan, refused
from tests.support.builders import default_rules
from tests.support.plans import PLANS


def line(plan: Plan | None, *verdicts: Any) -> Run | None:
    """The line of a plan and of a run that ended so, both read as they are stored."""
    glance = None if plan is None else plan_at_a_glance(plan_file.encode(plan), where="x")
    if not verdicts:
        return run_of(glance, None, applied=False)
    outcomes = tuple(Outcome(f"u-{at}", "update", verdict) for at, verdict in enumerate(verdicts))
    run = RunOutcome(
        plan="p1",
        plan_digest="",
        started_at="2026-01-01T00:00:00Z",
        finished_at="",
        summary=count(outcomes),
        outcomes=outcomes,
    )
    return run_of(glance, outcome_at_a_glance(outcome_file.encode(run), where="x"), applied=True)


def told(run: Run | None) -> dict[str, Any]:
    """The numbers of a line."""
    assert run is not None
    return {name: getattr(run, name) for name in Run.__struct_fields__[3:]}


DUPLICATES = tuple(make_finding(at, rule="archive-duplicates") for at in range(3))
NIGHT = make_plan(make_action(1), make_action(2, "promote"), make_action(3, "archive"), findings=DUPLICATES)
TAKING_BACK = make_plan(make_action(1, because=(Because("undo", "f-1"),)))


@pytest.mark.parametrize(
    ("plan", "verdicts", "wanted"),
    [
        (
            NIGHT,
            ["done", "failed", "unknown", "stale", "held"],
            {
                "state": "applied",
                "takes_back": False,
                "narrowed": False,
                "planned": 3,
                "done": 1,
                "failed": 2,
                "stale": 1,
                "held": 1,
                "duplicates": 3,
                "drift": 2,
            },
        ),
        (
            NIGHT,
            [],
            {
                "state": "not applied",
                "takes_back": False,
                "narrowed": False,
                "planned": 3,
                "done": None,
                "failed": None,
                "stale": None,
                "held": 0,
                "duplicates": 3,
                "drift": 2,
            },
        ),
        (
            refused(),
            [],
            {
                "state": "refused",
                "takes_back": False,
                "narrowed": False,
                "planned": 0,
                "done": None,
                "failed": None,
                "stale": None,
                "held": 0,
                "duplicates": None,
                "drift": None,
            },
        ),
        (
            TAKING_BACK,
            ["done"],
            {
                "state": "applied",
                "takes_back": True,
                "narrowed": False,
                "planned": 1,
                "done": 1,
                "failed": 0,
                "stale": 0,
                "held": 0,
                "duplicates": None,
                "drift": None,
            },
        ),
        (
            None,
            ["done", "held"],
            {
                "state": "applied",
                "takes_back": False,
                "narrowed": False,
                "planned": 2,
                "done": 1,
                "failed": 0,
                "stale": 0,
                "held": 1,
                "duplicates": None,
                "drift": None,
            },
        ),
    ],
    ids=["a night", "not applied", "refused", "taking back", "without its plan"],
)
def test_the_line_of_a_run(plan: Plan | None, verdicts: list[Any], wanted: dict[str, Any]) -> None:
    """What is known is counted; what nobody knows, or what says nothing of the union, is left open and not 0."""
    assert told(line(plan, *verdicts)) == wanted


def test_an_outcome_that_cannot_be_read() -> None:
    """A plan that was applied is not called unapplied because its outcome is damaged."""
    run = run_of(plan_at_a_glance(plan_file.encode(NIGHT), where="x"), None, applied=True)
    assert run is not None
    assert (run.state, run.done) == ("outcome not read", None)


def test_two_records_that_cannot_be_read_are_no_run() -> None:
    """They are named elsewhere."""
    assert line(None) is None


@settings(max_examples=20)
@given(plan=PLANS)
def test_a_glance_sees_what_a_reader_sees(plan: Plan) -> None:
    """For any plan at all, what is read at a glance is what stands in it."""
    glance = plan_at_a_glance(plan_file.encode(plan), where="x")
    assert (glance.id, glance.created_at, glance.applyable, glance.summary) == (
        plan.id,
        plan.created_at,
        plan.applyable,
        plan.summary,
    )
    assert [one.rule for one in glance.findings] == [one.rule for one in plan.findings]
    assert len(glance.actions) == len(plan.actions)
    assert glance.takes_back == takes_back(plan)


def test_a_plan_of_another_release_is_refused() -> None:
    """Its numbers may mean something else."""
    other = plan_file.encode(NIGHT).replace(b"reconciler.plan/1", b"reconciler.plan/9")
    with pytest.raises(PlanUnreadable, match="plan/9"):
        plan_at_a_glance(other, where="x")


FILES = {name: text for name, text in default_rules().files.items() if name != "mappings.yaml"}
OFF_BY_FILE = FILES | {"findings.yaml": FILES["findings.yaml"].replace("then: promote ", "then: off ")}
TOLD = [
    ("a whole night", Basis(files=FILES), False),
    ("a rule is off in the files", Basis(files=OFF_BY_FILE, off=("promote-lead",)), False),
    ("--rule", Basis(files=OFF_BY_FILE, off=("promote-lead", "archive-duplicates")), True),
    ("--only, or an event", Basis(files=FILES, only=("1",)), True),
    ("--exclude", Basis(files=FILES, exclude=("1",)), True),
    ("--limit", Basis(files=FILES, limit=1), True),
    ("rules of another release", Basis(files={"findings.yaml": "new: rule"}, off=("new",)), True),
]


@pytest.mark.parametrize(("basis", "narrowed"), [case[1:] for case in TOLD], ids=[case[0] for case in TOLD])
def test_a_narrowed_plan_tells_neither_duplicates_nor_drift(basis: Basis, narrowed: bool) -> None:
    """Three duplicates among all are not fewer because a plan of one member, or of one rule, names none of them."""
    run = line(msgspec.structs.replace(NIGHT, basis=basis))
    assert run is not None
    assert run.narrowed is narrowed
    assert (run.planned, run.duplicates, run.drift) == ((3, None, None) if narrowed else (3, 3, 2))


def test_what_a_run_is_for() -> None:
    """As the plan says; of one that is not stored here, nobody knows."""
    for plan, target in ((NIGHT, "contacts"), (make_plan(target="positions"), "positions"), (None, None)):
        run = line(plan, "done")
        assert run is not None
        assert run.target == target


def run_at(day: int, **numbers: Any) -> Run:
    """A run of one day."""
    unknown = dict.fromkeys(("done", "failed", "stale", "duplicates", "drift"))
    return Run(
        **{
            "plan": f"p{day}",
            "at": f"2026-01-{day:02}T02:30:00Z",
            "target": "contacts",
            "state": "applied",
            "takes_back": False,
            "narrowed": False,
            "planned": 0,
            "held": 0,
            **unknown,
            **numbers,
        }
    )


def test_trends_leave_out_what_nobody_knows() -> None:
    """A refused night is no night without duplicates; a measure that no run knows has no trend."""
    runs = [run_at(1, duplicates=5), run_at(2), run_at(3, duplicates=9), run_at(4, duplicates=2, drift=7)]
    assert trends(runs) == (Trend("duplicates", 3, 5, 2, 2, 9), Trend("drift", 1, 7, 7, 7, 7))
    assert trends(runs)[0].change == -3
    assert trends([]) == ()


def test_runs_are_in_the_order_of_time() -> None:
    """Whatever their ids are."""
    late, early = run_at(2), run_at(1)
    assert in_time([late, early]) == (early, late)
