"""A run killed anywhere ends as an uninterrupted one does, and says so (failure modes A1 to A7)."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from reconciler.runs.store import PlanStore
from tests.runs.crashes import Death, Scene, new_scene, session
from tests.support.campaign import NIGHTLY
from tests.targets.test_faults_campaign import Night, differences, flagged

BOUNDARIES = range(1, 51)
"""Every moment at which an uninterrupted run can die: `test_the_boundaries_are_all_there_are` counts them."""

PAIRS = [(one, two) for one in BOUNDARIES for two in BOUNDARIES]
if not NIGHTLY:
    PAIRS = random.Random(2016).sample(PAIRS, 40)


def sqlite(folder: Path) -> str:
    """A state database of this test's own."""
    return f"sqlite:///{folder / 'state.sqlite'}"


def check(scene: Scene) -> None:
    """The end is that of a quiet night, or an outcome tells the difference; and nobody is there twice."""
    one = Night(scene.simulator, scene.outcome().outcomes)
    assert [outcome.action for outcome in one.outcomes] == [action.id for action in scene.plan.actions]
    assert differences(one) <= flagged(one)
    created = Counter(call.path for call in scene.simulator.calls if call.effect and call.path == "/contacts")
    assert created["/contacts"] <= sum(1 for action in scene.plan.actions if action.do == "create")
    assert not [value for value, count in one.live("external_id").items() if count > 1]


def test_an_uninterrupted_run(tmp_path: Path) -> None:
    """The yardstick: every action has its outcome, and a second process finds nothing left to do."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert session(scene, Death(None))
    check(scene)
    calls = len(scene.simulator.calls)
    assert session(scene, Death(None))
    assert len(scene.simulator.calls) == calls


def test_the_boundaries_are_all_there_are(tmp_path: Path) -> None:
    """A run that dies later than this has ended before; else the table above would leave moments out."""
    death = Death(None)
    assert session(new_scene(tmp_path, sqlite(tmp_path)), death)
    assert death.passed == len(BOUNDARIES)


@pytest.mark.parametrize("at", BOUNDARIES)
def test_a_run_killed_at_any_boundary(at: int, tmp_path: Path) -> None:
    """Whatever was sent is read back, not sent again; what was not is sent."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert not session(scene, Death(at))
    assert session(scene, Death(None))
    check(scene)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_run_killed_again_while_it_is_taken_up(first: int, second: int, tmp_path: Path) -> None:
    """Recovery is a run like any other: it may die as well (A5). The second may die before, in, or after it."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert not session(scene, Death(first))
    session(scene, Death(second))
    assert session(scene, Death(None))
    check(scene)


@pytest.mark.parametrize("at", [5, 17, 30, 44])
def test_a_run_that_is_closed_sends_nothing_more(at: int, tmp_path: Path) -> None:
    """Another release, or an expired plan: what was under way is looked at, the rest is held, and both are told."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert not session(scene, Death(at))
    effects = [call.path for call in scene.simulator.calls if call.effect]
    assert session(scene, Death(None), close_because="the plan has expired")
    assert [call.path for call in scene.simulator.calls if call.effect] == effects
    outcomes = scene.outcome().outcomes
    assert [one.action for one in outcomes] == [action.id for action in scene.plan.actions]
    assert {one.outcome for one in outcomes} <= {"done", "held", "unknown"}


def test_a_wiped_disk(tmp_path: Path) -> None:
    """The plan is part of the run: plans and outcomes that vanished with the disk are stored anew (A6)."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert not session(scene, Death(20))
    shutil.rmtree(scene.plans, ignore_errors=True)
    assert session(scene, Death(None))
    check(scene)
    assert PlanStore(str(scene.plans)).get_plan(scene.plan.id) == scene.plan
