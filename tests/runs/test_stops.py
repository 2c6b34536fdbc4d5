"""Runs that are stopped from outside, at every action and in processes of their own (A14, B3 to B5, B7, B14).

Whatever stops a run, what is under way ends and is recorded, the rest is held with the reason, and the end is that of
a quiet night but for what an outcome tells.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import text

from reconciler import controller
from reconciler.core import plan as plan_file
from reconciler.core.actions import Outcome
from reconciler.runs.caution import NO_CAUTION
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.simulator import Call, RunningSimulator, build_app
from reconciler.targets.intercom import IntercomTarget
from tests.runs.conftest import NewState
from tests.runs.crashes import Scene, new_scene
from tests.runs.processes import Order, Warm
from tests.runs.processes import warm as warm_process
from tests.runs.test_durable import check, sqlite
from tests.support.campaign import NIGHTLY
from tests.targets.support import START, TOKEN
from tests.targets.test_faults_campaign import OWNED, quiet_night

CALLS = range(1, len(quiet_night().simulator.calls) + 1)
"""Numbers of the calls of a quiet night, of which the first asks for the workspace."""

LATENCY = (0.01, 0.03)

SIGNALS = range(200) if NIGHTLY else range(15)
"""Seeds of the moments at which SIGTERM comes."""

BOTH = ["sqlite", "postgresql"]


# A run in this process


@dataclass(slots=True)
class Watch:
    """What one run has done so far, and what happens at one of its calls, before its effect."""

    at: int
    happens: Callable[[], None]
    ended: int = 0
    ended_before: int | None = None

    def hook(self, call: Call, phase: str) -> None:
        """For the simulator."""
        if call.number == self.at and phase == "before":
            self.ended_before = self.ended
            self.happens()

    def progress(self, _what: str, done: int, _total: int | None) -> None:
        """For the run: how many actions have an outcome."""
        self.ended = done


def applied(scene: Scene, watch: Watch, *, max_parallel: int) -> tuple[Outcome, ...]:
    """One process, from the pause switch to the stored outcome."""
    scene.simulator.hook = watch.hook
    database = StateDatabase(scene.state_url)
    with controller.allowed_to_write(
        database,
        holder="this test",
        store=PlanStore(str(scene.plans)),
        open_writer=lambda: IntercomTarget(
            token=TOKEN,
            base_url="http://intercom.test",
            owned=OWNED,
            transport=httpx.ASGITransport(app=build_app(scene.simulator)),
            random=lambda: 0.5,
        ),
        now=lambda: datetime.fromtimestamp(START, UTC),
        max_parallel=max_parallel,
        progress=watch.progress,
        stop=lambda: None,
    ):
        asyncio.run(controller.apply_durably(scene.plan, caution=NO_CAUTION))
    database.close()
    return scene.outcome().outcomes


def check_stopped(scene: Scene, watch: Watch, outcomes: tuple[Outcome, ...], *, under_way: int, says: str) -> None:
    """No more actions were done after the stop than were under way; all others are held, and say why."""
    check(scene)
    assert watch.ended_before is not None
    done = sum(one.outcome == "done" for one in outcomes)
    assert done <= watch.ended_before + under_way
    others = [one for one in outcomes if one.outcome != "done" and not failed_in_any_case(one)]
    assert {one.outcome for one in others} <= {"held"}
    assert all(says in one.says or one.says.startswith("waits for") for one in others)


def failed_in_any_case(outcome: Outcome) -> bool:
    """Whether it failed in the quiet night, too."""
    return (outcome.action, "failed") in {(one.action, one.outcome) for one in quiet_night().outcomes}


@pytest.mark.parametrize("at", CALLS)
@pytest.mark.parametrize("max_parallel", [1, 4])
def test_paused_at_every_call(at: int, max_parallel: int, tmp_path: Path) -> None:
    """After the flip the actions under way end, and nothing else is begun: at most one where one runs at a time."""
    scene = new_scene(tmp_path, sqlite(tmp_path), latency=(0.002, 0.002))
    switch = PauseSwitch(StateDatabase(scene.state_url))
    watch = Watch(at, lambda: assert_paused(switch))
    outcomes = applied(scene, watch, max_parallel=max_parallel)
    check_stopped(scene, watch, outcomes, under_way=max_parallel, says="paused since")


def assert_paused(switch: PauseSwitch) -> None:
    """Flip it."""
    assert switch.pause("wrong archive seen")


@pytest.mark.parametrize("at", [3, 9, 15])
def test_switch_that_breaks_in_the_middle(at: int, tmp_path: Path) -> None:
    """Its table is gone: nobody knows whether writing is paused, so nothing more is written (B14)."""
    scene = new_scene(tmp_path, sqlite(tmp_path), latency=(0.002, 0.002))

    def drop() -> None:
        with StateDatabase(scene.state_url).begin() as connection:
            connection.execute(text("DROP TABLE reconciler_pause"))

    watch = Watch(at, drop)
    outcomes = applied(scene, watch, max_parallel=1)
    check_stopped(scene, watch, outcomes, under_way=1, says="it cannot be known whether writing is paused")


@pytest.mark.parametrize("at", [3, 9, 15])
def test_connections_that_are_cut_in_the_middle(at: int, tmp_path: Path, new_state: NewState) -> None:
    """The lock is a row, not a session: connections that a pooler or an operator ends cost nothing (B5)."""
    scene = new_scene(tmp_path, new_state(), latency=(0.002, 0.002))

    def cut() -> None:
        with psycopg.connect(scene.state_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    outcomes = applied(scene, Watch(at, cut), max_parallel=1)
    check(scene)
    assert all(one.outcome == "done" or failed_in_any_case(one) for one in outcomes)


# Processes of their own


@pytest.fixture
def other() -> Iterator[Warm]:
    """A second machine, as it were."""
    with warm_process() as process:
        yield process


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """A workspace whose calls take their time, with its state in one database or the other."""
    state = sqlite(tmp_path) if request.param == "sqlite" else request.getfixturevalue("new_state")()
    return new_scene(tmp_path, state, latency=LATENCY)


@pytest.fixture(params=BOTH)
def long_scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    """The same for a test in which a second process must come in time, on a machine that is busy with others."""
    state = sqlite(tmp_path) if request.param == "sqlite" else request.getfixturevalue("new_state")()
    return new_scene(tmp_path, state, latency=(0.25, 0.0))


def order(scene: Scene, server: RunningSimulator, **changed: object) -> Order:
    """One night of the scene."""
    path = scene.plans.with_name("approved.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(plan_file.encode(scene.plan))
    fields = {"base_url": server.base_url, "state_url": scene.state_url, "plans": str(scene.plans), "plan": str(path)}
    return Order(**(fields | changed))  # type: ignore[arg-type] # the fields of an order, by name


def test_two_applies_at_once(long_scene: Scene, warm: Warm, other: Warm) -> None:
    """The second says who holds the lock, and makes no call at all; the first does not notice (B3)."""
    scene = long_scene
    unused = new_scene(scene.plans.parent / "unused", scene.state_url)
    in_the_middle, second_is_over = threading.Event(), threading.Event()

    def hold(call: Call, phase: str) -> None:
        if call.number == 9 and phase == "before":
            in_the_middle.set()
            second_is_over.wait(30)

    scene.simulator.hook = hold
    with RunningSimulator(scene.simulator) as server, RunningSimulator(unused.simulator) as unused_server:
        warm.begin(order(scene, server, max_parallel=1))
        assert in_the_middle.wait(30)
        second = other.night(order(scene, unused_server))
        second_is_over.set()
        first = warm.report()
    assert second.end == "LockHeld"
    assert "another apply is running: process" in second.says
    assert not unused.simulator.calls
    assert first.end == "done"
    check(scene)


def test_the_same_plan_twice(scene: Scene, warm: Warm, other: Warm) -> None:
    """Carried out already: no calls, on whichever machine, whatever became of the folder of plans (B7)."""
    with RunningSimulator(scene.simulator) as server:
        assert warm.night(order(scene, server)).end == "done"
        calls = len(scene.simulator.calls)
        assert warm.night(order(scene, server)).end == "already"
        assert other.night(order(scene, server, plans=str(scene.plans.with_name("elsewhere")))).end == "already"
    assert len(scene.simulator.calls) == calls
    check(scene)


@pytest.mark.parametrize("seed", SIGNALS)
def test_terminated_at_a_random_moment(seed: int, tmp_path: Path, warm: Warm) -> None:
    """SIGTERM: the process leaves by itself and soon, and its outcome tells what was not begun (A14)."""
    scene = new_scene(tmp_path, sqlite(tmp_path), latency=LATENCY)
    after = random.Random(seed).uniform(0.0, 0.15)
    with RunningSimulator(scene.simulator) as server:
        report = warm.night(order(scene, server, kill_after=after, since="outcome", sends=signal.SIGTERM))
    assert report.end == "done"
    assert sum(report.seconds) < 10
    check(scene)
    held = [one for one in scene.outcome().outcomes if one.outcome == "held"]
    assert all("stopped by SIGTERM" in one.says or one.says.startswith("waits for") for one in held)


@pytest.mark.parametrize("seed", range(20) if NIGHTLY else range(2))
def test_asleep_for_longer_than_the_lock_lasts(seed: int, tmp_path: Path, warm: Warm) -> None:
    """SIGSTOP, then SIGCONT when another may hold the lock: the action under way ends, and nothing is begun (B4)."""
    scene = new_scene(tmp_path, sqlite(tmp_path), latency=LATENCY)
    after = random.Random(seed).uniform(0.0, 0.1)
    with RunningSimulator(scene.simulator) as server:
        asleep = order(
            scene,
            server,
            max_parallel=1,
            lease_seconds=0.8,
            kill_after=after,
            since="outcome",
            sends=signal.SIGSTOP,
            wakes_after=1.0,
        )
        assert warm.night(asleep).end == "held"
    check(scene)
    calls = scene.simulator.calls
    gaps = [later.time - earlier.time for earlier, later in pairwise(calls)]
    woken = [call for call in calls[gaps.index(max(gaps)) + 1 :] if call.effect] if max(gaps) > 0.9 else []
    assert len(woken) <= 2, "no action has more than two writes"
    assert any("lock was lost" in one.says for one in scene.outcome().outcomes)


def overwrite(folder: Path) -> None:
    """What was in the database is gone."""
    for file in folder.glob("state.sqlite*"):
        file.write_bytes(b"no database at all" * 1000)


def replace(folder: Path) -> None:
    """Another database stands in its place; whoever has it open keeps the old one."""
    for file in folder.glob("state.sqlite*"):
        file.rename(file.with_name(f"old-{file.name}"))
    PauseSwitch(StateDatabase(sqlite(folder))).pause("wrong archive seen")


def delete(folder: Path) -> None:
    """As a cleaner of temporary files does it."""
    for file in folder.glob("state.sqlite*"):
        file.unlink()


@pytest.mark.parametrize("damage", [overwrite, replace, delete])
def test_state_file_that_is_lost_in_the_middle(damage: Callable[[Path], None], tmp_path: Path) -> None:
    """A pause that others set could not be seen any more: the action under way ends, and it is an error (B14)."""
    scene = new_scene(tmp_path, sqlite(tmp_path), latency=LATENCY)
    before: list[int] = []

    def hook(call: Call, phase: str) -> None:
        if call.number == 9 and phase == "before":
            before.append(sum(call.effect for call in scene.simulator.calls))
            damage(tmp_path)

    scene.simulator.hook = hook
    log = tmp_path / "said"
    with RunningSimulator(scene.simulator) as server, log.open("wb") as says, warm_process(says=says) as process:
        report = process.night(order(scene, server, max_parallel=1))
    assert (report.end, "state database" in report.says) == ("StateError", True)
    assert sum(call.effect for call in scene.simulator.calls) <= before[0] + 2, "no action has more than two writes"
    said = log.read_text("utf-8")
    assert not [word for word in ("example.org", "NWP", TOKEN) if word in said]
