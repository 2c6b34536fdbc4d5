"""Intercom's contacts as a target of the engine: what may be asked, and what may be done, in two classes.

A planner is handed `IntercomTarget.reader`, which has no method that writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import random as _random
from typing import Self

import httpx

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import ATTRIBUTE_PREFIX, Contact, Progress, Workspace, silent
from reconciler.targets.intercom.attributes import AttributeGate, AttributeProblem
from reconciler.targets.intercom.bulk import execute_bulk
from reconciler.targets.intercom.client import MAX_IN_FLIGHT, IntercomClient
from reconciler.targets.intercom.conversations import take_tag_off, write_note
from reconciler.targets.intercom.execute import execute
from reconciler.targets.intercom.finder import find_candidates, read_contact
from reconciler.targets.intercom.halt import Stop
from reconciler.targets.intercom.readback import look
from reconciler.targets.intercom.retry import Patience
from reconciler.targets.intercom.snapshot import Strategy, count_open_conversations, read_by_list
from reconciler.targets.intercom.wire import VERSION, OneConversation


def _never() -> None:
    """Nothing stops it."""


def _to_nobody(_outcome: Outcome) -> None:
    """Whoever waits for all outcomes need not be told of each."""


class IntercomReader:
    """Implements targets.Reader. owned: names of the custom attributes that are ours, without `custom_attributes.`.
    snapshot_by: how all contacts are read.
    """

    def __init__(self, client: IntercomClient, *, owned: frozenset[str], snapshot_by: Strategy = read_by_list) -> None:
        self._snapshot_by = snapshot_by
        self._client = client
        self._owned = owned
        self._attributes = AttributeGate(client, owned)

    @property
    def version(self) -> str:
        """Intercom's API version, as every call names it."""
        return VERSION

    async def workspace(self) -> Workspace:
        """Whose workspace the token opens. Raises TargetError, as does every method here."""
        return (await self._client.me()).workspace()

    async def snapshot(self, progress: Progress) -> tuple[Contact, ...]:
        """All live contacts, ordered by id, each once; or SnapshotIncomplete."""
        return await self._snapshot_by(self._client, self._owned, progress)

    async def open_conversations(self, contact_ids: Sequence[str], progress: Progress) -> dict[str, int]:
        """How many open conversations each of these contacts has; contacts without one are left out."""
        return await count_open_conversations(self._client, contact_ids, progress)

    async def contact(self, contact_id: str) -> Contact | None:
        """The live contact with this id, or the one that it was merged into; None where there is none."""
        return await read_contact(self._client, contact_id, self._owned)

    async def candidates(self, clues: Iterable[tuple[str, str]]) -> tuple[Contact, ...]:
        """Contacts that may have one of these values, as a search that lags tells; see `finder`."""
        return await find_candidates(self._client, clues, self._owned)

    async def check_attributes(self) -> tuple[AttributeProblem, ...]:
        """What is wrong with our attributes, by name. From then on, this object holds the actions that write them."""
        return await self._attributes.check()


class IntercomTarget(IntercomReader):
    """Implements targets.Reader and targets.Writer over one pool of connections. An async context manager.

    token, base_url: whose workspace, and where. owned: as for IntercomReader. transport: None opens the real one.
    clock: unix seconds. sleep: seconds. random: [0, 1). rate_limit: most calls per 10 s, under what Intercom's headers
    allow; None for no ceiling. reserve: share of each window that is left to other apps. own: share that they leave to
    us. max_in_flight: most calls in flight; the caller may execute as many actions side by side as it likes.
    restore_archived: whether a create that meets the member's own archived contact brings it back; else it fails, and
    says so. snapshot_by: as for IntercomReader. hiding_for: rules for whose sake a contact is archived also where that
    hides an open conversation.
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
        own: float = 0.0,
        max_in_flight: int = MAX_IN_FLIGHT,
        patience: Patience | None = None,
        restore_archived: bool = True,
        snapshot_by: Strategy = read_by_list,
        hiding_for: frozenset[str] = frozenset(),
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
            own=own,
            max_in_flight=max_in_flight,
            patience=patience,
        )
        super().__init__(client, owned=owned, snapshot_by=snapshot_by)
        self._restore_archived = restore_archived
        self._sleep = sleep
        self._hiding_for = hiding_for
        self._open: dict[str, int] = {}
        self._stop: Stop | None = None

    @property
    def reader(self) -> IntercomReader:
        """The same workspace for somebody who only reads."""
        return IntercomReader(self._client, owned=self._owned, snapshot_by=self._snapshot_by)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """Carry out one action; see `execute.execute`. Held, with nothing sent, where it would write an attribute that
        is known not to take it. Raises Unauthorized or ScopeMissing.
        """
        held = self._attributes.hold(action)
        if held is not None:
            return held
        outcome = await execute(
            self._client,
            action,
            reread=reread,
            restore_archived=self._restore_archived,
            open_conversations=self._open.get(action.contact or "", 0),
            stop=self._stop,
        )
        return await self._attributes.explain(action, outcome)

    def halt_when(self, stop: Stop) -> None:
        """As targets.Haltable."""
        self._stop = self._client.lately(stop)

    def _asking(self) -> IntercomClient:
        """The client for questions that come before the first write."""
        return self._client if self._stop is None else self._client.halted_by(self._stop)

    async def workspace(self) -> Workspace:
        """As targets.Writer."""
        return (await self._asking().me()).workspace()

    async def prepare(self, actions: Sequence[Action]) -> None:
        """Ask which of our attributes can be written, where any of these actions writes one; and who of those to be
        archived has an open conversation by now, hours after the plan was made perhaps.
        """
        if any(path.startswith(ATTRIBUTE_PREFIX) for action in actions for path in action.set):
            await self._attributes.check(self._asking())
        archived = [one.contact for one in actions if one.contact is not None and self._must_hide_nothing(one)]
        self._open = await count_open_conversations(self._asking(), archived, silent)

    def _must_hide_nothing(self, action: Action) -> bool:
        return action.do == "archive" and self._hiding_for.isdisjoint(one.rule for one in action.because)

    async def execute_bulk(
        self,
        actions: Sequence[Action],
        *,
        reread: bool,
        contacts: int | None = None,
        stop: Callable[[], str | None] = _never,
        note: Callable[[Outcome], None] = _to_nobody,
    ) -> tuple[Outcome, ...]:
        """Carry out many actions, none of which waits for another: plain updates in bulk through the Preview API where
        that takes fewer calls, the others one by one; see `bulk.execute_bulk`. One outcome for each, in order.
        contacts: how many the workspace has, as the plan knows; None: one call asks.

        Raises Unauthorized or ScopeMissing while nothing is sent yet; later they are outcomes.
        """
        held = {action.id: outcome for action in actions if (outcome := self._attributes.hold(action)) is not None}
        for outcome in held.values():
            note(outcome)
        rest = [action for action in actions if action.id not in held]
        ended = await execute_bulk(
            self._client,
            rest,
            reread=reread,
            single=self.execute,
            sleep=self._sleep,
            contacts=contacts,
            stop=stop,
            note=note,
        )
        outcomes = held | {outcome.action: outcome for outcome in ended}
        return tuple(outcomes[action.id] for action in actions)

    async def conversation(self, conversation_id: str) -> OneConversation:
        """A conversation with its tags, attributes and parts. Raises NotFound, and TargetError as everywhere."""
        return await self._client.conversation(conversation_id)

    async def take_tag_off(self, conversation_id: str, tag_id: str, *, admin: str) -> None:
        """Have a conversation be without a tag; see `conversations.take_tag_off`."""
        await take_tag_off(self._client, conversation_id, tag_id, admin=admin)

    async def write_note(self, conversation_id: str, text: str, *, marker: str, admin: str) -> bool:
        """Have a conversation hold a note, once; see `conversations.write_note`."""
        return await write_note(self._client, conversation_id, text, marker=marker, admin=admin)

    async def look(self, action: Action) -> Outcome:
        """What became of an action, without sending anything; see `readback.look`."""
        return await look(self._client, action)
