"""A night that finds an interrupted run and brings it to its end: what that run did is the night's as well."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from tests.cli.support import Done, Place, ended
from tests.runs.receiver import Receiver, receiving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

FIRST = "200000"
"""The member that the run created before it was killed."""


@pytest.fixture
def receiver(slow_place: Place) -> Iterator[Receiver]:
    """A web server on this machine, whose addresses are set."""
    with receiving() as one:
        slow_place.set(RECONCILER_NOTIFY=one.notify, RECONCILER_HEARTBEAT_URL=one.heartbeat)
        yield one


def interrupted(place: Place, *options: str) -> str:
    """The id of a plan whose run was killed after some of its sixty creates: in the canary, unless options say no."""
    made = place.plan()
    process = place.start("apply", made.id, "--max-parallel", "4", *options)
    place.wait_for_effects(8, process)
    place.kill(process)
    return made.id


def block_the_rest(place: Place) -> None:
    """Intercom refuses everybody who is not created yet: all were blocked since."""
    there = {one["external_id"] for one in json.loads(place.simulator.state_json())["live"]}
    numbers = [str(200_000 + number) for number in range(60)]
    people = [{"role": "user", "external_id": one, "_blocked": True} for one in numbers if one not in there]
    place.simulator.seed([json.dumps(one).encode() for one in people])


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, ExitCode.STOPPED), (signal.SIGINT, ExitCode.PARTIAL)], ids=lambda one: one.name
)
@pytest.mark.parametrize("named", [False, True], ids=["without a plan", "with another plan"])
def test_stopped_while_it_settles(named: bool, sent: signal.Signals, code: ExitCode, slow_place: Place) -> None:
    """The process leaves: it does not plan for minutes, and uses up no other plan by holding all of it."""
    other = slow_place.plan("--only", "200059")
    first = interrupted(slow_place)
    process = slow_place.start("apply", *([other.id] if named else ["--auto-approve"]), "--max-parallel", "1")
    slow_place.wait_for_effects(len(slow_place.effects()) + 3, process)
    process.send_signal(sent)
    done = ended(process)
    assert done.code == code, str(done)
    store = PlanStore(str(slow_place.folder / "plans"))
    assert sorted(store.list_ids()) == sorted([other.id, first])
    assert {one.says for one in store.get_outcome(first).outcomes if one.outcome == "held"} == {
        f"the run was stopped by {sent.name}"
    }
    again = f"reconcile apply {other.id}" if named else "reconcile apply"
    assert done.err.splitlines()[-1] == f"Stopped by {sent.name}: nothing else was begun. Go on with: {again}"
    assert not store.has_outcome(other.id)


def stopped_while_it_reads_back(place: Place, stop: Callable[[subprocess.Popen[str]], object]) -> tuple[str, Done]:
    """An interrupted run whose one batch is read back, and stopped before all of it was."""
    first = interrupted(place, "--no-canary")
    process = place.start("apply", "--auto-approve", "--max-parallel", "1")
    place.wait_for_effects(len(place.effects()) + 3, process)
    stop(process)
    done = ended(process)
    assert place.run("resume").code == ExitCode.DONE
    return first, done


def check_taken_up_again(place: Place, first: str) -> None:
    """The run was as interrupted as before: nothing that may have been sent was called held; now all is done, once."""
    store = PlanStore(str(place.folder / "plans"))
    assert store.list_ids() == [first]
    assert not store.has_outcome(first)
    assert place.run("apply", first).code == ExitCode.DONE
    assert store.get_outcome(first).summary.done == 60 == len(place.effects())


def test_terminated_while_it_reads_back(slow_place: Place) -> None:
    """What may have been sent and was not looked at is left to whoever comes next, with the command."""
    first, done = stopped_while_it_reads_back(slow_place, lambda process: process.send_signal(signal.SIGTERM))
    assert done.code == ExitCode.STOPPED, str(done)
    assert done.err.splitlines()[-1] == "Stopped by SIGTERM: nothing else was begun. Go on with: reconcile apply"
    check_taken_up_again(slow_place, first)


def test_paused_while_it_reads_back(slow_place: Place) -> None:
    """Exit 5, and the message says what the next apply will do."""
    first, done = stopped_while_it_reads_back(slow_place, lambda _: slow_place.run("pause", "--reason", "enough"))
    assert done.code == ExitCode.PAUSED, str(done)
    assert "nothing more is written: paused since" in done.err
    assert "Run `reconcile apply` again once the reason is gone: it reads back what may have been sent" in done.err
    check_taken_up_again(slow_place, first)


def test_what_failed_while_it_settles(slow_place: Place, receiver: Receiver) -> None:
    """The plan after it has nothing to do, and the night was no good one all the same: no heartbeat, and exit 4."""
    first = interrupted(slow_place)
    block_the_rest(slow_place)
    done = slow_place.run("apply", "--auto-approve", "--only", FIRST)
    assert PlanStore(str(slow_place.folder / "plans")).get_outcome(first).summary.failed > 1
    assert "No changes." in done.out
    assert done.code == ExitCode.PARTIAL, str(done)
    assert receiver.gets == []


def test_json_of_a_night_that_settles(slow_place: Place) -> None:
    """Stdout holds the one outcome that was asked for; that of the run before is shown to people."""
    first = interrupted(slow_place)
    made = slow_place.newest()
    assert made.id == first
    slow_place.new_members(61)
    done = slow_place.run("apply", "--auto-approve", "--json")
    assert done.code == ExitCode.DONE, str(done)
    assert json.loads(done.out)["plan"] == slow_place.newest().id != first
    assert f"Applied plan {first}" in done.err


def test_an_interrupted_plan_that_is_asked_for_by_name(slow_place: Place) -> None:
    """Its outcome is the one that was asked for."""
    first = interrupted(slow_place)
    done = slow_place.run("apply", first, "--json")
    assert done.code == ExitCode.DONE, str(done)
    assert json.loads(done.out)["plan"] == first


def test_a_plan_that_was_applied_already_is_no_good_night(slow_place: Place, receiver: Receiver) -> None:
    """Whoever applies one plan every night would hear of good nights for ever."""
    made = slow_place.plan("--only", FIRST)
    assert slow_place.run("apply", made.id).code == ExitCode.DONE
    assert len(receiver.gets) == 1
    done = slow_place.run("apply", made.id)
    assert (done.code, "was applied already" in done.err) == (ExitCode.DONE, True)
    assert (len(receiver.gets), receiver.messages) == (1, [])
