"""What strangers may have us ask: each thing once in a while, however many of them ask how often."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from reconciler.errors import SourceUnreachable, StateError
from reconciler.web.readiness import SOURCE_SECONDS, STATE_SECONDS, Readiness
from tests.web.asgi import Members

STRANGERS = 200


@dataclass
class State:
    """A state database that takes its time, and may be down or paused."""

    fails: bool = False
    paused: bool = False
    counted: int = 0
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> int:
        """How long the queue is."""
        with self.lock:
            self.counted += 1
        return self._answer(0)

    def is_paused(self) -> bool:
        """Whether somebody pulled the stop."""
        with self.lock:
            self.asked += 1
        return self._answer(self.paused)

    def _answer(self, value: int) -> bool:
        time.sleep(0.02)
        if self.fails:
            raise StateError("down")
        return bool(value)


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 0.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now


def readiness(members: Members, state: State, clock: Clock) -> Readiness:
    """Of a service whose workspace is known."""
    return Readiness(
        our_app=lambda: "abc123", look_up=members, count=state.count, is_paused=state.is_paused, clock=clock
    )


def test_however_many_ask_the_databases_are_asked_once() -> None:
    """Two hundred at once: one connection to the source, one to the state; and no more until the answer is old."""
    members, state, clock = Members(seconds=0.02), State(), Clock()

    async def run() -> None:
        ready = readiness(members, state, clock)
        for moment, times in ((0.0, 1), (STATE_SECONDS, 1), (SOURCE_SECONDS + 0.1, 2)):
            clock.now = moment
            for ask in (*ready.checks.values(), ready.is_paused):
                assert not any(await asyncio.gather(*[ask() for _ in range(STRANGERS)]))
            assert len(members.asked) == times
        assert (state.counted, state.asked) == (2, 2)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("members", "state", "name", "says"),
    [
        (Members(fails=SourceUnreachable("down")), State(), "source", "the source does not answer"),
        (Members(), State(fails=True), "state", "the state database does not answer"),
    ],
)
def test_what_is_down_is_told_and_looked_at_again(members: Members, state: State, name: str, says: str) -> None:
    """In words of ours; once it is up again, that is told within seconds."""
    clock = Clock()

    async def run() -> None:
        check: Callable[[], Awaitable[str | None]] = readiness(members, state, clock).checks[name]
        assert await check() == says
        members.fails, state.fails = None, False
        clock.now = SOURCE_SECONDS + 0.1
        assert await check() is None

    asyncio.run(run())


def test_a_pause_that_cannot_be_read_is_an_error_for_all() -> None:
    """Two hundred hear that nobody can tell, of one question; once it can be read again, that is told."""
    state, clock = State(fails=True, paused=True), Clock()

    async def run() -> None:
        ready = readiness(Members(), state, clock)
        told = await asyncio.gather(*[ready.is_paused() for _ in range(STRANGERS)], return_exceptions=True)
        assert {type(one) for one in told} == {StateError}
        assert state.asked == 1
        state.fails = False
        clock.now = STATE_SECONDS + 0.1
        assert await ready.is_paused()

    asyncio.run(run())
