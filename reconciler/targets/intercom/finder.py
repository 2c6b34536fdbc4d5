"""A few contacts, as fast as an agent waits for them: by id, and those that may be the same people.

A search lags by minutes, so it only ever gives ideas: what it finds is read by id before anybody looks at it, and what
it does not find may be there all the same. A create that meets such a contact ends in a 409, which `conflicts` settles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from reconciler.core.model import Contact
from reconciler.errors import Merged, NotFound
from reconciler.targets.intercom import wire
from reconciler.targets.intercom.client import IntercomClient

LAST_DIGITS = 4
"""Of a phone, so many are searched for: they stand together in every usual spelling."""

MOST_PAGES = 4
"""Pages of search results that are read: more than 600 ideas are no ideas."""


async def read_contact(client: IntercomClient, contact_id: str, owned: frozenset[str]) -> Contact | None:
    """The live contact with this id, or the one that it was merged into; None where there is none."""
    try:
        return wire.to_contact(await client.get(contact_id), owned)
    except NotFound:
        return None
    except Merged as error:
        into = error.into
    if into is None:
        return None
    try:
        return wire.to_contact(await client.get(into), owned)
    except (NotFound, Merged):
        return None


async def find_candidates(
    client: IntercomClient, clues: Iterable[tuple[str, str]], owned: frozenset[str]
) -> tuple[Contact, ...]:
    """Contacts that may have one of these values, by id, each once. clues: field and value; phones are in E.164."""
    asked = list(dict.fromkeys(clues))
    filters = [_filter(field, value) for field, value in asked]
    groups = [filters[start : start + wire.MAX_FILTERS] for start in range(0, len(filters), wire.MAX_FILTERS)]
    lists = await asyncio.gather(
        *(_by_external_id(client, value) for field, value in asked if field == "external_id"),
        *(_search(client, group) for group in groups),
    )
    found = {contact.id: contact for one in lists for contact in one}
    return tuple(wire.to_contact(found[contact_id], owned) for contact_id in sorted(found))


def _filter(field: str, value: str) -> dict[str, Any]:
    if field == "phone":
        return {"field": field, "operator": "~", "value": value[-LAST_DIGITS:]}
    return {"field": field, "operator": "=", "value": value}


async def _by_external_id(client: IntercomClient, external_id: str) -> Sequence[wire.WireContact]:
    """Users only, but without the lag of a search."""
    try:
        return (await client.find_by_external_id(external_id),)
    except (NotFound, Merged):
        return ()


async def _search(client: IntercomClient, filters: Sequence[dict[str, Any]]) -> Sequence[wire.WireContact]:
    query = filters[0] if len(filters) == 1 else {"operator": "OR", "value": list(filters)}
    found: list[wire.WireContact] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.search_contacts(query, cursor)
        found.extend(page.items)
        cursor = page.cursor
        if cursor is None:
            break
    return found
