"""An explanation as people read it, whole, for each kind of decision."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from reconciler.core.explain import explain
from reconciler.core.explain.explanation import Explanation
from reconciler.core.explain.from_plan import subject_of
from reconciler.report.explain import explanation_text
from tests.report.explained import KINDS, Explained, archive, update
from tests.report.plans import HOSTILE, every_kind


def told(one: Explained) -> Explanation:
    """The explanation of whom a plan is asked about."""
    subject = subject_of(one.plan, one.ref)
    assert subject is not None
    return explain(one.plan, subject, run=one.run)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_whole_text(kind: Callable[[], Explained], snapshot: SnapshotAssertion) -> None:
    """What a person reads, from the verdict to what would flip it."""
    assert explanation_text(told(kind()), width=100) == snapshot


def test_whole_data(snapshot: SnapshotAssertion) -> None:
    """`--json` says the same, for scripts."""
    assert msgspec.json.format(msgspec.json.encode(told(archive())), indent=2).decode() == snapshot


def test_colour_changes_no_text() -> None:
    """Colour is laid over the same text."""
    one = told(update())
    coloured = explanation_text(one, colour=True)
    assert "\x1b" in coloured
    bare = "".join(part.partition("m")[2] if at else part for at, part in enumerate(coloured.split("\x1b[")))
    assert bare == explanation_text(one)


def test_plan_that_kept_nothing_is_told_as_far_as_it_goes(snapshot: SnapshotAssertion) -> None:
    """An undo, or a plan of another target: its actions and findings, and that no more can be said."""
    plan = every_kind()
    subject = subject_of(plan, "10002")
    assert subject is not None
    assert explanation_text(explain(plan, subject)) == snapshot


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_break_out_of_no_line(name: str) -> None:
    """A name is shown as text, whatever it holds, and no line is wider than asked for."""
    one = told(update())
    story = msgspec.structs.replace(one.contacts[0], values={"name": name}, says=name)
    flip = msgspec.structs.replace(one.flips[0], change=name, becomes=name)
    text = explanation_text(msgspec.structs.replace(one, contacts=(story,), flips=(flip,), against=(name,)), width=80)
    assert text.isprintable() or set(text) - {"\n"} == {char for char in text if char.isprintable()}
    assert all(cell_len(line) <= 80 for line in text.splitlines())
