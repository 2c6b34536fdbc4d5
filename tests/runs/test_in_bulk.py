"""A run whose plain updates go in bulk: fewer calls, and the brakes, the canary and recovery as ever."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from reconciler.core.actions import Outcome
from reconciler.core.plan import Plan
from reconciler.runs.apply import apply_plan
from reconciler.runs.caution import Caution
from reconciler.simulator import Call, Fault, Simulator
from tests.report.plans import make_action, make_plan
from tests.runs.crashes import Death, Scene, session
from tests.runs.test_apply import FakeWriter
from tests.runs.test_canary import run_of
from tests.runs.test_durable import sqlite
from tests.targets.support import START, run, target_over
from tests.targets.test_bulk import BULK, EVERYBODY, MANY, OWNED, world

IN_BULK = Caution(canary=(10,), in_bulk=True)


def moves(simulator: Simulator) -> Plan:
    """Everybody moves to another region."""
    made = datetime.fromtimestamp(START - 60, UTC)
    plan = make_plan(
        *EVERYBODY,
        workspace=simulator.world.workspace.id,
        created_at=made.isoformat(),
        expires_at=made.replace(year=made.year + 1).isoformat(),
    )
    contacts = msgspec.structs.replace(plan.inputs.actual, count=len(simulator.world.people))
    return msgspec.structs.replace(plan, inputs=msgspec.structs.replace(plan.inputs, contacts=contacts))


def moved(simulator: Simulator) -> int:
    """How many contacts are of the new region."""
    return sum(one.custom_attributes.get("region") == "NWP" for one in simulator.world.people)


def apply(simulator: Simulator, plan: Plan, stop: Callable[[], str | None] = lambda: None) -> tuple[Outcome, ...]:
    """Carry it out in one piece, in virtual time."""

    async def main() -> tuple[Outcome, ...]:
        async with target_over(simulator, owned=OWNED) as target:
            return await apply_plan(
                plan,
                target,
                now=lambda: datetime.fromtimestamp(START, UTC),
                max_parallel=4,
                progress=lambda _what, _done, _total: None,
                stop=stop,
                caution=IN_BULK,
            )

    return run(main)


def test_the_canary_goes_alone_and_the_rest_together() -> None:
    """Ten by themselves; then three calls for 240, a look or two at the last job, and the list of two pages."""
    simulator = world()
    outcomes = apply(simulator, moves(simulator))
    assert Counter(outcome.outcome for outcome in outcomes) == {"done": MANY}
    assert moved(simulator) == MANY
    made = [call.path for call in simulator.calls if call.path not in {"/me", "/data_attributes"}]
    assert [path.startswith("/contacts/c") for path in made] == [True] * 10 + [False] * (len(made) - 10)
    jobs = [path for path in made[10:] if path.startswith("/contacts/bulk/")]
    assert Counter(made[10:]) == {"/contacts/bulk": 3, "/contacts": 2} | Counter(jobs)
    assert len(jobs) <= 2


def test_what_goes_together() -> None:
    """Plain updates that wait for nothing; the rest follows in batches, and nobody is left out."""
    plain = [make_action(number, id=f"u-{number}") for number in range(30)]
    identifier = make_action(30, id="u-30", set={"email": "a@example.org"})
    waiting = make_action(31, id="u-31", after=("u-3",))
    second = make_action(32, id="u-32", member=plain[4].member)
    archive = make_action(33, "archive", id="a-33")
    plan = make_plan(*plain, identifier, waiting, second, archive)
    canary, together, rest = run_of(plan, IN_BULK).groups(100)
    assert [action.id for action in canary.actions] == [action.id for action in plain[:10]]
    assert [action.id for action in together.actions] == [action.id for action in plain[10:]]
    assert [action.id for action in rest.actions] == ["u-30", "u-31", "u-32", "a-33"]
    assert [group.in_bulk for group in (canary, together, rest)] == [False, True, False]


def test_a_writer_that_knows_no_bulk_writes_one_by_one() -> None:
    """Bulk is an offer of the writer, not a promise."""
    writer = FakeWriter()
    plan = make_plan(*(make_action(number, id=f"u-{number}") for number in range(30)))
    one = run_of(plan, IN_BULK)
    asyncio.run(one.everything(writer))
    assert len(writer.begun()) == 30


def test_paused_between_two_calls() -> None:
    """After the first call that writes to a hundred nothing is sent any more; those hundred are read back."""
    simulator = world()

    def stop() -> str | None:
        return "paused" if any(call.path == BULK[1] for call in simulator.calls) else None

    outcomes = apply(simulator, moves(simulator), stop)
    assert Counter(outcome.outcome for outcome in outcomes) == {"done": 110, "held": MANY - 110}
    assert moved(simulator) == 110


def test_paused_before_anybody_looked() -> None:
    """Where the hundred cannot be read back by list and nothing more may be sent, nobody knows what became of them."""
    simulator = world()

    def broken(call: Call, phase: str) -> Fault | None:
        return Fault.ERROR_BEFORE if phase == "before" and (call.method, call.path) == ("GET", "/contacts") else None

    simulator.hook = broken

    def stop() -> str | None:
        return "paused" if any(call.path == BULK[1] for call in simulator.calls) else None

    outcomes = apply(simulator, moves(simulator), stop)
    assert Counter(outcome.outcome for outcome in outcomes) == {"done": 10, "unknown": 100, "held": 140}
    assert "was not looked at since: paused" in next(one.says for one in outcomes if one.outcome == "unknown")


@pytest.mark.parametrize("at", [29, 31, 34, 37, 40])
def test_killed_on_the_way(at: int, tmp_path: Path) -> None:
    """Before, between and after the calls in bulk: whoever takes the run up finds what was done, and does the rest."""
    simulator = world()
    simulator.clock = simulator.world.clock = time.time
    scene = Scene(simulator, moves(simulator), sqlite(tmp_path), tmp_path / "plans", caution=IN_BULK)
    if not session(scene, Death(at)):
        scene.caution = Caution()
        assert session(scene, Death(None))
    assert {outcome.outcome for outcome in scene.outcome().outcomes} == {"done"}
    assert moved(simulator) == MANY


def test_a_token_that_may_not_write_in_bulk() -> None:
    """It is found out before anything is sent, and ends the run like any other refusal."""
    simulator = world()

    def revoke(_call: Call, phase: str) -> Fault | None:
        if phase == "after" and sum(one.effect for one in simulator.calls) == 9:
            simulator.options = replace(simulator.options, token="another")
        return None

    simulator.hook = revoke
    outcomes = apply(simulator, moves(simulator))
    assert Counter(outcome.outcome for outcome in outcomes) == {"done": 10, "failed": MANY - 10}
    assert sum(call.status == 401 for call in simulator.calls) == 1
    assert moved(simulator) == 10
