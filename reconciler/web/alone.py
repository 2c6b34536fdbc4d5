"""Doing the work of an event while nobody else writes the same contacts.

What an event may write turns out while it is looked at. So claims are added to as one goes, all of them or none; where
one cannot be had, everything is given up and the work begins anew. Whoever waits holds nothing, so nobody waits in a
circle.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeAlias

from reconciler.core.actions import Action
from reconciler.errors import StateError
from reconciler.runs.claims import Claims, names_of
from reconciler.runs.state import StateDatabase
from reconciler.web.events import Event, Handled

ROUNDS = 3
"""How often a contact that changed while it was looked at is looked at anew, before the event is tried again later."""

PATIENCE = 20.0
"""Seconds that an event waits for contacts which the nightly run, or another event, is writing."""

LOOKS = 200
"""How often it is looked in that time whether they are free."""


class Busy(Exception):
    """Somebody else has claimed what this event may write."""


class Again(Exception):
    """What was read is to be read anew, under a claim on these names too."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__()
        self.names = tuple(names)


class Claimed:
    """What is claimed for one event."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._names: set[str] = set()

    async def add(self, names: Iterable[str]) -> None:
        """Claim these too, and have what is claimed already last as long as they do.

        Raises Busy where somebody else has one of them; Again where the claim ran out meanwhile, as what was read under
        it may have been written since.
        """
        new = [name for name in names if name and name not in self._names]
        if not new:
            return
        if self._names and self._claims.reason_to_stop() is not None:
            raise Again
        if await asyncio.to_thread(self._claims.take_all, [*self._names, *new]) is None:
            raise Busy
        self._names.update(new)

    def holds(self, name: str) -> bool:
        """Whether this contact or member is claimed."""
        return name in self._names

    def has(self, actions: Iterable[Action]) -> bool:
        """Whether all that these write is claimed."""
        return all(self._names.issuperset(names_of(action)) for action in actions)

    def reason_to_stop(self) -> str | None:
        """As Claims.reason_to_stop."""
        return self._claims.reason_to_stop()


Work: TypeAlias = Callable[[Event, Claimed], Awaitable[Handled]]
"""Raises Busy, by way of `Claimed.add`, or Again to be begun anew."""


async def alone(
    event: Event, work: Work, *, database: StateDatabase, sleep: Callable[[float], Awaitable[None]]
) -> Handled:
    """Do the work, from the start as often as that is needed. sleep: seconds.

    Raises StateError where the contacts do not get free, or change each time that they are looked at.
    """
    more: tuple[str, ...] = ()
    waits, rounds = 0, 0
    while True:
        try:
            async with _claiming(event, database) as claimed:
                await claimed.add(more)
                return await work(event, claimed)
        except Again as again:
            rounds += 1
            if rounds >= ROUNDS:
                raise _unsettled(event, "its contacts changed each time that they were looked at") from None
            more = (*more, *again.names)
        except Busy:
            waits += 1
            if waits > LOOKS:
                raise _unsettled(event, "somebody else is at work on its contacts") from None
            await sleep(PATIENCE / LOOKS)


@asynccontextmanager
async def _claiming(event: Event, database: StateDatabase) -> AsyncIterator[Claimed]:
    """The claims of an event while the block lasts. They are the event's: whoever repeats it after a crash has them."""
    claims = Claims(database, holder=f"event {event.id}"[:200], touches=True)
    try:
        yield Claimed(claims)
    finally:
        await asyncio.shield(asyncio.to_thread(claims.give_up))


def _unsettled(event: Event, why: str) -> StateError:
    return StateError(
        f"event {event.id} about contact {event.contact} cannot be settled now: {why}",
        next_step="It is tried again by itself.",
    )
