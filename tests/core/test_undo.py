"""What an undo may not take back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.core.guards import Accepted
from reconciler.core.model import Member
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.rules import Limits
from reconciler.core.seen import Basis, Seen
from reconciler.core.undo import undo_plan
from tests.report.plans import make_action, make_plan

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def taken_back(made: Plan, *outcomes: Outcome) -> Plan:
    """The plan that takes back what these outcomes say was done of another."""
    run = RunOutcome(
        plan=made.id, plan_digest="", started_at="", finished_at="", summary=count(outcomes), outcomes=outcomes
    )
    return undo_plan(made, run, now=NOW, tool="t", limits=Limits(), accepted=Accepted(), previous=None)


@pytest.mark.parametrize(("sent", "kinds"), [({}, []), ({"external_id": "1"}, ["archive"])])
def test_a_contact_that_was_there_already_is_not_archived(sent: dict[str, str], kinds: list[str]) -> None:
    """A create that found the contact as wanted sent nothing: taking it back would archive somebody's own contact."""
    action = Action(id="c-1", do="create", member="1", set={"external_id": "1"})
    back = taken_back(make_plan(action), Outcome("c-1", "create", "done", contact="c9", member="1", sent=dict(sent)))
    assert [one.do for one in back.actions] == kinds
    assert len(back.findings) == 1


def test_an_undo_keeps_nothing_that_the_plan_was_decided_on() -> None:
    """It decides nothing, so to explain it by the rows of the other plan would be to make something up."""
    made = make_plan(make_action(), basis=Basis(files={}), seen=(Seen(members=(Member("10001"),)),))
    back = taken_back(made, Outcome(made.actions[0].id, "update", "done", contact=made.actions[0].contact))
    assert (back.basis, back.seen) == (None, ())
