"""Months of records are read one at a time, and one that is damaged keeps none of the others back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.actions import Outcome
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.sealed import seal
from reconciler.errors import ReconcilerError
from reconciler.runs.reading import AHEAD, Reading
from reconciler.runs.store import PlanStore
from tests.report.plans import make_action, make_plan
from tests.runs.test_store import put_outcome

FIRST = datetime(2025, 10, 1, 2, 30, tzinfo=UTC)


def plan_of(night: int) -> Plan:
    """The plan of the night so many days after the first."""
    at = FIRST + timedelta(days=night)
    action = make_action(night % 256, contact=f"c{night}")
    return make_plan(action, id=f"{at:%Y%m%dT%H%M%SZ}-8f3a1c5e", created_at=f"{at:%Y-%m-%dT%H:%M:%SZ}")


def store_nights(folder: Path, nights: int) -> list[Plan]:
    """Nights with a plan each, every second one applied; written past the store, which flushes every file."""
    folder.mkdir()
    plans = [plan_of(night) for night in range(nights)]
    for night, plan in enumerate(plans):
        (folder / f"{plan.id}.json").write_bytes(plan_file.encode(plan))
        if night % 2:
            outcomes = tuple(Outcome(one.id, one.do, "done", contact=one.contact) for one in plan.actions)
            run = RunOutcome(
                plan=plan.id,
                plan_digest="",
                started_at=plan.created_at,
                finished_at=plan.created_at,
                summary=count(outcomes),
                outcomes=outcomes,
            )
            (folder / f"{plan.id}.outcome.json").write_bytes(outcome_file.encode(run))
    return plans


def test_every_record_in_its_order(tmp_path: Path) -> None:
    """More nights than are fetched ahead: each with its plan, and with its outcome where it has one."""
    plans = store_nights(tmp_path / "plans", 3 * AHEAD)
    reading = Reading(PlanStore(str(tmp_path / "plans")))
    found = list(reading.raw_runs(reading.run_ids()))
    assert [plan_id for plan_id, _, _ in found] == [plan.id for plan in plans]
    assert [plan_file.decode(data or b"", where="x") for _, data, _ in found] == plans
    assert [outcome is not None for _, _, outcome in found] == [bool(night % 2) for night in range(3 * AHEAD)]
    assert (reading.damaged, reading.of_another_release) == ([], [])


def test_plans_and_outcomes_of_a_time(tmp_path: Path) -> None:
    """From one moment to another, both of them included."""
    plans = store_nights(tmp_path / "plans", 10)
    reading = Reading(PlanStore(str(tmp_path / "plans")))
    assert list(reading.plans(since=plans[2].created_at, until=plans[5].created_at)) == plans[2:6]
    assert [run.plan for run in reading.outcomes(since=plans[4].created_at)] == [plans[n].id for n in (5, 7, 9)]


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """An edited record and one that was cut are damaged; one of another release is not, and is named apart."""
    folder = tmp_path / "plans"
    plans = store_nights(folder, 6)
    edited, cut, newer = (folder / f"{plans[night].id}.json" for night in (1, 2, 3))
    edited.write_bytes(edited.read_bytes().replace(b"reconciler 0.1.0", b"reconciler 0.2.0"))
    cut.write_bytes(cut.read_bytes()[:-100])
    newer.write_bytes(seal(b'{"format": "reconciler.plan/9",\n', previous=None))
    reading = Reading(PlanStore(str(folder)))
    assert list(reading.plans(until="9999")) == [plans[0], plans[4], plans[5]]
    assert sorted(reading.damaged) == [edited.name, cut.name]
    assert reading.of_another_release == [newer.name]


def test_what_is_left_of_an_erased_record_is_read(tmp_path: Path) -> None:
    """It is not damaged: actions and outcomes are there without their values. One that was cut since then is."""
    store = PlanStore(str(tmp_path / "plans"))
    plans = [plan_of(night) for night in range(3)]
    for plan in plans:
        store.put_plan(plan)
        put_outcome(store, plan, tuple(Outcome(one.id, one.do, "done", contact=one.contact) for one in plan.actions))
    store.erase_old(before=datetime(2027, 1, 1, tzinfo=UTC))
    cut = tmp_path / "plans" / f"{plans[1].id}.json"
    cut.write_bytes(cut.read_bytes()[:-2])
    reading = Reading(store)
    assert [one.id for one in reading.plans(until="9999")] == [plans[0].id, plans[2].id]
    assert [run.outcomes[0].contact for run in reading.outcomes(since="")] == ["c0", "c1", "c2"]
    assert (reading.damaged, reading.of_another_release) == ([cut.name], [])


class CountingStore(PlanStore):
    """A store that notes what is asked of it."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.fetched = 0
        self._guard = threading.Lock()

    def read(self, name: str) -> bytes:
        """As the store does."""
        with self._guard:
            self.fetched += 1
        return super().read(name)


def test_no_more_than_a_few_are_in_memory(tmp_path: Path) -> None:
    """However many nights there are, only a few records are fetched before the earlier ones are looked at."""
    store_nights(tmp_path / "plans", 60)
    store = CountingStore(str(tmp_path / "plans"))
    reading = Reading(store)
    for taken, _ in enumerate(reading.plans(until="9999"), start=1):
        assert store.fetched <= taken + AHEAD
        if taken == 40:
            break
    assert store.fetched <= 40 + AHEAD


def test_a_store_with_nothing_in_it(tmp_path: Path) -> None:
    """Nothing is read, and nothing is wrong."""
    reading = Reading(PlanStore(str(tmp_path / "none")))
    assert (reading.run_ids(), list(reading.plans(until="9999")), list(reading.outcomes(since=""))) == ([], [], [])


def test_a_record_that_vanishes_is_an_error(tmp_path: Path) -> None:
    """What was listed and is gone when it is read is not passed over in silence."""
    plans = store_nights(tmp_path / "plans", 2)
    reading = Reading(PlanStore(str(tmp_path / "plans")))
    (tmp_path / "plans" / f"{plans[1].id}.json").unlink()
    with pytest.raises(ReconcilerError, match="cannot read"):
        list(reading.plans(until="9999"))
