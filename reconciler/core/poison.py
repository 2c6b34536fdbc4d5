"""Rows that cannot be used as they are: what may not stand in a field of a member or a position (failure mode C9).

Such a row is quarantined and not repaired, because nobody can say what was meant. What is sane of it is kept, so that
its contact is still known and passes for nobody else's; nothing is done to that contact. A reason never holds a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from reconciler.core.model import MAX_TEXT

Reason: TypeAlias = tuple[str, str]
"""A field, and what is wrong with it."""

LONGEST: Mapping[str, int] = {"number": 64, "member_number": 64, "code": 64, "email": 254}
"""Characters, at most; of every other field MAX_TEXT. An address is at most 254 long (RFC 5321, section 4.5.3.1.3:
a path has 256 with its angle brackets)."""

UPDATED_AT = "updated_at"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Times of change outside these are slips of a keyboard or of a clock."""

_KEYS = frozenset({"number", "member_number", "email"})
"""The fields that say who somebody is: no character in them may be invisible, or two that look alike would differ."""
_SHORTEST_LIMIT = min(LONGEST.values())
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def sane(fields: Sequence[str], values: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """A row without what cannot be used of it, and why, field by field; a sane row as it is, and no reason.

    The first field is the member number. Blank values are `""`, and so is what was taken out.
    """
    if "".join(values).isprintable() and max(map(len, values)) <= _SHORTEST_LIMIT and not _has_time(fields, values):
        return values, ()
    judged = [_reason(field, value) if value else None for field, value in zip(fields, values, strict=True)]
    if not any(judged):
        return values, ()
    kept = ("" if reason else value for reason, value in zip(judged[1:], values[1:], strict=True))
    number = salvaged(values[0]) if judged[0] else values[0]
    return (number, *kept), tuple((field, reason) for field, reason in zip(fields, judged, strict=True) if reason)


def salvaged(number: str) -> str:
    """What is left of a member number without the characters that may not stand in one; `""` where it is too long.

    Whoever has that number may be whom the row meant, so it is left alone with it.
    """
    kept = "".join(char for char in number if char.isprintable()).strip()
    return kept if len(kept) <= LONGEST["number"] else ""


def moment(text: str) -> datetime | None:
    """A time of change, in UTC, which one without a time zone is taken to be in; None for what is none.

    Raises nothing: `0000-00-00`, which MySQL keeps where it is not strict, is no time.
    """
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _has_time(fields: Sequence[str], values: Sequence[str]) -> bool:
    return fields[-1] == UPDATED_AT and values[-1] != ""


def _reason(field: str, value: str) -> str | None:
    limit = LONGEST.get(field, MAX_TEXT)
    if len(value) > limit:
        return f"is longer than {limit} characters"
    if "\0" in value:
        return "holds a NUL character"
    if _SURROGATE.search(value):
        return "is not text: it holds half a character"
    if _CONTROL.search(value):
        return "holds control characters"
    if field in _KEYS and not value.isprintable() and not all(char.isprintable() or char.isspace() for char in value):
        return "holds invisible characters"
    return _reason_of_time(value) if field == UPDATED_AT else None


def _reason_of_time(value: str) -> str | None:
    found = moment(value)
    if found is None:
        return "is no date"
    return None if EARLIEST <= found < LATEST else f"is not between {EARLIEST.year} and {LATEST.year}"
