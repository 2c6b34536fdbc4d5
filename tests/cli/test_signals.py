"""Runs that are stopped from outside: what is under way ends, what was done is on record, the rest is held."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from reconciler.core.outcome import RunOutcome
from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from reconciler.simulator import Fault, Options, Simulator
from tests.cli.support import Done, Place, ended, seeded


def stored(place: Place, plan_id: str) -> RunOutcome:
    """The outcome on record."""
    return PlanStore(str(place.folder / "plans")).get_outcome(plan_id)


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, ExitCode.STOPPED), (signal.SIGINT, ExitCode.PARTIAL)], ids=lambda one: one.name
)
def test_stopped_in_the_middle_of_an_apply(sent: signal.Signals, code: ExitCode, slow_place: Place) -> None:
    """The platform's SIGTERM and a person's Ctrl-C both leave a record of each write, and another apply can go on."""
    made = slow_place.plan()
    process = slow_place.start("apply", made.id, "--max-parallel", "4")
    slow_place.wait_for_effects(8, process)
    process.send_signal(sent)
    done = ended(process)
    assert done.code == code, str(done)
    run = stored(slow_place, made.id)
    assert run.summary.done == len(slow_place.effects())
    assert 8 <= run.summary.done < len(made.actions)
    assert run.summary.held == len(made.actions) - run.summary.done
    reasons = {one.says for one in run.outcomes if one.outcome == "held"}
    assert reasons == {f"the run was stopped by {sent.name}"}
    assert f"Held: {run.summary.held}" in done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, ExitCode.STOPPED), (signal.SIGINT, ExitCode.PARTIAL)], ids=lambda one: one.name
)
@pytest.mark.parametrize("asks", ["/me", "/data_attributes"])
def test_stopped_before_the_first_write(asks: str, sent: signal.Signals, code: ExitCode, slow_place: Place) -> None:
    """While the run waits for an Intercom that is down: it leaves within a second or two, and says how to go on."""
    made = slow_place.plan()
    slow_place.simulator.hook = lambda call, _phase: Fault.ERROR_BEFORE if call.path == asks else None
    before = len(slow_place.simulator.calls)
    process = slow_place.start("apply", made.id)
    slow_place.wait_for_calls(before + 3, process)
    at = time.monotonic()
    process.send_signal(sent)
    done = ended(process)
    assert time.monotonic() - at < 5
    assert done.code == code, str(done)
    assert slow_place.effects() == []
    store = PlanStore(str(slow_place.folder / "plans"))
    if asks == "/me":
        assert done.err.splitlines()[-1].endswith(f"Go on with: reconcile apply {made.id}")
        assert not store.has_outcome(made.id)
    else:
        assert store.get_outcome(made.id).summary.held == len(made.actions)


def test_killed_apply_is_brought_to_its_end(slow_place: Place) -> None:
    """After kill -9 the next apply, of that plan or any, ends the run first, and nobody is created twice."""
    made = slow_place.plan()
    process = slow_place.start("apply", made.id, "--max-parallel", "4")
    slow_place.wait_for_effects(8, process)
    slow_place.kill(process)
    done = slow_place.run("apply", made.id)
    assert done.code == ExitCode.DONE, str(done)
    assert "had been interrupted; it was brought to its end" in done.err
    assert stored(slow_place, made.id).summary.done == len(made.actions)
    assert len(slow_place.effects()) == len(made.actions)


def test_pause_and_a_second_apply_in_the_middle(slow_place: Place) -> None:
    """A second apply is told who holds the lock, and `reconcile pause` stops the first before its next write."""
    made = slow_place.plan()
    process = slow_place.start("apply", made.id, "--max-parallel", "4")
    slow_place.wait_for_effects(4, process)
    second = slow_place.run("apply", made.id)
    assert slow_place.run("pause", "--reason", "enough").code == ExitCode.DONE
    done = ended(process)
    assert (second.code, second.out) == (ExitCode.PAUSED, "")
    assert f"another apply is running: process {process.pid} on " in second.err
    assert done.code == ExitCode.HELD, str(done)
    counts = Counter(one.outcome for one in stored(slow_place, made.id).outcomes)
    assert counts["held"] > 0
    assert counts["done"] == len(slow_place.effects())
    assert "enough" in done.out


def interrupted(place: Place, *arguments: str, by: signal.Signals) -> Done:
    """Run a command and stop it while its second call is under way."""
    before = len(place.simulator.calls)
    process = place.start(*arguments)
    place.wait_for_calls(before + 1, process)
    process.send_signal(by)
    return ended(process)


def test_interrupted_while_planning(make_place: Callable[[Simulator], Place]) -> None:
    """Ctrl-C before anything was written says so in one line; no plan is stored, and no traceback is shown."""
    place = make_place(seeded(Options(latency=(0.4, 0.0))))
    place.demo_union()
    done = interrupted(place, "plan", by=signal.SIGINT)
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert done.err.strip().splitlines()[-1] == "Interrupted. Nothing was written to Intercom."
    assert "Traceback" not in done.err
    assert not (place.folder / "plans").exists()
    killed = interrupted(place, "plan", by=signal.SIGTERM)
    assert killed.code % 256 in {ExitCode.STOPPED, 256 - signal.SIGTERM}
    assert "Traceback" not in killed.err
