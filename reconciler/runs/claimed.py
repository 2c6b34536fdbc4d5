"""The claims of one batch of a run while it is under way: taken at once, renewed, waited for, and given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from reconciler.core.actions import Action
from reconciler.errors import StateError
from reconciler.runs.claims import NOTHING_TAKEN, Claims, Taken, names_of

READ_TOOK = timedelta(hours=1)
"""A contact may have been read so long before the snapshot was complete; and clocks differ by less."""

RENEWED = 20.0
"""Seconds after which claims are renewed, while a batch is under way."""

PATIENCE = 20.0
"""Seconds that a contact is waited for which the web service is writing."""

LOOKS = 100
"""How often it is looked in that time whether the contact is free."""


class Batch:
    """What is claimed for a batch. read_at: when its plan's snapshot was complete."""

    def __init__(self, claims: Claims | None, taken: Taken, *, read_at: datetime) -> None:
        self._claims = claims
        self._taken = taken
        self._read_from = (read_at - READ_TOOK).timestamp()

    def is_touched(self, action: Action) -> bool:
        """Whether the web service may have written what this action writes since it was read for the plan."""
        return any(self._taken.touched.get(name, 0.0) >= self._read_from for name in names_of(action))

    def has(self, action: Action) -> bool:
        """Whether what this action writes is claimed, or need not be."""
        return self._claims is None or self._taken.names.issuperset(names_of(action))

    async def why_not(self, action: Action, *, stop: Callable[[], str | None] = lambda: None) -> str | None:
        """Why what this action writes cannot be had, or None once it is claimed. stop: why it is wanted no more."""
        names = names_of(action)
        if self._claims is None:
            return None
        for _ in range(LOOKS):
            try:
                taken = await asyncio.to_thread(self._claims.take, names)
            except StateError as error:
                return f"its contact could not be claimed: {error.what}"
            self._taken = Taken(self._taken.names | taken.names, self._taken.touched | taken.touched)
            if self._taken.names.issuperset(names):
                return None
            if (reason := stop()) is not None:
                return reason
            await self._claims.sleep(PATIENCE / LOOKS)
        return "the web service is at work on this contact"


@asynccontextmanager
async def claimed(claims: Claims | None, actions: Iterable[Action], *, read_at: datetime) -> AsyncIterator[Batch]:
    """Claim what these actions write, as far as nobody else has it, while the block lasts. None: nobody else writes.

    Raises nothing: a batch is a checkpoint of a durable run, which an error would end for good.
    """
    if claims is None:
        yield Batch(None, NOTHING_TAKEN, read_at=read_at)
        return
    taken = NOTHING_TAKEN
    with suppress(StateError):  # then each action claims for itself, and is held where that fails as well
        taken = await asyncio.to_thread(claims.take, {name for action in actions for name in names_of(action)})
    renewing = asyncio.create_task(_renew_on(claims))
    try:
        yield Batch(claims, taken, read_at=read_at)
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        with suppress(StateError):  # they expire by themselves; what was written must be recorded
            await asyncio.to_thread(claims.give_up)


async def _renew_on(claims: Claims) -> None:
    """Renew them until this task is cancelled; where that fails, they expire."""
    while True:
        await asyncio.sleep(RENEWED)
        with suppress(StateError):
            await asyncio.to_thread(claims.renew)
