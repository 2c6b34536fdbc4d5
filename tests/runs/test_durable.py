"""A run killed anywhere ends as an uninterrupted one does, and says so (failure modes A1 to A7)."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.core.actions import Outcome
from reconciler.errors import PlanRefused, ReconcilerError, StateError
from reconciler.runs.store import PlanStore
from reconciler.simulator import Call
from tests.runs.crashes import Death, Scene, new_scene, session
from tests.support.campaign import NIGHTLY
from tests.targets.test_faults_campaign import Night, differences, flagged

BOUNDARIES = range(1, 63)
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


def check_closed(outcomes: tuple[Outcome, ...]) -> None:
    """Nothing failed but what was cut off between its two writes, of which a person has to know."""
    assert {one.outcome for one in outcomes} <= {"done", "held", "unknown", "failed"}
    for one in outcomes:
        assert (one.outcome == "failed") == one.says.startswith("Found done in part by read-back"), one


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
    check_closed(outcomes)


@pytest.mark.parametrize("at", [5, 17, 30, 44])
def test_a_run_of_another_shape_is_closed(at: int, tmp_path: Path) -> None:
    """A release whose checkpoints mean something else cannot go on: it looks at everything, sends nothing, and ends."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert not session(scene, Death(at))
    effects = [call.path for call in scene.simulator.calls if call.effect]
    execute(tmp_path, "UPDATE workflow_status SET application_version = '1'")
    assert session(scene, Death(None))
    assert [call.path for call in scene.simulator.calls if call.effect] == effects
    outcomes = scene.outcome().outcomes
    assert [one.action for one in outcomes] == [action.id for action in scene.plan.actions]
    check_closed(outcomes)
    calls = len(scene.simulator.calls)
    assert session(scene, Death(None))
    assert len(scene.simulator.calls) == calls
    shutil.rmtree(scene.plans)
    with pytest.raises(PlanRefused, match="was closed before its end"):
        session(scene, Death(None))


@pytest.mark.parametrize("not_noted", ["('SUCCESS')", "('SUCCESS', 'ERROR')"])
def test_a_run_whose_end_is_not_noted(not_noted: str, tmp_path: Path) -> None:
    """The engine cannot note the last word: an error, not a wait for ever; with room again, nothing is sent twice."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert not session(scene, Death(20))

    def fill(call: Call, phase: str) -> None:
        if phase == "before" and call.path != "/me":
            execute(tmp_path, NO_END.format(not_noted))

    with pytest.raises(StateError, match=r"does not take a note|durable engine failed"):
        session(scene, Death(None), watch=fill)
    calls = len(scene.simulator.calls)
    execute(tmp_path, "DROP TRIGGER no_end")
    assert session(scene, Death(None))
    check(scene)
    assert not [call for call in scene.simulator.calls[calls:] if call.effect]


def test_a_wiped_disk(tmp_path: Path) -> None:
    """The plan is part of the run: plans and outcomes that vanished with the disk are stored anew (A6)."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert not session(scene, Death(20))
    shutil.rmtree(scene.plans, ignore_errors=True)
    assert session(scene, Death(None))
    check(scene)
    assert PlanStore(str(scene.plans)).get_plan(scene.plan.id) == scene.plan


def test_an_outcome_that_was_lost_is_put_back(tmp_path: Path) -> None:
    """The disk was wiped after the end: whoever applies the plan again learns that it was, and what became of it."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    assert session(scene, Death(None))
    before = scene.outcome()
    shutil.rmtree(scene.plans)
    calls = len(scene.simulator.calls)
    assert session(scene, Death(None))
    assert scene.outcome().outcomes == before.outcomes
    assert scene.outcome().started_at == before.started_at
    assert len(scene.simulator.calls) == calls


def test_an_outcome_that_could_not_be_stored_is_stored_later(tmp_path: Path) -> None:
    """A disk that is full by the end of the run is an error that names the place; with room again, nothing is lost."""
    scene = new_scene(tmp_path, sqlite(tmp_path))

    def take_the_place(call: Call, _phase: object) -> None:
        if call.path == "/contacts" and scene.plans.is_dir():
            scene.plans.rename(tmp_path / "moved")
            scene.plans.write_bytes(b"no folder")

    with pytest.raises(ReconcilerError, match=str(scene.plans)):
        session(scene, Death(None), watch=take_the_place)
    calls = len(scene.simulator.calls)
    scene.plans.unlink()
    assert session(scene, Death(None))
    check(scene)
    assert len(scene.simulator.calls) == calls


FULL = """
CREATE TRIGGER full BEFORE INSERT ON operation_outputs WHEN NEW.function_name LIKE '{}%'
BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
"""
"""Stands in for a disk that has no room for a checkpoint."""

NO_END = """
CREATE TRIGGER IF NOT EXISTS no_end BEFORE UPDATE ON workflow_status WHEN NEW.status IN {}
BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
"""
"""Stands in for a disk that filled up with the last checkpoint."""


@pytest.mark.parametrize(("checkpoint", "sends"), [("start", False), ("begin", False), ("send", True), ("store", True)])
def test_a_checkpoint_that_cannot_be_written(checkpoint: str, sends: bool, tmp_path: Path) -> None:
    """It is an error, again and again, and the run stays interrupted: with room again, it is brought to its end (A11).

    Nothing is sent before it is on record that it may be.
    """
    scene = new_scene(tmp_path, sqlite(tmp_path))
    full = FULL.format(checkpoint)

    def fill(call: Call, phase: str) -> None:
        if call.number == 1 and phase == "before":
            execute(tmp_path, full)

    with pytest.raises(StateError, match="durable engine failed") as caught:
        session(scene, Death(None), watch=fill)
    assert "example.org" not in str(caught.value)
    assert any(call.effect for call in scene.simulator.calls) == sends
    with pytest.raises(StateError, match="durable engine failed"):
        session(scene, Death(None))
    execute(tmp_path, "DROP TRIGGER full")
    assert session(scene, Death(None))
    check(scene)


def execute(folder: Path, statement: str) -> None:
    """One statement in the state database."""
    with closing(sqlite3.connect(folder / "state.sqlite")) as connection, connection:
        connection.execute(statement)
