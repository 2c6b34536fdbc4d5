"""Whom to look up in a source, and how the answer is found out: a generous question first, then our own comparison.

A database may be asked for more than is wanted, never for less, because it disagrees with us on what is equal (design
§4.1). So its filter is a pattern that every spelling of a value fits, and only what `Whom.is_meant` says counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import combining, normalize

import msgspec

from reconciler.core.model import Member, SourceData
from reconciler.core.phones import parse_phone
from reconciler.core.text import clean, fold_email
from reconciler.sources import rows as of
from reconciler.sources.rows import Row

LAST_DIGITS = 6
"""Of a phone, so many are looked for: they stand in every spelling of it, with or without its country."""


class Whom(msgspec.Struct, frozen=True, kw_only=True):
    """Members by any of these values. The default is nobody."""

    numbers: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    """In any spelling."""
    phones: tuple[str, ...] = ()
    """In E.164."""
    region: str = "US"
    """The country of the source's numbers written without one."""

    def cleaned(self) -> Whom:
        """The same people, each value once and as it is compared; blanks mean nobody."""
        return msgspec.structs.replace(
            self,
            numbers=_each(clean(number) for number in self.numbers),
            emails=_each(fold_email(email) for email in self.emails),
            phones=_each(self.phones),
        )

    def is_meant(self, member: Member) -> bool:
        """Whether a member is one of them. To be asked of what `cleaned` returns."""
        if member.number in self.numbers or (member.email is not None and fold_email(member.email) in self.emails):
            return True
        return bool(self.phones) and member.phone is not None and self._has_phone(member.phone)

    def _has_phone(self, phone: str) -> bool:
        return parse_phone(phone, self.region).e164 in self.phones


def _each(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


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
    """A pattern that a phone fits however its digits are set apart. Not one in letters (`800-FLOWERS`)."""
    digits = [char for char in e164 if char.isascii() and char.isdigit()]
    return "%".join(("", *digits[-LAST_DIGITS:], ""))


def meant(rows: Iterable[Row], whom: Whom) -> tuple[str, ...]:
    """The numbers of those rows of MEMBER_FIELDS that are meant, each once and in order."""
    return tuple(dict.fromkeys(one.number for one in of.members_from(rows) if one.number and whom.is_meant(one)))


def found(name: str, rows: Iterable[Row], positions: Iterable[of.Entry], numbers: tuple[str, ...]) -> SourceData:
    """The members with these numbers, all of their rows, and their positions."""
    known = frozenset(numbers)
    return SourceData(
        name,
        of.members_from(row for row in rows if row[0] in known),
        of.positions_from(entry for entry in positions if entry[0] in known),
    )
