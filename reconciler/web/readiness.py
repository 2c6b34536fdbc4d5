"""Whether everything that an event needs is there, as `GET /api/ready` tells it to anybody.

Strangers decide how often it is asked. So each answer is good for a while, and whoever comes while it is being found
out waits for it: however many ask at once, the source and the state database are asked once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from reconciler.errors import ReconcilerError, StateError
from reconciler.sources import LookUp

T = TypeVar("T")

SOURCE_SECONDS = 5.0
"""How long the answer to whether the source can be read is good for, and how long it may take."""

STATE_SECONDS = 1.0
"""How long what the state database says is good for."""

NOBODY = "nobody@example.invalid"
"""An e-mail that no member has (RFC 2606): looking it up shows that the source can be read."""


class ForAWhile(Generic[T]):
    """An answer that all share for so many seconds. ask: raises nothing. clock: monotonic seconds."""

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: tuple[float, T] | None = None

    async def __call__(self) -> T:
        """The answer, asked for anew where it is too old."""
        async with self._lock:
            if self._known is None or self._clock() - self._known[0] > self._seconds:
                answer = await self._ask()
                self._known = self._clock(), answer
            return self._known[1]


class Readiness:
    """The checks. our_app: the id of our workspace, None while it is not known. count: looks into the state database;
    is_paused: whether writing is paused. Both block, and raise StateError.
    """

    def __init__(
        self,
        *,
        our_app: Callable[[], str | None],
        look_up: LookUp,
        count: Callable[[], object],
        is_paused: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._our_app = our_app
        self._look_up = look_up
        self._count = count
        self._paused = is_paused
        self.checks: dict[str, Callable[[], Awaitable[str | None]]] = {
            "intercom": self._intercom,
            "source": ForAWhile(self._source, SOURCE_SECONDS, clock),
            "state": ForAWhile(self._state, STATE_SECONDS, clock),
        }
        """Name → what keeps the service from being ready, or None."""
        self._known_paused = ForAWhile(self._ask_paused, STATE_SECONDS, clock)

    async def is_paused(self) -> bool:
        """Whether writing is paused. Raises StateError where nobody can tell."""
        known = await self._known_paused()
        if isinstance(known, StateError):
            raise StateError(known.what, next_step=known.next_step) from known
        return known

    async def _intercom(self) -> str | None:
        return None if self._our_app() is not None else "Intercom has not said yet whose workspace it is"

    async def _state(self) -> str | None:
        try:
            await asyncio.to_thread(self._count)
        except StateError:
            return "the state database does not answer"
        return None

    async def _source(self) -> str | None:
        try:
            async with asyncio.timeout(SOURCE_SECONDS):
                await asyncio.to_thread(self._look_up.members_by_email, NOBODY)
        except (ReconcilerError, TimeoutError):
            return "the source does not answer"
        return None

    async def _ask_paused(self) -> bool | StateError:
        try:
            return await asyncio.to_thread(self._paused)
        except StateError as error:
            return error
