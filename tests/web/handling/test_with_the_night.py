"""A webhook races the nightly apply on one contact (failure mode B6): in every order of their calls both end well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import delete

from reconciler import controller
from reconciler.controller import PlanRequest
from reconciler.core.actions import Outcome
from reconciler.core.model import Member, Progress, SourceData, silent
from reconciler.core.plan import Plan
from reconciler.from_settings import owned_attributes
from reconciler.runs.apply import Run
from reconciler.runs.claims import NIGHT, Claims
from reconciler.runs.state import CLAIMS, StateDatabase
from reconciler.simulator import build_app
from reconciler.targets.intercom import IntercomTarget
from reconciler.web.events import Event, Handled
from tests.support.asked import Asked
from tests.web.handling.desk import ANN, ANNS, LEAD, Desk, conversation, message, open_desk, tag
from tests.web.handling.turns import Party, Turns

STEPS = 6


@dataclass(frozen=True)
class Race:
    """A workspace, what the source said when the night planned, what it says now, and the event."""

    lines: tuple[dict[str, Any], ...]
    then: tuple[Member, ...]
    now: tuple[Member, ...]
    event: Event


def _moved(region: str) -> Member:
    return msgspec.structs.replace(ANN, region=region)


RACES: dict[str, Race] = {
    # The plan is a minute old, so that the night would send its update without reading the contact first.
    "an update that is out of date": Race((ANNS,), (_moved("NSW"),), (_moved("NCE"),), message("a1")),
    "a create for whom an agent has just found": Race(
        (LEAD, conversation("l1", number="1001")), (ANN,), (ANN,), tag("l1")
    ),
    "an archive of whom wrote": Race((ANNS, LEAD | {"email": "ann@example.org"}), (ANN,), (ANN,), message("l1")),
    "a promotion by both": Race(
        (LEAD | {"email": "ann@example.org"}, conversation("l1", number="1001")), (ANN,), (ANN,), tag("l1")
    ),
}


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all races."""
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateDatabase]:
    """One state database for all races, which costs more to make than to empty."""
    opened = StateDatabase(f"sqlite:///{tmp_path_factory.mktemp('state') / 'state.sqlite'}")
    yield opened
    opened.close()


@pytest.mark.parametrize("race", RACES.values(), ids=RACES.keys())
def test_every_order_converges(race: Race, runner: asyncio.Runner, database: StateDatabase) -> None:
    """Two to the sixth orders: the contact is as the source has it now, nobody is there twice, nothing is in doubt."""
    seen = set()
    for choices in product((0, 1), repeat=STEPS):
        with TemporaryDirectory() as folder:
            desk, turns, outcomes, handled = runner.run(run_race(race, Path(folder), database, choices))
        check(race, desk, outcomes, handled)
        seen.add(tuple(turns.taken))
    assert len(seen) > STEPS


def check(race: Race, desk: Desk, outcomes: tuple[Outcome, ...], handled: Handled) -> None:
    """What must hold in the end."""
    assert {one.outcome for one in outcomes} <= {"done", "stale"}
    assert handled.result in {"reconciled", "nothing", "refused"}
    anns = [one for one in desk.state()["live"] if one["external_id"] == "1001"]
    assert len(anns) == 1
    assert anns[0]["custom_attributes"]["region"] == race.now[0].region
    creates = [call for call in desk.writes() if call.path == "/contacts"]
    archives = [call for call in desk.writes() if call.path.endswith("/archive")]
    assert len(creates) <= 1
    assert len(archives) <= 1
    if handled.result == "refused":
        # The night was first, and made a user of its own: the lead in the conversation is left to a person.
        assert creates
        assert desk.notes()


def test_without_claims_an_update_out_of_date_would_win(runner: asyncio.Runner, database: StateDatabase) -> None:
    """The guard itself: without it some order of the calls leaves what the source no longer says."""
    race = RACES["an update that is out of date"]
    regions = set()
    for choices in product((0, 1), repeat=STEPS):
        with TemporaryDirectory() as folder:
            desk, *_ = runner.run(run_race(race, Path(folder), database, choices, claims=False))
            regions.add(desk.contact("a1")["custom_attributes"]["region"])
        if len(regions) == 2:
            return
    raise AssertionError(f"whatever the order, it was {regions}")


async def run_race(
    race: Race, folder: Path, database: StateDatabase, choices: tuple[int, ...], *, claims: bool = True
) -> tuple[Desk, Turns, tuple[Outcome, ...], Handled]:
    """Plan the night, then let both make their calls in the order of the choices."""
    with database.begin() as connection:
        connection.execute(delete(CLAIMS))
    desk = open_desk(folder, *race.lines, members=race.now, database=database)
    plan = await plan_of(desk, race.then)
    assert plan.actions
    desk.clock.now += 60
    turns = Turns(choices)
    night, web = turns.party("night"), turns.party("web")
    done = await turns.play(night=_night(desk, plan, night, claims=claims), web=_web(desk, race.event, web))
    outcomes, handled = done["night"], done["web"]
    assert isinstance(outcomes, tuple)
    assert isinstance(handled, Handled)
    return desk, turns, outcomes, handled


class _Everybody(Asked):
    def read(self, _progress: Progress) -> SourceData:
        """As sources.Source."""
        return self.data


async def plan_of(desk: Desk, members: tuple[Member, ...]) -> Plan:
    """What the night makes of what the source said then."""
    async with _target(desk, httpx.ASGITransport(app=build_app(desk.simulator))) as target:
        return await controller.plan(
            source=_Everybody(SourceData("sqlite", members, ())),
            reader=target.reader,
            rules=desk.rules,
            store=desk.store,
            request=PlanRequest(),
            now=desk.clock.moment,
            progress=silent,
        )


def _target(desk: Desk, transport: httpx.AsyncBaseTransport) -> IntercomTarget:
    return IntercomTarget(
        token="t",
        base_url="http://intercom.test",
        owned=owned_attributes(desk.rules),
        transport=transport,
        clock=desk.clock,
        sleep=desk.clock.sleep,
        random=lambda: 0.5,
    )


async def _night(desk: Desk, plan: Plan, party: Party, *, claims: bool) -> tuple[Outcome, ...]:
    held = Claims(desk.database, holder=NIGHT, sleep=party.sleep) if claims else None
    run = Run(plan, now=desk.clock.moment, max_parallel=1, progress=silent, stop=lambda: None, claims=held)
    async with _target(desk, party.through(httpx.ASGITransport(app=build_app(desk.simulator)))) as target:
        # The batch may begin, and claim what it writes, before or after any step of the other.
        await party.wait("at the door")
        await run.everything(target)
    return run.in_plan_order()


async def _web(desk: Desk, event: Event, party: Party) -> Handled:
    transport = party.through(httpx.ASGITransport(app=build_app(desk.simulator)))
    return await desk.with_handler(
        lambda handler: handler.handle(event), transport=_OneByOne(transport), sleep=party.sleep
    )


class _OneByOne(httpx.AsyncBaseTransport):
    """Calls side by side, one after the other, so that a party stands at one door at a time."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._lock = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One call."""
        async with self._lock:
            answer = await self._inner.handle_async_request(request)
            await answer.aread()
            return answer
