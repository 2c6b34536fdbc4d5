"""Reading all contacts with several search cursors side by side, each over its own days of creation.

ListContacts has one cursor, so its pages can only be had one after the other. SearchContacts has as many cursors as
one asks for. But its index lags by minutes, and pages have been seen to lose rows (airbyte issue 26301); so what the
cursors find counts only where it is the same as the list says: as many as it counts, before and after, and the
contacts of its first pages among them, with the same values. On any doubt the list is read instead. What no check can
see is an old version of a contact that was changed minutes ago and stands on neither of those pages; whoever cannot
have that uses the list.

Days, because that is how contacts are searched up to version 2.16: a date matches by calendar day in the workspace's
timezone, `>` from the start of the next day on, `<` before the start of that day, and nothing else is allowed
(SearchContacts). So the days first..last are asked for as `> first-1` and `< last+1`, each given by its noon. In a
version that compares seconds, these ranges would overlap by a day instead of having gaps, which is a doubt as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from reconciler.core.model import Contact, Progress, silent
from reconciler.errors import Refused, ScopeMissing, SnapshotIncomplete, TargetError, Unauthorized
from reconciler.targets.intercom import wire
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.snapshot import read_by_list, read_once

CURSORS = 8
"""Ranges with more than this share of all contacts are halved, down to a single day."""

FIRST_DAY = date(2011, 8, 1)
"""Where halving begins: Intercom was founded in that month. What is older is in the first range all the same."""

START_RANGES = 4
"""Ranges that are asked for at once, before anything is known of how the contacts are spread."""

NOON = time(12)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """The calendar days first..last, both included; None: without an end on that side."""

    first: date | None
    last: date | None

    def query(self, zone: ZoneInfo) -> dict[str, Any]:
        """As SearchContacts wants it."""
        ends = []
        if self.first is not None:
            ends.append({"field": "created_at", "operator": ">", "value": _noon(self.first - DAY, zone)})
        if self.last is not None:
            ends.append({"field": "created_at", "operator": "<", "value": _noon(self.last + DAY, zone)})
        return ends[0] if len(ends) == 1 else {"operator": "AND", "value": ends}

    def halves(self, today: date) -> tuple[Days, Days] | None:
        """Two ranges that make up this one; None where it is a single day, or as good as one."""
        low, high = self.first or FIRST_DAY, self.last or today
        if low >= high:
            return None
        middle = low + (high - low) // 2
        return Days(self.first, middle), Days(middle + DAY, self.last)


def _noon(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, NOON, zone).timestamp())


def start_ranges(today: date) -> tuple[Days, ...]:
    """All days there are, in START_RANGES pieces."""
    step = max(DAY, (today - FIRST_DAY) // START_RANGES)
    cuts = [FIRST_DAY + step * number for number in range(1, START_RANGES)]
    firsts, lasts = [None, *(cut + DAY for cut in cuts)], [*cuts, None]
    return tuple(Days(first, last) for first, last in zip(firsts, lasts, strict=True))


class Doubt(Exception):
    """Why what the cursors found is not to be relied on, in numbers."""


class CursorSnapshot:
    """A `snapshot.Strategy`. now: unix seconds.

    `doubt` says after a reading why the list was read instead; None where the cursors sufficed.
    """

    def __init__(self, *, now: Callable[[], float], cursors: int = CURSORS) -> None:
        self._now = now
        self._cursors = cursors
        self.doubt: str | None = None

    async def __call__(self, client: IntercomClient, owned: frozenset[str], progress: Progress) -> tuple[Contact, ...]:
        """All live contacts, ordered by id, each once. Raises as `read_by_list` does."""
        self.doubt = None
        try:
            found = await self._read(client, progress)
        except Doubt as doubt:
            self.doubt = str(doubt)
            return await read_by_list(client, owned, progress)
        return tuple(wire.to_contact(found[contact_id], owned) for contact_id in sorted(found))

    async def _read(self, client: IntercomClient, progress: Progress) -> dict[str, wire.WireContact]:
        zone = _zone((await client.me()).app.timezone)
        before = await client.list_contacts()
        if before.cursor is None:
            return _whole_page(before)
        today = datetime.fromtimestamp(self._now(), UTC).astimezone(zone).date()
        share = max(wire.PER_PAGE, before.total_count // self._cursors)
        search = _Search(client, zone, today=today, share=share, total=before.total_count, progress=progress)
        await search.run()
        _check(search.found, before, await client.list_contacts())
        return search.found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Doubt(f"the workspace's timezone {name!r} is not known here") from error


def _whole_page(page: wire.ContactPage) -> dict[str, wire.WireContact]:
    """A workspace of one page needs no cursor."""
    found = {one.id: one for one in page.items}
    if not len(found) == len(page.items) == page.total_count:
        raise Doubt(f"{len(page.items)} contacts on the only page, {page.total_count} announced")
    return found


def _check(found: dict[str, wire.WireContact], before: wire.ContactPage, after: wire.ContactPage) -> None:
    """Raises Doubt unless the list says the same."""
    if not len(found) == before.total_count == after.total_count:
        counts = f"{before.total_count} listed before and {after.total_count} after"
        raise Doubt(f"{len(found)} contacts found by search, {counts}")
    for one in (*before.items, *after.items):
        if one.id not in found:
            raise Doubt(f"contact {one.id} is listed, but search does not find it")
        if _seldom_changing(found[one.id]) != _seldom_changing(one):
            raise Doubt(f"search shows contact {one.id} as it was before")


def _seldom_changing(contact: wire.WireContact) -> wire.WireContact:
    """Without the times, which a visit moves between one call and the next."""
    return msgspec.structs.replace(contact, updated_at=None, last_seen_at=None)


@dataclass(slots=True)
class _Search:
    """The cursors at work. share: ranges with more contacts than this are halved. total: as the list counts them."""

    client: IntercomClient
    zone: ZoneInfo
    today: date
    share: int
    total: int
    progress: Progress
    found: dict[str, wire.WireContact] = field(default_factory=dict)
    trouble: Exception | None = None

    async def run(self) -> None:
        """Read all ranges. Raises the first Doubt or TargetError once every cursor has stopped."""
        async with asyncio.TaskGroup() as group:
            for days in start_ranges(self.today):
                group.create_task(self._range(days, group))
        if self.trouble is not None:
            raise self.trouble

    async def _range(self, days: Days, group: asyncio.TaskGroup) -> None:
        """Read these days, or have both halves of them read. What goes wrong stops the other cursors, too."""
        try:
            await self._read_or_halve(days, group)
        except (SnapshotIncomplete, Refused) as error:
            told = isinstance(error, Unauthorized | ScopeMissing)
            self.trouble = self.trouble or (error if told else Doubt(error.what))
        except (Doubt, TargetError) as error:
            self.trouble = self.trouble or error

    async def _read_or_halve(self, days: Days, group: asyncio.TaskGroup) -> None:
        query = days.query(self.zone)
        first = await self._page(query, None)
        halves = days.halves(self.today) if first.total_count > self.share else None
        if halves is not None:
            for half in halves:
                group.create_task(self._range(half, group))
            return

        async def page(cursor: str | None) -> wire.ContactPage:
            return first if cursor is None else await self._page(query, cursor)

        reading = await read_once(page, what="contacts", progress=silent)
        if not reading.whole:
            raise Doubt(f"search: {reading.says()}")
        if not reading.items.keys().isdisjoint(self.found):
            raise Doubt("search finds a contact on two different days")
        self.found |= reading.items
        self.progress("contacts", len(self.found), self.total)

    async def _page(self, query: dict[str, Any], cursor: str | None) -> wire.ContactPage:
        if self.trouble is not None:
            raise self.trouble
        return await self.client.search_contacts(query, cursor)
