"""Intercom's contacts as a target of the engine: what may be asked, and what may be done, in two classes.

A planner is handed `IntercomTarget.reader`, which has no method that writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import random as _random
from typing import Self

import httpx

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import Contact, Progress, Workspace
from reconciler.targets.intercom.client import MAX_IN_FLIGHT, IntercomClient
from reconciler.targets.intercom.execute import execute
from reconciler.targets.intercom.readback import look
from reconciler.targets.intercom.retry import Patience
from reconciler.targets.intercom.snapshot import count_open_conversations, read_by_list
from reconciler.targets.intercom.wire import VERSION


class IntercomReader:
    """Implements targets.Reader. owned: names of the custom attributes that are ours, without `custom_attributes.`."""

    def __init__(self, client: IntercomClient, *, owned: frozenset[str]) -> None:
        self._client = client
        self._owned = owned

    @property
    def version(self) -> str:
        """Intercom's API version, as every call names it."""
        return VERSION

    async def workspace(self) -> Workspace:
        """Whose workspace the token opens. Raises TargetError, as does every method here."""
        return (await self._client.me()).workspace()

    async def snapshot(self, progress: Progress) -> tuple[Contact, ...]:
        """All live contacts, ordered by id, each once; or SnapshotIncomplete."""
        return await read_by_list(self._client, self._owned, progress)

    async def open_conversations(self, contact_ids: Sequence[str], progress: Progress) -> dict[str, int]:
        """How many open conversations each of these contacts has; contacts without one are left out."""
        return await count_open_conversations(self._client, contact_ids, progress)


class IntercomTarget(IntercomReader):
    """Implements targets.Reader and targets.Writer over one pool of connections. An async context manager.

    token, base_url: whose workspace, and where. owned: as for IntercomReader. transport: None opens the real one.
    clock: unix seconds. sleep: seconds. random: [0, 1). rate_limit: most calls per 10 s, under what Intercom's headers
    allow; None for no ceiling. reserve: share of each window that is left to other apps. max_in_flight: most calls in
    flight; the caller may execute as many actions side by side as it likes.
    """

    def __init__(
        self,
        *,
        token: str,
        base_url: str,
        owned: frozenset[str],
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = _random,
        rate_limit: int | None = None,
        reserve: float = 0.0,
        max_in_flight: int = MAX_IN_FLIGHT,
        patience: Patience | None = None,
    ) -> None:
        client = IntercomClient(
            token=token,
            base_url=base_url,
            transport=transport,
            clock=clock,
            sleep=sleep,
            random=random,
            rate_limit=rate_limit,
            reserve=reserve,
            max_in_flight=max_in_flight,
            patience=patience,
        )
        super().__init__(client, owned=owned)

    @property
    def reader(self) -> IntercomReader:
        """The same workspace for somebody who only reads."""
        return IntercomReader(self._client, owned=self._owned)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """Carry out one action; see `execute.execute`. Raises Unauthorized or ScopeMissing."""
        return await execute(self._client, action, reread=reread)

    async def look(self, action: Action) -> Outcome:
        """What became of an action, without sending anything; see `readback.look`."""
        return await look(self._client, action)
