"""CSV that a spreadsheet opens without running anything, and that comes back as it was."""

from __future__ import annotations

import csv
import re
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from reconciler.core.plan import Plan
from reconciler.report.sheet import COLUMNS, cell, cell_text, plan_csv
from tests.report.plans import HOSTILE, every_kind, hostile, make_action, make_plan, over_the_limit
from tests.support.plans import PLANS

STARTS_A_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""OWASP, CSV injection; and the same in full width."""

CELLS = st.text(max_size=20) | st.builds(
    "{}{}{}".format,
    st.sampled_from(["", " ", "'", '"', "\t", "\r\n", "\u00a0", "\ufeff", "a;", 'x","', "\x00", ";'"]),
    st.sampled_from(STARTS_A_FORMULA),
    st.text(max_size=8) | st.sampled_from(["1+1", 'HYPERLINK("http://evil.example")', "cmd|' /C calc'!A0"]),
)


def rows(written: str) -> list[dict[str, str]]:
    """The table as the csv module reads it, cells as they stand there."""
    return list(csv.DictReader(StringIO(written, newline="")))


@settings(max_examples=400)
@given(text=CELLS)
def test_no_cell_is_a_formula(text: str) -> None:
    """No text begins a formula, alone or behind a separator that another setting would split at, or ends a line."""
    written = cell(text)
    assert not written.lstrip(" \"'").startswith(STARTS_A_FORMULA) or written.startswith("'")
    for part in re.split("[;,|\t]", written)[1:]:
        assert not part.lstrip(" \"'").startswith(STARTS_A_FORMULA)
    assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e]", written)


@settings(max_examples=400)
@given(text=CELLS)
def test_every_cell_comes_back(text: str) -> None:
    """Written, read by the csv module and taken back, a value is what it was."""
    line = StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow([cell(text), "x"])
    assert [cell_text(one) for one in next(csv.reader(StringIO(line.getvalue(), newline="")))] == [text, "x"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("+17654657031", "'+17654657031"),
        ("(765) 465-7031", "(765) 465-7031"),
        ("Smith-Jones", "Smith-Jones"),
        ("O'Brien", "O'Brien"),
        ("'quoted'", "''quoted'"),
        ("President, Area Representative", "President, Area Representative"),
        ("=1+1", "'=1+1"),
        ("a;=1+1", "a\\u003b=1+1"),
        ("two\nlines", "two\\nlines"),
        ("nul\x00", "nul\\u0000"),
        (-5, "'-5"),
        (5, "5"),
        (True, "true"),
        (None, ""),
        ("", ""),
    ],
)
def test_how_values_look(value: object, written: str) -> None:
    """What is harmless stays as it is; a phone keeps its digits behind an apostrophe."""
    assert cell(value) == written  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [every_kind, over_the_limit, hostile, make_plan], ids=lambda make: make.__name__)
def test_whole_output(make: object, snapshot: SnapshotAssertion) -> None:
    """The table of a plan is what was reviewed."""
    assert callable(make)
    assert plan_csv(make()).replace("\r\n", "\n") == snapshot


@settings(max_examples=10)
@given(plan=PLANS)
def test_everything_is_in_the_table(plan: Plan) -> None:
    """A row for each field of each action, one for an action that sets none; the same for findings and evidence."""
    found = rows(plan_csv(plan))
    said = [
        (row["what"], cell_text(row["id"]), cell_text(row["field"]), cell_text(row["before"]), cell_text(row["after"]))
        for row in found
        if row["what"] != "seen"
    ]
    wanted = [
        ("action", action.id, field, cell_text(cell(before)), cell_text(cell(after)))
        for action in plan.actions
        for field, before, after in (
            [(field, action.expect.get(field), value) for field, value in action.set.items()] or [("", None, None)]
        )
    ]
    wanted += [
        ("finding", finding.id, one[0], cell_text(cell(one[1])), "")
        for finding in plan.open_findings()
        for one in ([(one.field, one.value) for one in finding.evidence] or [("", None)])
    ]
    assert said == wanted


def test_whose_contact_goes_away_is_seen() -> None:
    """An archive says whose it is: what the contact holds and keeps; no other action says more than it changes."""
    archive = make_action(1, "archive", expect={"name": "Ann Lee", "email": "a@b.example"}, set={"email": None})
    found = [(row["what"], row["field"], row["before"]) for row in rows(plan_csv(make_plan(archive, make_action(2))))]
    assert found[:2] == [("action", "email", "a@b.example"), ("seen", "name", "Ann Lee")]
    assert {what for what, *_ in found[2:]} == {"action"}


def test_the_text_is_rfc_4180() -> None:
    """Every cell is quoted, lines end in CR LF, each has as many cells as the header; nothing else ends a line."""
    written = plan_csv(hostile())
    assert written.startswith('"plan","what","id",')
    lines = written.removesuffix("\r\n").split("\r\n")
    assert len(lines) == 1 + len(rows(written))
    assert all(len(next(csv.reader([line]))) == len(COLUMNS) for line in lines)
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f]", written)


def test_hostile_names_come_back() -> None:
    """Names that try to break out are in the table, to the letter, once they are read as `cell_text` says."""
    plan = make_plan(*(make_action(at, set={"name": name}) for at, name in enumerate(HOSTILE)))
    assert [cell_text(row["after"]) for row in rows(plan_csv(plan))] == list(HOSTILE)
