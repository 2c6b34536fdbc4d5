"""Limits with memory: what earlier nights did counts in the plan of tonight."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from reconciler.core.actions import Outcome
from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from tests.cli.support import Place
from tests.report.plans import make_action, make_plan


def test_two_systems_that_fight_over_a_field(own_place: Place) -> None:
    """Another system puts the name back after each night: three writes, then nothing more, and a finding (B20)."""
    own_place.run("apply", "--auto-approve")
    contact = next(one.contact for one in own_place.newest().actions if one.do == "update")
    assert contact is not None
    for number in range(3):
        own_place.change_name(contact, f"Somebody Else {number}")  # each another, or two plans of one second are one
        assert own_place.run("apply", "--auto-approve").code == ExitCode.DONE
        assert [action.contact for action in own_place.newest().actions] == [contact]
    effects = len(own_place.effects())
    own_place.change_name(contact, "Somebody Else")
    own_place.run("apply", "--auto-approve")
    made = own_place.newest()
    assert made.actions == ()
    (frozen,) = [one for one in made.findings if "frozen" in one.says]
    assert (frozen.contact, frozen.rule, frozen.severity) == (contact, "update-attributes", "review")
    assert "field name flipped" in frozen.says
    assert len(own_place.effects()) == effects + 1  # the other system's


def test_the_same_few_fail_every_night(slow_place: Place) -> None:
    """The canary of the first night stops at them; in the second they come last, and everybody else gets theirs."""
    blocked = [{"role": "user", "external_id": f"20000{number}", "_blocked": True} for number in range(3)]
    slow_place.simulator.seed([json.dumps(one).encode() for one in blocked])
    first = slow_place.run("apply", "--auto-approve")
    assert (first.code, len(slow_place.effects())) == (ExitCode.PARTIAL, 7)
    assert "stopped, because 3 of 10 actions that were sent failed" in first.out
    second = slow_place.run("apply", "--auto-approve")
    assert (second.code, len(slow_place.effects())) == (ExitCode.PARTIAL, 57)


def test_archives_of_the_week(own_place: Place) -> None:
    """Four hundred in the last days, and tonight's one waits; the plan says for what."""
    earlier = make_plan(make_action(1), id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-00000000")
    done = tuple(Outcome(action=f"a{n}", do="archive", outcome="done", contact=f"c{n}") for n in range(400))
    store = PlanStore(str(own_place.folder / "plans"))
    store.put_outcome(earlier, done, started_at=datetime.now(UTC), finished_at=datetime.now(UTC))
    made = own_place.plan()
    archives = [action.id for action in made.actions if action.do == "archive"]
    assert archives
    assert all("over 400 in 7 days" in made.held()[one] for one in archives)
