"""Some members from Supabase: searched there by generous patterns, one question each; Python decides (lookup.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from reconciler.core.model import SourceData
from reconciler.core.whom import Whom
from reconciler.sources import rows as of
from reconciler.sources.lookup import found, meant, pattern_of, phone_pattern
from reconciler.sources.rows import Row

Searched: TypeAlias = Literal["members", "positions"]


AT_ONCE = 40
"""Values asked for in one question: its URL stays under 2,000 characters."""


class Asked(Protocol):
    """The two tables of a project."""

    def rows(self, table: Searched, name: str, wanted: Mapping[str, str]) -> list[Row]:
        """The rows whose field may hold one of these texts, each with its pattern."""
        ...


def find_in(name: str, asked: Asked, whom: Whom) -> SourceData:
    """The members who are meant by a cleaned `whom`, as sources.LookUp says."""
    by_number = _with_numbers(asked, "members", "number", whom.numbers)
    others = [
        *_rows(asked, "email", {email: pattern_of(email) for email in whom.emails}),
        *_rows(asked, "phone", {phone: phone_pattern(phone) for phone in whom.phones}),
    ]
    numbers = meant([*by_number, *others], whom)
    # Asked for by number, so that a row which fits several questions is there once.
    missing = [number for number in numbers if number not in whom.numbers]
    rows = [*by_number, *_with_numbers(asked, "members", "number", missing)]
    positions = _with_numbers(asked, "positions", "member_number", numbers)
    return found(name, rows, of.entries_by_number(positions), numbers)


def _rows(asked: Asked, field: str, wanted: Mapping[str, str]) -> list[Row]:
    return [
        row for some in _some(tuple(wanted)) for row in asked.rows("members", field, {one: wanted[one] for one in some})
    ]


def _with_numbers(asked: Asked, table: Searched, field: str, numbers: Sequence[str]) -> list[Row]:
    """The rows of these member numbers; the number is the first field of either table."""
    return [
        row
        for some in _some(numbers)
        for row in asked.rows(table, field, {number: pattern_of(number) for number in some})
        if row[0] in some
    ]


def _some(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]
