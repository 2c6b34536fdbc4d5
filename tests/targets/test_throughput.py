"""Speed: nearly every call that the stand-in's own windows permit, at any latency, with as many callers as you like."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import httpx
import msgspec
import pytest

from reconciler.simulator import Options, Simulator, build_app
from reconciler.simulator.window import RateWindow
from reconciler.targets.intercom import IntercomClient
from reconciler.targets.intercom.pace import SAFE_CALLS, WINDOW, Gate, Pacer
from tests.targets.support import TOKEN, clock, run

CALLERS = 500
"""Far more than may ever be in flight: whoever calls need not count."""


@dataclass
class Load:
    """What came of calling the stand-in's window as fast as the pacer lets us, for some full windows.

    ahead: seconds of its clock before ours. silent: its answers have no headers. neighbour: calls per window of others.
    """

    limit: int
    latency: float = 0.05
    ahead: float = 0.0
    neighbour: int = 0
    reserve: float = 0.0
    ceiling: int | None = None
    silent: bool = False
    windows: int = 5
    most_in_flight: int = 256
    served: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    most: int = 0
    """Calls that were in flight at once."""

    def __post_init__(self) -> None:
        self._window = RateWindow(limit=self.limit, window=WINDOW, neighbour=self.neighbour)
        self._chance = random.Random(7)
        self._now_in_flight = 0
        run(self._main)

    @property
    def full(self) -> list[int]:
        """The windows that began and ended under load."""
        seen = sorted(self.served | self.refused)
        assert len(seen) >= self.windows + 2
        return seen[1 : self.windows + 1]

    @property
    def calls(self) -> int:
        """Calls served in those."""
        return sum(self.served[number] for number in self.full)

    async def _main(self) -> None:
        gate = Gate(ceiling=self.ceiling, reserve=self.reserve, most_in_flight=self.most_in_flight)
        pacer = Pacer(clock=clock, sleep=asyncio.sleep, random=self._chance.random, gate=gate)
        begun = (clock() + self.ahead) // WINDOW
        end = (begun + 1 + self.windows) * WINDOW + WINDOW / 2 - self.ahead

        async def caller() -> None:
            while clock() < end:
                await self._call(pacer)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))

    async def _call(self, pacer: Pacer) -> None:
        """Both ways take half of the latency, give or take a quarter: calls overtake each other."""
        async with pacer.turn() as turn:
            self._now_in_flight += 1
            self.most = max(self.most, self._now_in_flight)
            await asyncio.sleep(self.latency / 2 * self._chance.uniform(0.75, 1.25))
            now = clock() + self.ahead
            allowance = self._window.take(now)
            (self.served if allowance.allowed else self.refused)[int(now // WINDOW)] += 1
            said = {name.lower(): value for name, value in allowance.headers().items()}
            said["date"] = formatdate(now, usegmt=True)
            await asyncio.sleep(self.latency / 2 * self._chance.uniform(0.75, 1.25))
            turn.observe({} if self.silent else said, 200 if allowance.allowed else 429)
            self._now_in_flight -= 1


@pytest.mark.parametrize("limit", [83, 167, 1667])
@pytest.mark.parametrize("latency", [0.05, 0.2, 0.5, 1.0])
def test_latency_costs_no_call(limit: int, latency: float) -> None:
    """At least 99% of five windows' calls and not one 429: so many are in flight as the latency asks for, no more."""
    load = Load(limit, latency)
    assert load.calls >= 0.99 * 5 * limit
    assert not load.refused
    assert load.most <= max(10, 2.5 * limit / WINDOW * latency)


@pytest.mark.parametrize("ahead", [-3.0, -0.4, 0.4, 3.0])
@pytest.mark.parametrize(("limit", "latency"), [(166, 0.05), (166, 0.5), (1666, 0.2)])
def test_a_clock_that_is_off_costs_no_call(ahead: float, limit: int, latency: float) -> None:
    """The Date header tells Intercom's time."""
    load = Load(limit, latency, ahead=ahead)
    assert load.calls >= 0.99 * 5 * limit
    assert not load.refused


@pytest.mark.parametrize("limit", [166, 1666])
@pytest.mark.parametrize("latency", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("share", [0.4, 0.5])
def test_a_neighbour_costs_at_most_two_refusals_per_window(limit: int, latency: float, share: float) -> None:
    """What it will have taken by the time a call arrives is foretold from its rate."""
    load = Load(limit, latency, neighbour=int(share * limit))
    assert load.calls >= 0.99 * 5 * (1 - share) * limit
    assert all(load.refused[number] <= 2 for number in load.full)


@pytest.mark.parametrize("limit", [166, 1666])
@pytest.mark.parametrize("latency", [0.05, 0.2, 0.5])
def test_with_a_reserve_no_call_is_refused(limit: int, latency: float) -> None:
    """A fifth of each window is left untouched, so that even a neighbour's burst finds room, and ours does too."""
    load = Load(limit, latency, neighbour=int(0.4 * limit), reserve=0.2)
    assert not any(load.refused[number] for number in load.full)
    assert all(load.served[number] <= limit - int(0.2 * limit) for number in load.full)
    assert load.calls >= 0.99 * 5 * 0.4 * limit


@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_a_reserve_is_all_that_a_client_alone_leaves(latency: float) -> None:
    """Four fifths are used, and used whole."""
    load = Load(167, latency, reserve=0.2)
    assert {load.served[number] for number in load.full} == {167 - 33}


@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_without_headers_the_safe_rate_is_used_whole(latency: float) -> None:
    """Eighty calls per window are under any limit, and none of the eighty is lost to latency."""
    load = Load(83, latency, silent=True)
    assert load.calls >= 0.99 * 5 * SAFE_CALLS
    assert not load.refused


@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_the_ceiling_is_used_whole(latency: float) -> None:
    """INTERCOM_RATE_LIMIT is a ceiling, not an average."""
    load = Load(1667, latency, ceiling=100)
    assert {load.served[number] for number in load.full} == {100}


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    """Whatever the latency asks for: the pool has so many connections."""
    assert Load(1667, 1.0, windows=2, most_in_flight=20).most == 20


def test_callers_of_the_client_need_not_count() -> None:
    """A thousand reads started at once, 167 a window, half a second each: full windows, no 429, few in flight."""
    simulator = Simulator(
        Options(token=TOKEN, limit=167, latency=(0.4, 0.2)), clock=lambda: 1_800_000_003.0, reset_error=httpx.ReadError
    )
    simulator.seed([msgspec.json.encode({"id": "c1", "role": "user", "external_id": "1"})])
    simulator.clock = clock
    app = build_app(simulator)
    now_in_flight, most = 0, 0

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        nonlocal now_in_flight, most
        now_in_flight += 1
        most = max(most, now_in_flight)
        try:
            await app(scope, receive, send)
        finally:
            now_in_flight -= 1

    async def main() -> None:
        async with IntercomClient(
            token=TOKEN,
            base_url="http://intercom.test",
            transport=httpx.ASGITransport(app=counted),
            clock=clock,
            random=lambda: 0.5,
        ) as client:
            await asyncio.gather(*(client.get("c1") for _ in range(1000)))

    run(main)
    windows = Counter(int(call.time // WINDOW) for call in simulator.calls)
    assert {call.status for call in simulator.calls} == {200}
    assert [windows[number] for number in sorted(windows)][1:-1] == [167] * (len(windows) - 2)
    assert most <= 25
