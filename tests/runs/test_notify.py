"""Who hears of a night: a message where something needs a person, a heartbeat after a good one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from reconciler.core.actions import Outcome
from reconciler.core.outcome import Counts, RunOutcome, count
from reconciler.errors import ExitCode
from reconciler.runs.notify import Night, message, night_of, reasons, tell, with_earlier
from tests.runs.receiver import Receiver, receiving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""apprise's mail plug-in imports it, where Python still has it."""

PLAN = "20261123T023000Z-8f3a1c5e"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server on this machine."""
    with receiving() as one:
        yield one


def night(exit_code: int = ExitCode.DONE, **fields: Any) -> Night:
    """A night, quiet but for what is said."""
    fields.setdefault("plan", PLAN)
    return Night(exit_code=exit_code, **fields)


HELD = night(ExitCode.HELD, counts=Counts(done=3, held=2))


@pytest.mark.parametrize(
    ("one", "why", "reason"),
    [
        (night(counts=Counts(done=900)), (), "a good night is no news"),
        (night(ExitCode.ERROR, error="SourceIncomplete"), ("failed with SourceIncomplete",), "an error"),
        (night(ExitCode.PAUSED, error="LockHeld"), ("failed with LockHeld",), "one that could not begin"),
        (HELD, ("held or refused something",), "a limit held a class"),
        (night(ExitCode.HELD), ("held or refused something",), "a guard refused the plan as a whole"),
        (night(ExitCode.PARTIAL, counts=Counts(held=200)), ("held or refused something",), "a run that gave up"),
        (night(ExitCode.PARTIAL, counts=Counts(failed=60, unknown=40)), (), "100 failures: the summary tells"),
        (night(ExitCode.PARTIAL, counts=Counts(failed=60, unknown=41)), ("101 failures",), "one more"),
        (night(ExitCode.PARTIAL, counts=Counts(stale=500)), (), "people edited"),
        (night(silence="The webhook is silent: …"), ("the webhook is silent",), "the night is good all the same"),
        (night(archived=50), (), "50 archived"),
        (night(archived=51), ("51 archived",), "one more, however good the night"),
        (
            night(ExitCode.PARTIAL, archived=60, counts=Counts(held=1)),
            ("held or refused something", "60 archived"),
            "two",
        ),
    ],
)
def test_when_a_person_hears_of_it(one: Night, why: tuple[str, ...], reason: str) -> None:
    """Failed, held, over 100 failures, over 50 archived; nothing else wakes anybody."""
    assert reasons(one) == why, reason


def test_a_night_in_numbers() -> None:
    """Archived and merged contacts count once done; names are in none of it."""
    verdicts = [("archive", "done"), ("archive", "stale"), ("merge", "done"), ("create", "done"), ("update", "failed")]
    outcomes = tuple(
        Outcome(action=str(number), do=do, outcome=verdict, contact="c1", says="x", sent={"name": "Ann Lee"})  # type: ignore[arg-type]
        for number, (do, verdict) in enumerate(verdicts)
    )
    run = RunOutcome(
        plan=PLAN, plan_digest="", started_at="", finished_at="", summary=count(outcomes), outcomes=outcomes
    )
    found = night_of(run, exit_code=4)
    assert found == Night(exit_code=4, plan=PLAN, counts=Counts(done=3, stale=1, failed=1), archived=2)
    assert message(found) == (
        f"Plan: {PLAN}\nActions: 3 done, 1 stale, 0 held, 1 failed, 0 unknown\nArchived or merged: 2\nExit code: 4"
    )


@pytest.mark.parametrize(("plan", "held"), [(PLAN, 1), (None, 3)], ids=["planned anew", "no plan after it"])
def test_a_night_that_settled_a_run_before(plan: str | None, held: int) -> None:
    """What an interrupted run did on being brought to its end is this night's: nobody else would tell of it."""
    outcomes = tuple(Outcome(action=str(number), do="archive", outcome="done", contact="c1") for number in range(40))
    counts = Counts(done=40, held=2, unknown=1)
    times = {"started_at": "", "finished_at": ""}
    run = RunOutcome(plan="earlier", plan_digest="", summary=counts, outcomes=outcomes, **times)
    found = with_earlier(night(plan=plan, archived=20, counts=Counts(done=20, held=1)), [run])
    assert (found.archived, found.counts) == (60, Counts(done=60, held=held, unknown=1))
    assert "60 archived" in reasons(found)
    assert "Brought to their end before: earlier" in message(found).splitlines()


@pytest.mark.parametrize("between", [" ", ", ", ","])
def test_each_receiver_gets_one_message(receiver: Receiver, between: str) -> None:
    """Counts, plan and exit code; several addresses with spaces or commas between."""
    tell(HELD, notify=between.join([receiver.notify, f"{receiver.notify}/2"]), heartbeat=receiver.heartbeat)
    assert [one["title"] for one in receiver.messages] == ["reconcile apply: held or refused something"] * 2
    assert receiver.messages[0]["message"] == message(HELD)
    assert receiver.gets == []


def test_a_good_night_is_a_heartbeat_and_no_message(receiver: Receiver) -> None:
    """Once, at the address as it was given."""
    tell(night(), notify=receiver.notify, heartbeat=receiver.heartbeat)
    assert (receiver.messages, receiver.gets) == ([], ["/beat/secret-path"])


def test_a_good_night_may_be_both(receiver: Receiver) -> None:
    """Many archives, all of them done: it did run, and somebody looks at it."""
    tell(night(archived=51), notify=receiver.notify, heartbeat=receiver.heartbeat)
    assert (len(receiver.messages), len(receiver.gets)) == (1, 1)


@pytest.mark.parametrize("code", [code for code in ExitCode if code != ExitCode.DONE])
def test_no_other_night_is_a_heartbeat(receiver: Receiver, code: int) -> None:
    """Whoever waits for the heartbeat misses it."""
    tell(night(code), notify=None, heartbeat=receiver.heartbeat)
    assert receiver.gets == []


def test_nothing_is_set(receiver: Receiver) -> None:
    """Then nobody is told."""
    tell(night(ExitCode.HELD), notify=None, heartbeat=None)
    tell(night(), notify=None, heartbeat=None)
    assert (receiver.messages, receiver.gets) == ([], [])


def test_the_heartbeat_is_not_sent_elsewhere(receiver: Receiver) -> None:
    """An address that sends us on is not the one that was set, and is not taken for an answer."""
    receiver.status, receiver.location = 302, f"http://127.0.0.1:{receiver.port}/elsewhere"
    with capture_logs() as logged:
        tell(night(), notify=None, heartbeat=receiver.heartbeat)
    assert receiver.gets == ["/beat/secret-path"]
    assert [(one["event"], one["status"]) for one in logged] == [("heartbeat was not taken", 302)]


@pytest.mark.parametrize(
    ("notify", "heartbeat", "reason"),
    [
        ("json://127.0.0.1:9/secret-path", "http://127.0.0.1:9/secret-path", "nobody listens"),
        ("nosuch://secret-path", "http://[secret-path", "no address"),
        ("secret-path", "secret-path", "no URL"),
    ],
)
def test_what_cannot_be_told_is_logged(
    notify: str,
    heartbeat: str,
    reason: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A line each, without the address, which is a secret; and no error."""
    with capture_logs() as logged:
        tell(HELD, notify=notify, heartbeat=None)
        tell(night(), notify=None, heartbeat=heartbeat)
    events = [one["event"] for one in logged]
    assert events[-2:] == ["notification was not sent", "heartbeat was not sent"], reason
    assert "secret-path" not in f"{logged}{capfd.readouterr()}{caplog.text}", reason


def test_a_receiver_that_refuses_is_logged(receiver: Receiver) -> None:
    """A status that is no success: the message is lost, and the log says so."""
    receiver.status = 500
    with capture_logs() as logged:
        tell(HELD, notify=receiver.notify, heartbeat=None)
        tell(night(), notify=None, heartbeat=receiver.heartbeat)
    assert [one["event"] for one in logged] == ["notification was not sent", "heartbeat was not taken"]
