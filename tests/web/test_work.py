"""The tries of one event, by a clock of the test: what a pause costs, and what stopping leaves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from reconciler.errors import Paused, ReconcilerError
from reconciler.web.events import Event, Handled
from reconciler.web.metrics import Metrics
from reconciler.web.work import DELAYS, PAUSE_SECONDS, Parked, Waiting, Work

EVENT = Event(id="notif_1", topic="conversation_part.tag.created", created_at=1, contact="c1", conversation="51")


@dataclass
class Outage:
    """A Handler of a time at which Intercom is down, and somebody pauses after the last try, for so many looks."""

    pauses: int
    said: list[str] = field(default_factory=list)

    async def handle(self, event: Event) -> Handled:
        """Fails."""
        raise ReconcilerError(f"Intercom does not answer about {event.id}")

    async def give_up(self, event: Event, *, reference: str) -> None:
        """The last word, which is a write like any other."""
        self.pauses -= 1
        if self.pauses >= 0:
            raise Paused(f"nothing is written about {event.id}")
        self.said.append(reference)


@dataclass
class Sleeper:
    """Sleeps in no time, and may be told after how many seconds the service stops."""

    stops_at: float = float("inf")
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """Note it."""
        self.slept.append(seconds)

    def may_begin(self) -> str | None:
        """Until it is told to stop."""
        return "the service is told to stop" if sum(self.slept) >= self.stops_at else None


def do(handler: Outage, sleeper: Sleeper) -> Handled:
    """Handle the event to its end."""
    work = Work(
        handler=handler,
        metrics=Metrics(),
        may_begin=sleeper.may_begin,
        begins=lambda _event: None,
        sleep=sleeper.sleep,
        random=lambda: 0.5,
    )
    return asyncio.run(work.do(Waiting(EVENT, 0.0)))


def test_a_pause_costs_no_last_word() -> None:
    """Whoever pauses during an outage does not keep the agent from being told: the note is written afterwards."""
    handler, sleeper = Outage(pauses=3), Sleeper()
    with pytest.raises(Parked) as caught:
        do(handler, sleeper)
    assert caught.value.told
    assert len(handler.said) == 1
    assert sleeper.slept == [*DELAYS, *[PAUSE_SECONDS] * 3]


def test_a_service_that_stops_while_a_last_word_waits() -> None:
    """The event is not parked in silence: it is interrupted, and whoever takes it up tries it anew."""
    handler, sleeper = Outage(pauses=1000), Sleeper(stops_at=sum(DELAYS) + 2 * PAUSE_SECONDS)
    with pytest.raises(asyncio.CancelledError):
        do(handler, sleeper)
    assert handler.said == []
