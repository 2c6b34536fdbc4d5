"""How members are looked up in a source: a generous question first, then our own comparison.

A database may be asked for more than is wanted, never for less, because it disagrees with us on what is equal (design
§4.1). So its filter is a pattern that every spelling of a value fits, and only what `Whom.is_meant` says counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import combining, normalize

from reconciler.core.model import SourceData
from reconciler.core.whom import Whom
from reconciler.sources import rows as of
from reconciler.sources.rows import Row

LAST_DIGITS = 6
"""Of a phone, so many are looked for: they stand in every spelling of it, with or without its country."""


def pattern_of(text: str) -> str:
    """A pattern for LIKE on lower-case text that every spelling of `text` fits.

    Nothing but letters and digits of ASCII is kept, so no character of it can mean anything to a database. What may be
    written in one character or in several (accents, other scripts) becomes `%`; `k` is one of these, because Unicode
    has a second one, the sign of the kelvin, that normalises to it.
    """
    pieces: list[str] = []
    for char in normalize("NFD", text.lower()):
        if char.isascii() and char.isalnum() and char != "k":
            pieces.append(char)
        elif char.isascii():
            pieces.append("_")
        else:
            if combining(char) and pieces:
                pieces.pop()
            pieces.append("%")
    return f"%{''.join(pieces)}%"


def phone_pattern(e164: str) -> str:
    """A pattern that a phone fits however its digits are set apart."""
    digits = [char for char in e164 if char.isascii() and char.isdigit()]
    return "%".join(("", *digits[-LAST_DIGITS:], ""))


def meant(rows: Iterable[Row], whom: Whom) -> tuple[str, ...]:
    """The numbers of those rows of MEMBER_FIELDS that are meant, each once and in order."""
    members = of.source_data("", of.Members(rows), ()).members
    return tuple(dict.fromkeys(one.number for one in members if one.number and whom.is_meant(one)))


def found(name: str, rows: Iterable[Row], positions: Iterable[of.Entry], numbers: tuple[str, ...]) -> SourceData:
    """The members with these numbers, all of their rows, and their positions."""
    known = frozenset(numbers)
    return of.source_data(
        name, of.Members(row for row in rows if row[0] in known), (entry for entry in positions if entry[0] in known)
    )
