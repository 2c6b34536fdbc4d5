"""Reading everything at once: all contacts, or none.

A page too few would make live members look missing, and a conversation too few would let a contact be archived in the
middle of one; so what was read is held against the count that each page carries, and a list that does not add up is
refused.

The garbage collector is left alone here: contacts are Structs that it does not track, and pausing it changed nothing
in 21,000 contacts (0.08 s of CPU either way).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from reconciler.core.model import Contact, Progress, silent
from reconciler.errors import SnapshotIncomplete
from reconciler.targets.intercom import wire
from reconciler.targets.intercom.client import IntercomClient

ATTEMPTS = 3
"""How often a list is read when its count moved meanwhile, as it does in a workspace at work."""

SLACK_PAGES = 20
"""How many pages beyond those that the first count announces may follow: contacts are created while we read."""


class Item(Protocol):
    """Whatever a page lists."""

    @property
    def id(self) -> str:
        """Given by Intercom, once."""
        ...


ItemT = TypeVar("ItemT", bound=Item)


class CursorPage(Protocol[ItemT]):
    """One page of a list that goes on at `cursor`, None on the last one."""

    @property
    def items(self) -> list[ItemT]:
        """What this page lists."""
        ...

    @property
    def total_count(self) -> int:
        """How many the whole list has, as of this page."""
        ...

    @property
    def cursor(self) -> str | None:
        """What to ask the next page with."""
        ...


@dataclass(frozen=True, slots=True)
class Reading(Generic[ItemT]):
    """One pass over a list. first_count, last_count: `total_count` of its first and last page."""

    items: dict[str, ItemT]
    listed: int
    first_count: int
    last_count: int

    @property
    def whole(self) -> bool:
        """Whether each item came once, and as many as were announced, at the start and at the end."""
        return len(self.items) == self.listed == self.first_count == self.last_count

    @property
    def moved(self) -> bool:
        """Whether the list changed while it was read, which is no fault of anybody."""
        return self.first_count != self.last_count

    @property
    def settled(self) -> bool:
        """Whether the list only grew or shrank at its ends meanwhile: each item once, and no more missing or left
        over than came or went. In a workspace where people write all day, no reading may ever be whole.
        """
        low, high = sorted((self.first_count, self.last_count))
        return len(self.items) == self.listed and low <= self.listed <= high

    def says(self) -> str:
        """The numbers that do not add up."""
        counts = f"{self.first_count} on the first page" + (f", {self.last_count} on the last" if self.moved else "")
        return f"{self.listed} read, {len(self.items)} of them different, {counts}"


class Strategy(Protocol):
    """A way to read all live contacts, ordered by id, each once. `read_by_list` is the reference for every other."""

    async def __call__(self, client: IntercomClient, owned: frozenset[str], progress: Progress) -> tuple[Contact, ...]:
        """Raises SnapshotIncomplete where what was read does not add up, and whatever the client raises."""
        ...


async def read_by_list(client: IntercomClient, owned: frozenset[str], progress: Progress) -> tuple[Contact, ...]:
    """All live contacts by ListContacts, ordered by id, each once. owned: names of the custom attributes to keep.

    Raises SnapshotIncomplete where the pages do not add up, and whatever the client raises.
    """
    found = await read_whole(client.list_contacts, what="contacts", progress=progress)
    return tuple(wire.to_contact(found[contact_id], owned) for contact_id in sorted(found))


async def count_open_conversations(
    client: IntercomClient, contact_ids: Sequence[str], progress: Progress
) -> dict[str, int]:
    """How many open conversations each of these contacts takes part in; those without any are left out.

    Asked by searchConversations for 15 contacts at a time, the most filters of one group. A snoozed conversation
    counts as open, as Intercom says so.
    """
    wanted = list(dict.fromkeys(contact_ids))
    counts: Counter[str] = Counter()
    for start in range(0, len(wanted), wire.MAX_FILTERS):
        batch = wanted[start : start + wire.MAX_FILTERS]
        query = _open_with_any_of(batch)

        async def page(cursor: str | None, query: dict[str, Any] = query) -> wire.ConversationPage:
            return await client.search_conversations(query, cursor)

        found = await read_whole(page, what="open conversations", progress=silent)
        for conversation in found.values():
            taking_part = {ref.id for ref in conversation.contacts.contacts} if conversation.contacts else set()
            counts.update(contact_id for contact_id in batch if contact_id in taking_part)
        progress("open conversations", min(start + wire.MAX_FILTERS, len(wanted)), len(wanted))
    return {contact_id: counts[contact_id] for contact_id in wanted if counts[contact_id]}


async def read_whole(
    fetch: Callable[[str | None], Awaitable[CursorPage[ItemT]]], *, what: str, progress: Progress
) -> dict[str, ItemT]:
    """Every item of a paged list by its id. A list whose count moved is read again, up to ATTEMPTS times in all;
    the last time, what moved only as the counts did is taken as it is.

    Raises SnapshotIncomplete where the last reading still does not add up, or where a cursor does not lead on.
    """
    for attempt in range(1, ATTEMPTS + 1):
        reading = await read_once(fetch, what=what, progress=progress)
        if reading.whole or (attempt == ATTEMPTS and reading.settled):
            return reading.items
        numbers = f"{reading.says()} (reading {attempt} of {ATTEMPTS})"
        if not reading.moved:
            break
    raise _incomplete(what, numbers)


async def read_once(
    fetch: Callable[[str | None], Awaitable[CursorPage[ItemT]]], *, what: str, progress: Progress
) -> Reading[ItemT]:
    """One pass over a paged list, whatever it adds up to. Raises SnapshotIncomplete where a cursor does not lead on."""
    items: dict[str, ItemT] = {}
    listed, first_count = 0, None
    cursors: list[str | None] = []
    cursor: str | None = None
    while not cursors or cursor is not None:
        _check_leads_on(what, cursor, cursors, first_count)
        cursors.append(cursor)
        page = await fetch(cursor)
        items.update((item.id, item) for item in page.items)
        listed += len(page.items)
        first_count = page.total_count if first_count is None else first_count
        progress(what, listed, page.total_count)
        cursor = page.cursor
    return Reading(items=items, listed=listed, first_count=first_count or 0, last_count=page.total_count)


def _check_leads_on(what: str, cursor: str | None, before: Sequence[str | None], first_count: int | None) -> None:
    """Raises where the next cursor has been used before, or where there are far more pages than were announced."""
    if cursor in before:
        raise _incomplete(what, f"page {len(before)} leads back to an earlier page")
    if len(before) >= 2 * math.ceil((first_count or 0) / wire.PER_PAGE) + SLACK_PAGES:
        raise _incomplete(what, f"{len(before)} pages read for {first_count} announced, and still there are more")


def _incomplete(what: str, numbers: str) -> SnapshotIncomplete:
    return SnapshotIncomplete(
        f"The {what} read from Intercom do not add up: {numbers}.",
        next_step="Run again when fewer changes are being made in Intercom; nothing was written.",
    )


def _open_with_any_of(contact_ids: Sequence[str]) -> dict[str, Any]:
    """Both parts are groups, as a group may hold filters or groups, and not both (multiple_filter_search_request)."""
    anyone = [{"field": "contact_ids", "operator": "=", "value": contact_id} for contact_id in contact_ids]
    still_open = {"field": "open", "operator": "=", "value": True}
    groups = [{"operator": "AND", "value": [still_open]}, {"operator": "OR", "value": anyone}]
    return {"operator": "AND", "value": groups}
