"""`reconcile apply` tells whoever is to hear of it, and its exit code stays what it was."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from dbos import DBOSClient

from reconciler.errors import ExitCode
from tests.cli.support import Done, Place, in_terminal
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


# The webhook


def set_up_webhook(place: Place, *, last_event: timedelta) -> None:
    """The secret is set, the service first ran 30 days ago, and its last event came in so long ago."""
    place.set(INTERCOM_CLIENT_SECRET="canary-client-secret-31")
    state = f"sqlite:///{place.folder / 'plans' / 'state.sqlite'}"
    books = DBOSClient(system_database_url=state, application_name="reconciler-web")
    books.register_queue("reconciler.events")
    books.enqueue({"workflow_name": "reconciler.event", "queue_name": "reconciler.events"})
    books.destroy()
    for table, age in (("queues", timedelta(days=30)), ("workflow_status", last_event)):
        with closing(sqlite3.connect(place.folder / "plans" / "state.sqlite")) as connection, connection:
            connection.execute(f"UPDATE {table} SET created_at = created_at - {age.total_seconds() * 1000:.0f}")


def warnings(done: Done) -> list[str]:
    """The lines on stderr that warn."""
    return [line for line in done.err.splitlines() if line.startswith("Warning:")]


def test_a_night_on_which_the_webhook_is_silent(own_place: Place, receiver: Receiver) -> None:
    """One line and one message, which name the next step; exit code and heartbeat are those of a good night."""
    own_place.run("apply", "--auto-approve")
    set_up_webhook(own_place, last_event=timedelta(hours=25))
    done = own_place.run("apply", "--auto-approve")
    assert (done.code, len(receiver.gets)) == (ExitCode.DONE, 2)
    [warning] = warnings(done)
    assert warning.startswith("Warning: The webhook is silent: no event has come in since 20")
    assert "suspends" in warning
    assert "Run `reconcile doctor`" in warning
    [one] = receiver.messages
    assert one["title"] == "reconcile apply: the webhook is silent"
    assert one["message"].splitlines()[-2:] == ["Exit code: 0", warning.removeprefix("Warning: ")]


def test_a_silent_webhook_beside_another_trouble(own_place: Place, receiver: Receiver) -> None:
    """A night that fails still tells of it, in the one message that it sends."""
    own_place.run("apply", "--auto-approve")
    set_up_webhook(own_place, last_event=timedelta(days=7))
    own_place.set(RECONCILER_PAUSED="true")
    done = own_place.run("apply", "--auto-approve")
    assert (done.code, len(warnings(done))) == (ExitCode.PAUSED, 1)
    assert [one["title"] for one in receiver.messages] == ["reconcile apply: failed with Paused, the webhook is silent"]


def test_nights_on_which_nobody_waits_for_events(own_place: Place, receiver: Receiver) -> None:
    """Nothing is said: a fresh installation with the secret set, an event of today, no secret, the other target."""
    own_place.set(INTERCOM_CLIENT_SECRET="canary-client-secret-31")
    assert warnings(own_place.run("apply", "--auto-approve")) == []
    assert warnings(own_place.run("apply", "--auto-approve")) == []
    set_up_webhook(own_place, last_event=timedelta(hours=23))
    assert warnings(own_place.run("apply", "--auto-approve")) == []
    set_up_webhook(own_place, last_event=timedelta(hours=23))  # both are older now; the newer one counts
    assert warnings(own_place.run("apply", "--auto-approve")) == []
    own_place.set(INTERCOM_CLIENT_SECRET=None)
    with closing(sqlite3.connect(own_place.folder / "plans" / "state.sqlite")) as connection, connection:
        connection.execute("UPDATE workflow_status SET created_at = 0")
    assert warnings(own_place.run("apply", "--auto-approve")) == []
    own_place.set(INTERCOM_CLIENT_SECRET="canary-client-secret-31")
    assert len(warnings(own_place.run("apply", "--auto-approve"))) == 1
    assert warnings(own_place.run("apply", "--target", "positions", "--auto-approve")) == []
    assert receiver.messages[0]["title"] == "reconcile apply: the webhook is silent"


def test_a_state_database_that_cannot_be_asked(own_place: Place, receiver: Receiver) -> None:
    """It is the night's own trouble, said once."""
    own_place.set(INTERCOM_CLIENT_SECRET="canary-client-secret-31")
    (own_place.folder / "plans").mkdir(exist_ok=True)
    (own_place.folder / "plans" / "state.sqlite").write_bytes(b"x" * 4096)
    done = own_place.run("apply", "--auto-approve")
    assert (done.code, done.err.count("Error:")) == (ExitCode.ERROR, 1)
    assert [one["title"] for one in receiver.messages] == ["reconcile apply: failed with StateError"]


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
