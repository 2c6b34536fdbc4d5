"""A stop reaches the actions that wait for their first call, and not only those that are not begun (B14, A14).

By default a hundred actions are under way at a time; behind Intercom's limit most of them have sent nothing yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.core.drafts import released
from reconciler.core.model import silent
from reconciler.runs.apply import apply_plan
from reconciler.simulator import Call, Fault, Options, Simulator
from tests.report.plans import make_plan
from tests.targets.support import START, TOKEN, clock, run, target_over

PEOPLE = range(300)
LATENCY = 0.1
SOON = 1.5
"""Seconds after a stop in which a call on its way is answered, and whoever waits has looked up."""


def update(number: int) -> Action:
    """One call, or two where the contact is read first."""
    return Action(
        id=f"u{number}",
        do="update",
        contact=f"c{number}",
        member=str(number),
        expect={"name": "Old"},
        set={"name": "New"},
    )


def archive(number: int) -> Action:
    """A read and two writes."""
    contact = f"c{number}"
    return Action(
        id=f"a{number}",
        do="archive",
        contact=contact,
        member=str(number),
        expect={"external_id": str(number)},
        set={"external_id": released("external_id", contact)},
    )


class Stopped:
    """A run that is stopped at one moment."""

    def __init__(
        self,
        actions: list[Action],
        *,
        at: float,
        age: float,
        limit: int = 1667,
        hook: Callable[[Call, str], Fault | None] | None = None,
    ) -> None:
        self.simulator = Simulator(Options(token=TOKEN, limit=limit, latency=(LATENCY, 0.0)), clock=lambda: START)
        people = [{"id": f"c{one}", "role": "user", "external_id": str(one), "name": "Old"} for one in PEOPLE]
        self.simulator.seed(map(msgspec.json.encode, people))
        self.simulator.clock = clock
        self.simulator.hook = hook
        made = datetime.fromtimestamp(START - age, UTC)
        plan = make_plan(
            *actions,
            workspace=self.simulator.world.workspace.id,
            created_at=made.isoformat(),
            expires_at=(made + timedelta(days=1)).isoformat(),
        )

        async def main() -> tuple[tuple[Outcome, ...], float]:
            def stop() -> str | None:
                return "paused" if asyncio.get_running_loop().time() >= at else None

            async with target_over(self.simulator) as target:
                outcomes = await apply_plan(
                    plan,
                    target,
                    now=lambda: datetime.fromtimestamp(clock(), UTC),
                    max_parallel=100,
                    progress=silent,
                    stop=stop,
                )
            return outcomes, asyncio.get_running_loop().time()

        self.outcomes, self.ended = run(main)
        self.verdicts = Counter(one.outcome for one in self.outcomes)
        self.writes = [call.time - START for call in self.simulator.calls if call.effect]


@pytest.mark.parametrize("limit", [83, 167])
@pytest.mark.parametrize("age", [60.0, 3600.0], ids=["sent at once", "read first"])
@pytest.mark.parametrize("at", [1.0, 5.0])
def test_stopped_behind_the_limit(limit: int, age: float, at: float) -> None:
    """Nothing is written any more but what is on its way, and nobody waits for the next window."""
    stopped = Stopped(list(map(update, PEOPLE)), at=at, age=age, limit=limit)
    assert stopped.ended < at + SOON
    assert not [when for when in stopped.writes if when > at + SOON]
    done, held = (stopped.verdicts[verdict] for verdict in ("done", "held"))
    assert (done, held) == (len(stopped.writes), len(PEOPLE) - len(stopped.writes))
    assert {one.says for one in stopped.outcomes if one.outcome == "held"} == {"paused"}
    assert not [one for one in stopped.outcomes if one.outcome == "held" and one.sent]


def test_what_has_begun_is_brought_to_its_end() -> None:
    """No duplicate is left with its identifiers given up and not archived."""
    stopped = Stopped(list(map(archive, PEOPLE)), at=12.0, age=60.0, limit=83)
    assert set(stopped.verdicts) == {"done", "held"}
    assert len(stopped.writes) == 2 * stopped.verdicts["done"]
    live = msgspec.json.decode(stopped.simulator.state_json())["live"]
    assert not [one for one in live if one["external_id"].startswith("duplicate-")]
    assert len(live) == stopped.verdicts["held"] > 0


def down(call: Call, _phase: str) -> Fault | None:
    """Intercom answers one call, and is down from then on."""
    return Fault.ERROR_BEFORE if call.number > 1 else None


def refusing(call: Call, _phase: str) -> Fault | None:
    """Others use up the limit: every write is refused."""
    return Fault.RATE_LIMIT if call.method == "PUT" else None


@pytest.mark.parametrize(("hook", "age"), [(down, 3600.0), (refusing, 60.0)], ids=["down", "429"])
def test_stopped_while_it_waits_for_intercom(hook: Callable[[Call, str], Fault | None], age: float) -> None:
    """Neither a breaker that is open nor a limit that others use up keeps the process for minutes."""
    stopped = Stopped(list(map(update, PEOPLE)), at=3.0, age=age, hook=hook)
    assert stopped.ended < 3.0 + SOON
    assert stopped.writes == []
    assert stopped.verdicts["held"] > 0.9 * len(PEOPLE)
