"""The whole target against the stand-in: every kind of action, every fault, and a night's load under its rate limit."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx
import msgspec
import pytest

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.core.model import silent
from reconciler.errors import Unauthorized
from reconciler.simulator import Call, Fault, Options, RunningSimulator, Simulator
from reconciler.targets.intercom import IntercomReader, IntercomTarget, Patience
from tests.targets.support import TOKEN, clock, run, target_over

T = TypeVar("T")

OWNED = frozenset({"region", "member_number"})
SEED: list[dict[str, Any]] = [
    {"_attribute": {"name": "region", "data_type": "string"}},
    {"_attribute": {"name": "member_number", "data_type": "string"}},
    {"id": "c1", "role": "user", "external_id": "1", "email": "a@example.org", "custom_attributes": {"region": "NEA"}},
    {"id": "c2", "role": "user", "external_id": "2", "email": "b@example.org", "_open_conversations": 2},
    {"id": "c3", "role": "lead", "email": "a@example.org"},
    {"id": "c4", "role": "lead", "email": "d@example.org"},
    {"id": "c5", "role": "user", "external_id": "5", "email": "e@example.org", "_archived": True},
    {"id": "c6", "role": "user", "external_id": "6", "email": "f@example.org", "_blocked": True},
]


def world(**options: Any) -> Simulator:
    """The stand-in with the contacts above, in virtual time."""
    simulator = Simulator(
        Options(token=TOKEN, **options),
        clock=lambda: 1_800_000_003.0,
        reset_error=httpx.ReadError,
        timeout_error=httpx.ReadTimeout,
    )
    simulator.seed([msgspec.json.encode(line) for line in SEED])
    simulator.clock = clock
    return simulator


def with_target(simulator: Simulator, main: Callable[[IntercomTarget], Coroutine[Any, Any, T]]) -> T:
    """Run something with a target over it."""

    async def connected() -> T:
        async with target_over(simulator, owned=OWNED) as target:
            return await main(target)

    return run(connected)


UPDATE = Action(
    id="u1",
    do="update",
    contact="c1",
    expect={"custom_attributes.region": "NEA"},
    set={"custom_attributes.region": "NWP"},
)
PROMOTE = Action(
    id="p1",
    do="promote",
    contact="c4",
    expect={"role": "lead", "external_id": None},
    set={"role": "user", "external_id": "4"},
)
CREATE = Action(id="n1", do="create", set={"role": "user", "external_id": "9", "email": "i@example.org"})
ARCHIVE = Action(id="a1", do="archive", contact="c2", expect={"external_id": "2"}, set={"external_id": "archived-2"})
MERGE = Action(id="m1", do="merge", contact="c3", into="c1", expect={"role": "lead"})
UNARCHIVE = Action(id="r1", do="unarchive", contact="c5", set={"custom_attributes.region": "NWP"})
ACTIONS = [UPDATE, PROMOTE, CREATE, ARCHIVE, MERGE, UNARCHIVE]
KINDS = [action.do for action in ACTIONS]


def state_after(action: Action) -> Any:
    """The world after an untroubled run, without the times and the id that chance gives."""
    simulator = world()
    with_target(simulator, lambda target: target.execute(action, reread=False))
    return comparable(simulator)


def comparable(simulator: Simulator) -> Any:
    """The contacts of a world, by state, without the times of writing."""
    states = msgspec.json.decode(simulator.state_json())
    return {
        name: [{key: one[key] for key in one if not key.endswith("_at")} for one in states[name]]
        for name in ("live", "archived", "merged", "blocked")
    }


def test_what_may_be_asked() -> None:
    """Workspace, snapshot and open conversations, through the reader that a planner is handed."""

    async def ask(target: IntercomTarget) -> Any:
        reader = target.reader
        return (
            await reader.workspace(),
            await reader.snapshot(silent),
            await reader.open_conversations(["c1", "c2"], silent),
        )

    simulator = world()
    workspace, contacts, conversations = with_target(simulator, ask)
    assert workspace.id == simulator.world.workspace.id
    assert [found.id for found in contacts] == ["c1", "c2", "c3", "c4"]
    assert contacts[0].custom_attributes == {"region": "NEA"}
    assert conversations == {"c2": 2}
    assert not any(call.effect for call in simulator.calls)


def test_a_reader_cannot_write() -> None:
    """The planner is handed a reader: no method of it changes anything."""
    offered = {name for name in dir(IntercomReader) if not name.startswith("_")}
    reads = {"version", "workspace", "snapshot", "contact", "candidates", "open_conversations"}
    reads |= {"check_attributes"}
    assert offered == reads


@pytest.mark.parametrize("action", ACTIONS, ids=KINDS)
def test_every_kind_is_done_and_done_once(action: Action) -> None:
    """Done, verified, and done again without a second effect: level-triggered."""
    simulator = world()

    async def twice(target: IntercomTarget) -> tuple[Outcome, Outcome]:
        return await target.execute(action, reread=False), await target.execute(action, reread=True)

    first, second = with_target(simulator, twice)
    assert first.outcome == "done", first.says
    effects = sum(call.effect for call in simulator.calls)
    assert second.outcome in ("done", "stale")
    assert (
        sum(call.effect for call in simulator.calls) == effects == (2 if action.do in ("archive", "unarchive") else 1)
    )


FAULTS = [fault for fault in Fault if fault is not Fault.RATE_LIMIT]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("action", ACTIONS, ids=KINDS)
def test_no_single_fault_makes_a_difference(action: Action, fault: Fault) -> None:
    """Whichever call of an action goes wrong, before or after its effect: the world is as without the fault, or the
    outcome is unknown; and no effect happens twice.
    """
    expected = state_after(action)
    clean = world()
    with_target(clean, lambda target: target.execute(action, reread=False))
    for struck in range(1, len(clean.calls) + 1):
        simulator = world(hold=1.0)

        def strike(call: Call, phase: str, struck: int = struck) -> Fault | None:
            return fault if call.number == struck and phase == "before" else None

        simulator.hook = strike
        outcome = with_target(simulator, lambda target: target.execute(action, reread=False))
        if outcome.outcome == "done":
            assert comparable(simulator) == expected, f"call {struck}"
        else:
            assert (outcome.outcome, action.do) == ("unknown", "create"), f"call {struck}: {outcome.says}"
        assert sum(call.effect for call in simulator.calls) <= sum(call.effect for call in clean.calls)


REFUSALS: list[tuple[str, Action, Verdict, str | None, str]] = [
    (
        "a live duplicate",
        Action(id="1", do="create", set={"external_id": "1", "name": "x"}),
        "failed",
        "conflict",
        "Contact c1, live",
    ),
    (
        "an archived duplicate, of another than is to be created",
        Action(id="2", do="update", contact="c1", set={"external_id": "5"}),
        "failed",
        "conflict",
        "Contact c5, archived",
    ),
    ("a blocked person", Action(id="3", do="create", set={"external_id": "6"}), "failed", "not_restorable", "blocked"),
    (
        "an unknown attribute",
        Action(id="4", do="update", contact="c1", set={"custom_attributes.shoe_size": "43"}),
        "failed",
        "parameter_invalid",
        "400",
    ),
    ("a merge of two users", Action(id="5", do="merge", contact="c2", into="c1"), "failed", None, "400"),
    ("an archived contact", Action(id="6", do="update", contact="c5", set={"name": "x"}), "stale", "not_found", "c5"),
]


@pytest.mark.parametrize(("reason", "action", "verdict", "code", "says"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_refusals_end_one_action_and_change_nothing(
    reason: str, action: Action, verdict: str, code: str | None, says: str
) -> None:
    """With Intercom's own wordings, as the stand-in has them from their sources."""
    simulator = world()
    outcome = with_target(simulator, lambda target: target.execute(action, reread=False))
    assert outcome.outcome == verdict, reason
    assert code is None or outcome.code == code
    assert says in outcome.says
    assert comparable(simulator) == comparable(world())


def test_a_wrong_token_stops_everything() -> None:
    """Raised, so that the run stops writing; and without the token in it."""

    async def main(target: IntercomTarget) -> None:
        with pytest.raises(Unauthorized):
            await target.execute(UPDATE, reread=False)

    simulator = world()
    simulator.options = dataclasses.replace(simulator.options, token="another")
    with_target(simulator, main)


def test_many_writes_side_by_side_keep_to_the_limit() -> None:
    """400 updates, 167 calls a window, a neighbour that takes a fifth: all done, next to no 429, no window wasted."""
    simulator = world(limit=167, neighbour=33, latency=(0.05, 0.1))
    lines = [{"id": f"m{number:03}", "external_id": f"m{number}", "role": "user"} for number in range(400)]
    simulator.seed([msgspec.json.encode(line) for line in lines])

    async def main(target: IntercomTarget) -> tuple[list[Outcome], float]:
        places = asyncio.Semaphore(32)

        async def one(number: int) -> Outcome:
            action = Action(
                id=f"u{number}", do="update", contact=f"m{number:03}", set={"custom_attributes.region": "NWP"}
            )
            async with places:
                return await target.execute(action, reread=False)

        outcomes = await asyncio.gather(*(one(number) for number in range(400)))
        return outcomes, asyncio.get_running_loop().time()

    outcomes, seconds = with_target(simulator, main)
    assert {outcome.outcome for outcome in outcomes} == {"done"}
    assert sum(call.status == 429 for call in simulator.calls) <= 8
    assert seconds < 35


def test_it_reads_and_writes_over_a_real_socket() -> None:
    """The same over aiohttp and a port, with the faults that only sockets have."""

    async def main(url: str) -> tuple[int, Outcome, Outcome]:
        async with IntercomTarget(
            token=TOKEN, base_url=url, owned=OWNED, patience=Patience(read=5), random=lambda: 0.0
        ) as target:
            contacts = await target.snapshot(silent)
            reset = await target.execute(UPDATE, reread=True)
            return len(contacts), reset, await target.execute(PROMOTE, reread=True)

    simulator = Simulator(Options(token=TOKEN))
    simulator.seed([msgspec.json.encode(line) for line in SEED])
    simulator.hook = lambda call, phase: Fault.RESET_AFTER if call.method == "PUT" and phase == "before" else None
    with RunningSimulator(simulator) as server:
        count, update, promote = asyncio.run(main(server.base_url))
    assert count == 4
    assert [update.outcome, promote.outcome] == ["done", "done"]
    assert "recovered by read-back" in update.says
    puts = [call for call in simulator.calls if call.method == "PUT"]
    assert len(puts) == 2
