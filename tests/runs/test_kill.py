"""Processes that are killed with SIGKILL at random moments; the night ends as a quiet one does (A1 to A6, A15).

Each test draws worlds and moments from its seed, and goes on until it has killed as often as it must: a world may see
several kills, some while its run is being taken up.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core import plan as plan_file
from reconciler.simulator import RunningSimulator
from tests.runs.conftest import NewState
from tests.runs.crashes import Scene, new_scene
from tests.runs.processes import Order, Since, Warm
from tests.runs.test_durable import check, sqlite
from tests.support.campaign import NIGHTLY

KILLS = 10
"""Kills of one test."""

SEEDS = range(105) if NIGHTLY else range(5)
"""Tests with each database: at night 2,100 kills, else 100."""

LATENCY = (0.01, 0.03)
"""Seconds of a call: several are under way when the kill comes."""

MOMENTS: tuple[tuple[Since, float, int], ...] = (("birth", 0.3, 1), ("lock", 0.3, 3), ("outcome", 0.2, 6))
"""Kills are spread over so many seconds from each moment, with these weights: most fall among the writes."""

ENDS = {"done", "taken up", "already"}
"""How a night may end that nobody killed: the last two where an earlier process had begun or ended the work."""


def order(scene: Scene, base_url: str, folder: Path, *, kill_after: float | None, since: Since = "lock") -> Order:
    """One night of the scene; the plan lies where no wipe reaches it, as with whoever approved it."""
    plan = folder / "approved.json"
    plan.write_bytes(plan_file.encode(scene.plan))
    return Order(
        base_url=base_url,
        state_url=scene.state_url,
        plans=str(scene.plans),
        plan=str(plan),
        kill_after=kill_after,
        since=since,
    )


def moment(chance: random.Random) -> tuple[float, Since]:
    """When the kill comes."""
    ((since, seconds, _),) = chance.choices(MOMENTS, [weight for _, _, weight in MOMENTS])
    return chance.uniform(0.0, seconds), since


def killed_again_and_again(
    scene: Scene, folder: Path, warm: Warm, chance: random.Random, *, wipe: bool, most: int
) -> int:
    """Kill until it comes too late or has come often enough, then let one end; returns how often it came in time."""
    with RunningSimulator(scene.simulator) as server:
        for kill in range(most):
            after, since = moment(chance)
            report = warm.night(order(scene, server.base_url, folder, kill_after=after, since=since))
            if report.end != "killed":
                assert report.end in ENDS, report
                return kill
            if wipe:
                shutil.rmtree(scene.plans, ignore_errors=True)
        last = warm.night(order(scene, server.base_url, folder, kill_after=None))
        assert last.end in ENDS, last
    return most


def campaign(new: Callable[[int], Scene], folder: Path, warm: Warm, seed: int, *, wipe: bool) -> None:
    """Worlds until `KILLS` processes were killed; after each world the end is as it must be."""
    chance = random.Random(seed)
    kills = worlds = 0
    while kills < KILLS:
        worlds += 1
        assert worlds < 10 * KILLS, "the kills come too late"
        scene = new(worlds)
        kills += killed_again_and_again(
            scene, folder, warm, chance, wipe=wipe, most=min(KILLS - kills, chance.randint(2, 5))
        )
        check(scene)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_with_the_state_kept(seed: int, tmp_path: Path, warm: Warm) -> None:
    """SQLite beside the plans, as on a laptop: whatever the kill tore, the next process reads and mends."""

    def new(number: int) -> Scene:
        folder = tmp_path / str(number)
        return new_scene(folder, sqlite(folder), latency=LATENCY)

    campaign(new, tmp_path, warm, seed, wipe=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_with_the_disk_wiped(seed: int, tmp_path: Path, warm: Warm, new_state: NewState) -> None:
    """PostgreSQL, as on a platform whose containers come and go: plans and outcomes vanish with each process (A6)."""

    def new(number: int) -> Scene:
        return new_scene(tmp_path / str(number), new_state(), latency=LATENCY)

    campaign(new, tmp_path, warm, seed, wipe=True)
