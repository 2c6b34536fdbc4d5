"""Member numbers that somebody typed and that nothing has, each with those it may be meant for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from reconciler.core.diff import as_text
from reconciler.core.model import PositionRow, SourceData
from reconciler.core.text import clean
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
    return {number: _nearest(number, world.people.by_number) for number in missing if number not in on_contacts}


def unknown_holders(
    source: SourceData, rows: Iterable[PositionRow], numbers: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """As `unknown_numbers`, of those that neither a row of the source nor one of the positions table has."""
    known = dict.fromkeys(member.number for member in source.members if member.number)
    held = {position.member_number for position in source.positions} | {clean(row.member_number) for row in rows}
    return {number: _nearest(number, known) for number in sorted(set(numbers) - known.keys() - held)}


def _nearest(number: str, known: Collection[str]) -> tuple[str, ...]:
    """Numbers that differ in zeros in front or white space, else those that look alike, the likest first."""
    bare = number.strip().lstrip("0")
    same = [one for one in known if one.lstrip("0") == bare]
    return tuple(same or get_close_matches(number, known, n=MOST_HINTS))[:MOST_HINTS]
