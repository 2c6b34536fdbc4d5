"""What the store remembers of the last days, and what a plan makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from reconciler import controller
from reconciler.core import sealed
from reconciler.core.actions import Because, Outcome
from reconciler.core.guards import Accepted
from reconciler.core.plan import Plan
from reconciler.errors import PlanUnreadable
from reconciler.runs.recall import recall
from reconciler.runs.store import PlanStore
from tests.report.plans import make_action, make_plan
from tests.support.builders import default_rules

NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    """A store whose folder does not exist yet."""
    return PlanStore(str(tmp_path / "plans"))


def ran(
    store: PlanStore,
    *,
    at: datetime,
    made: datetime | None = None,
    outcomes: tuple[Outcome, ...] = (),
    keep: bool = True,
) -> Plan:
    """A plan, made and applied at these times."""
    plan = make_plan(make_action(), id=f"{made or at:%Y%m%dT%H%M%SZ}-8f3a1c5e")
    if keep:
        store.put_plan(plan)
    store.put_outcome(plan, outcomes, started_at=at - timedelta(minutes=1), finished_at=at)
    return plan


def archived(*contacts: str) -> tuple[Outcome, ...]:
    """These were archived."""
    return tuple(Outcome(action=f"a-{one}", do="archive", outcome="done", contact=one) for one in contacts)


def test_outcomes_since_a_moment(store: PlanStore) -> None:
    """By the end of the run, not by the making of its plan; the earliest first; the moment itself counts."""
    week_ago = NOW - timedelta(days=7)
    ran(store, at=week_ago - timedelta(seconds=1))
    late = ran(store, at=NOW, made=NOW - timedelta(days=9))
    edge = ran(store, at=week_ago)
    found = store.outcomes_since(week_ago)
    assert [run.plan for run in found] == [edge.id, late.id]
    assert PlanStore(store.location).outcomes_since(NOW + timedelta(seconds=1)) == ()


def test_an_empty_store_remembers_nothing(store: PlanStore) -> None:
    """Nor does the asking make a folder."""
    assert store.outcomes_since(NOW) == ()
    assert not Path(store.location).exists()


def test_old_records_are_not_opened(store: PlanStore) -> None:
    """A year of nights must not be read for the last seven: what is too old to matter may even be damaged."""
    old = ran(store, at=NOW - timedelta(days=12))
    (Path(store.location) / f"{old.id}.outcome.json").write_bytes(b"cut")
    assert store.outcomes_since(NOW - timedelta(days=7)) == ()


def test_a_damaged_outcome_of_the_week_is_no_outcome(store: PlanStore) -> None:
    """Limits that forget are no limits: planning stops with the name of the file."""
    plan = ran(store, at=NOW - timedelta(days=2))
    path = Path(store.location) / f"{plan.id}.outcome.json"
    path.write_bytes(path.read_bytes().replace(b'"done": 0', b'"done": 9'))
    with pytest.raises(PlanUnreadable, match=plan.id):
        recall(store, at=NOW)


def test_an_outcome_of_another_release_is_passed_over(store: PlanStore) -> None:
    """It is whole, and only not ours to read: nights must not stop for a week after a change of the format."""
    plan = ran(store, at=NOW - timedelta(days=2), outcomes=archived("c1"))
    path = Path(store.location) / f"{plan.id}.outcome.json"
    body = path.read_bytes().replace(b"reconciler.outcome/1", b"reconciler.outcome/0").rpartition(b'  "previous"')[0]
    path.write_bytes(sealed.seal(body, previous=None))
    assert sealed.is_whole(path.read_bytes())
    assert recall(store, at=NOW).counts["archive"] == 0


def test_seven_days_are_remembered(store: PlanStore) -> None:
    """Archives of the week are counted, older ones are not."""
    ran(store, at=NOW - timedelta(days=8), outcomes=archived("c1", "c2"))
    ran(store, at=NOW - timedelta(days=6), outcomes=archived("c3"))
    ran(store, at=NOW - timedelta(days=1), outcomes=archived("c4", "c5"))
    assert recall(store, at=NOW).counts["archive"] == 3


@pytest.mark.parametrize(("rule", "flipped"), [("undo", {}), ("update-attributes", {"c1": {"name": 3}})])
@pytest.mark.parametrize("kept", [True, False])
def test_an_undo_is_known_by_its_plan(store: PlanStore, rule: str, flipped: dict[str, object], *, kept: bool) -> None:
    """Twice applied and once taken back is no fight; where the plan is gone, nobody can say that it was an undo."""
    nights = [("update-attributes", "Ann"), (rule, "Nan"), ("update-attributes", "Ann")]
    for number, (because, name) in enumerate(nights):
        at = NOW - timedelta(days=3 - number)
        action = make_action(1, id="u-1", contact="c1", set={"name": name}, because=(Because(because, "f-1"),))
        plan = make_plan(action, id=f"{at:%Y%m%dT%H%M%SZ}-8f3a1c5e")
        if kept or number != 1:
            store.put_plan(plan)
        done = Outcome(action="u-1", do="update", outcome="done", contact="c1", sent=action.set)
        store.put_outcome(plan, (done,), started_at=at, finished_at=at)
    assert recall(store, at=NOW).flips == (flipped if kept else {"c1": {"name": 3}})


def test_a_damaged_plan_of_the_week_is_no_plan(store: PlanStore) -> None:
    """Whether it took back another cannot be known, so nothing is planned on it."""
    plan = ran(store, at=NOW - timedelta(days=2), outcomes=archived("c1"))
    store.put_plan(plan)
    path = Path(store.location) / f"{plan.id}.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PlanUnreadable, match=plan.id):
        recall(store, at=NOW)


def test_a_plan_that_was_erased_is_asked_like_any(store: PlanStore) -> None:
    """What it was for stays when its values go."""
    action = make_action(1, contact="c1", because=(Because("undo", "f-1"),))
    plan = make_plan(action, id=f"{NOW - timedelta(days=1):%Y%m%dT%H%M%SZ}-8f3a1c5e")
    store.put_plan(plan)
    store.put_outcome(plan, (), started_at=NOW - timedelta(days=1), finished_at=NOW - timedelta(days=1))
    run = store.get_outcome(plan.id)
    assert store.took_back(run)
    assert store.erase_old(before=NOW)
    assert store.took_back(run)


def test_an_undo_is_held_against_the_week_as_well(store: PlanStore) -> None:
    """Taking back creates archives contacts: after 400 of the week, those wait like any."""
    ran(store, at=NOW - timedelta(days=1), outcomes=archived(*(f"c{number}" for number in range(400))))
    create = make_action(1, "create", id="c-1")
    made = make_plan(create, id="20261122T223000Z-8f3a1c5e")
    done = Outcome(action="c-1", do="create", outcome="done", contact="c9999", sent={"email": "new@example.org"})
    store.put_plan(made)
    store.put_outcome(made, (done,), started_at=NOW, finished_at=NOW)
    back = controller.undo(
        made,
        store.get_outcome(made.id),
        rules=default_rules(),
        store=store,
        accepted=Accepted(),
        now=lambda: NOW,
    )
    assert [action.do for action in back.actions] == ["archive"]
    assert "400 by the runs of the last 7 days" in back.held()[back.actions[0].id]


def test_taking_back_archives_makes_room_again(store: PlanStore) -> None:
    """What was brought back within the week is not counted."""
    ran(store, at=NOW - timedelta(days=2), outcomes=archived("c1", "c2", "c3"))
    back = [msgspec.structs.replace(one, do="unarchive") for one in archived("c1", "c2")]
    ran(store, at=NOW - timedelta(days=1), outcomes=tuple(back))
    assert recall(store, at=NOW).counts["archive"] == 1
