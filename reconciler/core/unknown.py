"""Member numbers that somebody typed and that nothing has, each with those it may be meant for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from reconciler.core.diff import as_text
from reconciler.core.world import World

MOST_HINTS = 3


def unknown_numbers(world: World, numbers: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Those of the numbers that neither a row of the source nor a contact has, in their order, each with its hints."""
    missing = sorted({number for number in numbers if number not in world.people.by_number})
    if not missing:
        return {}
    on_contacts = {
        as_text(value)
        for contact in world.snapshot.contacts
        for value in (contact.external_id, contact.custom_attributes.get("member_number"))
    }
    return {number: _nearest(number, world) for number in missing if number not in on_contacts}


def _nearest(number: str, world: World) -> tuple[str, ...]:
    """Numbers that differ in zeros in front or white space, else those that look alike, the likest first."""
    known = world.people.by_number
    bare = number.strip().lstrip("0")
    same = [one for one in known if one.lstrip("0") == bare]
    return tuple(same or get_close_matches(number, known, n=MOST_HINTS))[:MOST_HINTS]
