"""Some members from a SQL database: the database searches by generous patterns, and Python decides (lookup.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias, assert_never

from sqlalchemy import ColumnElement, String, cast, false, func, or_

from reconciler.core.model import SourceData
from reconciler.core.whom import Whom
from reconciler.sources import rows as of
from reconciler.sources.lookup import found, meant, pattern_of, phone_pattern
from reconciler.sources.rows import Row

Columns: TypeAlias = Mapping[str, ColumnElement[Any]]
"""A table's columns by our words."""
Where: TypeAlias = Callable[[Columns], ColumnElement[bool]]
Table: TypeAlias = Literal["members", "emails", "positions"]


class Asked(Protocol):
    """Tables of one view of a database."""

    def rows(self, table: Table, where: Where) -> list[Row]:
        """The rows of one table that the database lets through, in the order of the fields of its kind."""
        ...


def find_in(name: str, shape: Literal["sql", "mysql"], asked: Asked, whom: Whom) -> SourceData:
    """The members who are meant by a cleaned `whom`, as sources.LookUp says."""
    match shape:
        case "sql":
            return _find_by_number(name, asked, whom)
        case "mysql":
            return _find_by_id(name, asked, whom)
        case _:
            assert_never(shape)


def _find_by_number(name: str, asked: Asked, whom: Whom) -> SourceData:
    rows = asked.rows("members", lambda columns: _may_be(columns, whom))
    numbers = meant(rows, whom)
    if not numbers:
        return found(name, (), (), ())
    if not set(numbers) <= set(whom.numbers):
        rows = asked.rows("members", lambda columns: _like(columns["number"], map(pattern_of, numbers)))
    positions = asked.rows("positions", lambda columns: _like(columns["member_number"], map(pattern_of, numbers)))
    return found(name, rows, of.entries_by_number(positions), numbers)


def _find_by_id(name: str, asked: Asked, whom: Whom) -> SourceData:
    people = asked.rows("members", lambda columns: _may_be(columns, whom))
    addresses = asked.rows("emails", lambda columns: _like(columns["email"], map(pattern_of, whom.emails)))
    people = _with_ids(asked, people, (row[0] for row in addresses))
    numbers = meant(_joined(asked, people), whom)
    if not numbers:
        return found(name, (), (), ())
    if not set(numbers) <= set(whom.numbers):
        people = asked.rows("members", lambda columns: _like(columns["number"], map(pattern_of, numbers)))
    people = [row for row in people if row[1] in numbers]
    held = asked.rows("positions", lambda columns: _is(columns["member_id"], (row[0] for row in people)))
    ids = {row[0]: row[1] or "" for row in people}
    return found(name, _joined(asked, people), of.entries_by_id(held, ids), numbers)


def _with_ids(asked: Asked, people: list[Row], ids: Iterable[str | None]) -> list[Row]:
    """These people, and those with the ids."""
    known = {row[0] for row in people}
    missing = [one for one in dict.fromkeys(ids) if one not in known]
    if not missing:
        return people
    return [*people, *asked.rows("members", lambda columns: _is(columns["id"], missing))]


def _joined(asked: Asked, people: list[Row]) -> list[Row]:
    """Rows of MEMBER_FIELDS. All addresses of a person are read: which one counts, the one asked for does not say."""
    if not people:
        return []
    addresses = asked.rows("emails", lambda columns: _is(columns["member_id"], (row[0] for row in people)))
    return list(of.with_address(people, of.address_by_id(addresses)))


def _may_be(columns: Columns, whom: Whom) -> ColumnElement[bool]:
    """What lets through everybody who is meant, as far as this table knows them."""
    return or_(
        _like(columns["number"], map(pattern_of, whom.numbers)),
        _like(columns["email"], map(pattern_of, whom.emails)) if "email" in columns else false(),
        _like(columns["phone"], map(phone_pattern, whom.phones)),
    )


def _like(column: ColumnElement[Any], patterns: Iterable[str]) -> ColumnElement[bool]:
    """Cast, because a number or a phone may be kept as a number; lower-case, because some collations tell cases
    apart.
    """
    text = func.lower(cast(column, String))
    return or_(false(), *[text.like(pattern) for pattern in patterns])


def _is(column: ColumnElement[Any], ids: Iterable[str | None]) -> ColumnElement[bool]:
    """Internal ids, which are keys and have one spelling but for white space around it."""
    return func.trim(cast(column, String)).in_([one for one in dict.fromkeys(ids) if one is not None])
