"""The nightly run and the web service, two processes that know of each other by Intercom's headers alone."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest

from reconciler.from_settings import SERVICE_SHARE
from reconciler.simulator.window import RateWindow
from reconciler.targets.intercom.pace import WINDOW, Gate, Pacer
from tests.targets.support import clock, run

CALLS_OF_AN_EVENT = 4
"""One after the other: the contact, its twins, and a write, with one to spare."""


@dataclass
class Shared:
    """What came of both calling for some full windows: the night as fast as it may, the service for one event after
    the other, `events` a window. share: what the night leaves to others. own: what the service counts on.
    """

    limit: int
    latency: float
    share: float = SERVICE_SHARE
    own: float = SERVICE_SHARE
    events: int = 2
    windows: int = 5
    served: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    """Seconds from an event to its last answer."""

    def __post_init__(self) -> None:
        self._window = RateWindow(limit=self.limit, window=WINDOW, neighbour=0)
        self._chance = random.Random(11)
        run(self._main)

    @property
    def full(self) -> list[int]:
        """The windows that began and ended under load."""
        seen = sorted({number for _, number in self.served})
        return seen[1 : self.windows + 1]

    async def _main(self) -> None:
        end = (clock() // WINDOW + 1 + self.windows) * WINDOW + WINDOW / 2
        night = self._pacer(Gate(reserve=self.share))
        web = self._pacer(Gate(own=self.own))

        async def worker() -> None:
            while clock() < end:
                await self._call(night, "night")

        async def service() -> None:
            # The service is up before the night begins, and has seen an answer.
            while clock() < end:
                began = clock()
                for _ in range(CALLS_OF_AN_EVENT):
                    while not await self._call(web, "web"):
                        pass
                self.waits.append(clock() - began)
                await asyncio.sleep(WINDOW / self.events * self._chance.uniform(0.7, 1.3))

        await asyncio.gather(service(), *(worker() for _ in range(100)))

    def _pacer(self, gate: Gate) -> Pacer:
        return Pacer(clock=clock, sleep=asyncio.sleep, random=self._chance.random, gate=gate)

    async def _call(self, pacer: Pacer, who: str) -> bool:
        async with pacer.turn() as turn:
            await asyncio.sleep(self.latency / 2 * self._chance.uniform(0.75, 1.25))
            allowance = self._window.take(clock())
            number = int(clock() // WINDOW)
            if allowance.allowed:
                self.served[who, number] += 1
            else:
                self.refused[number] += 1
            said = {name.lower(): value for name, value in allowance.headers().items()}
            said["date"] = formatdate(clock(), usegmt=True)
            await asyncio.sleep(self.latency / 2 * self._chance.uniform(0.75, 1.25))
            turn.observe(said, 200 if allowance.allowed else 429)
        return allowance.allowed


@pytest.mark.parametrize(("limit", "events"), [(83, 1), (167, 2), (1667, 20)])
@pytest.mark.parametrize("latency", [0.05, 0.2])
def test_the_service_has_its_share(limit: int, events: int, latency: float) -> None:
    """At most two 429 a window, an event in two seconds, and the rest of the window is the night's."""
    shared = Shared(limit, latency, events=events)
    assert max((shared.refused[number] for number in shared.full), default=0) <= 2
    waits = sorted(shared.waits)
    assert waits[int(0.95 * (len(waits) - 1))] < 2.0
    night = sum(shared.served["night", number] for number in shared.full)
    assert night >= (1 - SERVICE_SHARE - 0.03) * limit * len(shared.full) - 2 * len(shared.full)


@pytest.mark.parametrize(("share", "own"), [(0.0, SERVICE_SHARE), (SERVICE_SHARE, 0.0)])
def test_without_its_share_an_event_waits_for_the_next_window(share: float, own: float) -> None:
    """The guards themselves: a night that takes everything, or a service that does not count on what is left to it."""
    shared = Shared(167, 0.2, share=share, own=own)
    assert max(shared.waits) > 3.0
