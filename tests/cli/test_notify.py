"""`reconcile apply` tells whoever is to hear of it, and its exit code stays what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from reconciler.errors import ExitCode
from tests.cli.support import Place, in_terminal
from tests.runs.receiver import Receiver, receiving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def receiver(own_place: Place) -> Iterator[Receiver]:
    """A web server on this machine, whose addresses are set."""
    with receiving() as one:
        own_place.set(RECONCILER_NOTIFY=one.notify, RECONCILER_HEARTBEAT_URL=one.heartbeat)
        yield one


def test_a_good_night(own_place: Place, receiver: Receiver) -> None:
    """One heartbeat each, also where there is nothing to do; no message."""
    assert own_place.run("apply", "--auto-approve").code == ExitCode.DONE
    assert own_place.run("apply", "--auto-approve").code == ExitCode.DONE
    assert (len(receiver.gets), receiver.messages) == (2, [])


def test_planning_is_no_night(own_place: Place, receiver: Receiver) -> None:
    """Only `apply` tells."""
    own_place.plan()
    assert (receiver.gets, receiver.messages) == ([], [])


def test_a_night_that_is_held(own_place: Place, receiver: Receiver) -> None:
    """The plan's id, what was done and what was held, the exit code; and nobody's name or address."""
    limits = own_place.own_rules() / "limits.yaml"
    limits.write_text(
        limits.read_text("utf-8").replace("create: {percent: 10, floor: 100}", "create: {hard: 0}"), "utf-8"
    )
    done = own_place.run("apply", "--auto-approve")
    assert done.code == ExitCode.HELD
    (one,) = receiver.messages
    assert one["title"] == "reconcile apply: held or refused something"
    assert one["message"].splitlines()[0] == f"Plan: {own_place.newest().id}"
    assert "7 done, 0 stale, 1 held, 0 failed, 0 unknown" in one["message"]
    assert one["message"].endswith("Exit code: 3")
    assert "@" not in str(one)
    assert receiver.gets == []


def test_a_night_that_fails(own_place: Place, receiver: Receiver) -> None:
    """The kind of the error alone: its text may name a host."""
    own_place.set(RECONCILER_SOURCE="sqlite:///nowhere.db")
    done = own_place.run("apply", "--auto-approve")
    assert done.code == ExitCode.ERROR
    (one,) = receiver.messages
    assert one["title"].startswith("reconcile apply: failed with Source")
    assert one["message"].endswith("Exit code: 1")
    assert "nowhere" not in str(one)
    assert receiver.gets == []


def test_a_night_that_may_not_begin(own_place: Place, receiver: Receiver) -> None:
    """Paused and forgotten is a night that did not run: somebody is told."""
    own_place.set(RECONCILER_PAUSED="true")
    assert own_place.run("apply", "--auto-approve").code == ExitCode.PAUSED
    assert [one["title"] for one in receiver.messages] == ["reconcile apply: failed with Paused"]
    assert receiver.gets == []


def test_wrong_usage_tells_nobody(own_place: Place, receiver: Receiver) -> None:
    """A mistyped line is its typist's own business."""
    assert own_place.run("apply", "--no-such-option").code == ExitCode.USAGE
    assert own_place.run("apply").code == ExitCode.USAGE
    assert (receiver.gets, receiver.messages) == ([], [])


def test_who_says_no_tells_nobody(own_place: Place, receiver: Receiver) -> None:
    """Exit 0, but no night: nothing was applied."""
    assert in_terminal(own_place, "apply", answer="no\n").code == ExitCode.DONE
    assert (receiver.gets, receiver.messages) == ([], [])


def test_what_cannot_be_told_changes_nothing(own_place: Place, receiver: Receiver) -> None:
    """A log line each; the exit code is the night's."""
    receiver.status = 500
    done = own_place.run("apply", "--auto-approve")
    assert done.code == ExitCode.DONE
    assert "heartbeat was not taken" in done.err
    own_place.set(RECONCILER_PAUSED="true")
    done = own_place.run("apply", "--auto-approve")
    assert done.code == ExitCode.PAUSED
    assert "notification was not sent" in done.err
    assert "hook" not in done.err


# The canary


def plan_against_blocked_people(place: Place) -> str:
    """The id of a plan that creates sixty contacts, each of which Intercom will refuse: all were blocked since."""
    place.new_members(60)
    made = place.plan("--rule", "create-missing")
    assert (made.summary.create, len(made.actions)) == (60, 60)
    people = [{"role": "user", "external_id": f"{200_000 + number}", "_blocked": True} for number in range(60)]
    place.simulator.seed([json.dumps(one).encode() for one in people])
    return made.id


def creates(place: Place) -> int:
    """How often a create was sent."""
    return sum(1 for call in place.simulator.calls if (call.method, call.path) == ("POST", "/contacts"))


def test_apply_begins_with_a_canary(own_place: Place) -> None:
    """Ten refusals, and the other members are left as they are; the outcome says why."""
    done = own_place.run("apply", plan_against_blocked_people(own_place))
    assert done.code == ExitCode.PARTIAL
    assert "10 of 10 actions that were sent failed or ended unknown: more than 2%" in " ".join(done.out.split())
    assert creates(own_place) == 10


def test_apply_without_a_canary(own_place: Place) -> None:
    """All at once, until more than 20 have failed."""
    done = own_place.run("apply", plan_against_blocked_people(own_place), "--no-canary", "--max-parallel", "1")
    assert done.code == ExitCode.PARTIAL
    assert "21 of 21 actions that were sent failed or ended unknown: more than 20" in " ".join(done.out.split())
    assert creates(own_place) == 21
