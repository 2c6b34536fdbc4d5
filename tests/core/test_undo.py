"""What an undo may not take back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.core.limits import Accepted
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.rules import Limits
from reconciler.core.undo import undo_plan
from tests.report.plans import make_plan


@pytest.mark.parametrize(("sent", "kinds"), [({}, []), ({"external_id": "1"}, ["archive"])])
def test_a_contact_that_was_there_already_is_not_archived(sent: dict[str, str], kinds: list[str]) -> None:
    """A create that found the contact as wanted sent nothing: taking it back would archive somebody's own contact."""
    action = Action(id="c-1", do="create", member="1", set={"external_id": "1"})
    outcomes = (Outcome("c-1", "create", "done", contact="c9", member="1", sent=dict(sent)),)
    made = make_plan(action)
    run = RunOutcome(
        plan=made.id, plan_digest="", started_at="", finished_at="", summary=count(outcomes), outcomes=outcomes
    )
    now = datetime(2026, 11, 24, tzinfo=UTC)
    back = undo_plan(made, run, now=now, tool="t", limits=Limits(), accepted=Accepted(), previous=None)
    assert [one.do for one in back.actions] == kinds
    assert len(back.findings) == 1
