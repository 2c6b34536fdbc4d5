"""Some members from Supabase: searched there by generous patterns, one question each; Python decides (lookup.py)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

from reconciler.core.model import SourceData
from reconciler.sources import rows as of
from reconciler.sources.lookup import Whom, found, meant, pattern_of, phone_pattern
from reconciler.sources.rows import Row

Searched: TypeAlias = Literal["members", "positions"]


class Asked(Protocol):
    """The two tables of a project."""

    def rows(self, table: Searched, name: str, text: str, pattern: str) -> list[Row]:
        """The rows whose field may hold the text."""
        ...


def find_in(name: str, asked: Asked, whom: Whom) -> SourceData:
    """The members who are meant by a cleaned `whom`, as sources.LookUp says."""
    by_number = _with_numbers(asked, "members", "number", whom.numbers)
    others = [
        *(row for email in whom.emails for row in asked.rows("members", "email", email, pattern_of(email))),
        *(row for phone in whom.phones for row in asked.rows("members", "phone", phone, phone_pattern(phone))),
    ]
    numbers = meant([*by_number, *others], whom)
    # Asked for by number each, so that a row which fits several questions is there once.
    missing = [number for number in numbers if number not in whom.numbers]
    rows = [*by_number, *_with_numbers(asked, "members", "number", missing)]
    positions = _with_numbers(asked, "positions", "member_number", numbers)
    return found(name, rows, of.entries_by_number(positions), numbers)


def _with_numbers(asked: Asked, table: Searched, field: str, numbers: Iterable[str]) -> list[Row]:
    """The rows of these member numbers; the number is the first field of either table."""
    return [
        row for number in numbers for row in asked.rows(table, field, number, pattern_of(number)) if row[0] == number
    ]
