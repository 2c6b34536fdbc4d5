"""The deaths of test_durable.py with the state in PostgreSQL, on machines whose disk is empty each time (A6)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.runs.store import PlanStore
from tests.runs.conftest import NewState
from tests.runs.crashes import Death, new_scene, session
from tests.runs.test_durable import BOUNDARIES, PAIRS, check
from tests.support.campaign import NIGHTLY

SAMPLE = BOUNDARIES if NIGHTLY else (*BOUNDARIES[:3], *BOUNDARIES[3:-3:6], *BOUNDARIES[-3:])
"""The first and last moments, and every sixth between."""

SAMPLED_PAIRS = PAIRS[::5] if NIGHTLY else PAIRS[:6]


@pytest.mark.parametrize("at", SAMPLE)
def test_another_machine_takes_a_run_up(at: int, tmp_path: Path, new_state: NewState) -> None:
    """All it knows is the database; the plan is in it, and its end is stored where the new machine keeps plans."""
    scene = new_scene(tmp_path, new_state())
    assert not session(scene, Death(at))
    shutil.rmtree(scene.plans, ignore_errors=True)
    assert session(scene, Death(None))
    check(scene)
    assert PlanStore(str(scene.plans)).get_plan(scene.plan.id) == scene.plan


@pytest.mark.parametrize(("first", "second"), SAMPLED_PAIRS)
def test_a_third_machine_after_two_that_died(first: int, second: int, tmp_path: Path, new_state: NewState) -> None:
    """Recovery on an empty disk is a run that may die as well (A5)."""
    scene = new_scene(tmp_path, new_state())
    for at in (first, second):
        session(scene, Death(at))
        shutil.rmtree(scene.plans, ignore_errors=True)
    assert session(scene, Death(None))
    calls = len(scene.simulator.calls)
    assert session(scene, Death(None))
    assert len(scene.simulator.calls) == calls
