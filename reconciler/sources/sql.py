"""Members and positions from a SQL database, through SQLAlchemy Core: which tables and columns they are made from.

The database hands over rows in one read-only view and nothing else: every join, order and comparison is made here,
on cleaned text, because databases disagree on which texts are equal (design §4.1). Both shapes end in the same values
with the same row names, so one world gives one plan wherever it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from sqlalchemy import Connection, column, null, select, table
from sqlalchemy.exc import DBAPIError

from reconciler.core.model import Progress, SourceData, silent
from reconciler.core.rules import Sources, Table
from reconciler.core.rules.columns import column_problems
from reconciler.core.whom import Whom
from reconciler.errors import Problem, RulesError, SourceShapeError
from reconciler.sources import rows as of
from reconciler.sources.rows import Row, text_of
from reconciler.sources.sql_database import CONNECT_SECONDS, Database, open_database
from reconciler.sources.sql_lookup import Table as Searched
from reconciler.sources.sql_lookup import Where, find_in

Shape: TypeAlias = Literal["sql", "mysql"]
"""`sql`: one table of members and one of positions, by member number · `mysql`: the union's own three tables."""

BATCH = 1_000
"""Rows fetched at a time, and between two reports of progress."""

_RULES_FILE = "rules/sources.yaml"


@dataclass(frozen=True, slots=True)
class _Reading:
    """One table to read: what it holds in our words, and the fields wanted, in the order they come back."""

    holds: Literal["members", "emails", "positions"]
    table: Table
    fields: tuple[str, ...]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SqlSource:
    """A database as a Source (sources/__init__.py). Nothing is opened before `read`, nothing stays open after it."""

    shape: Shape
    _database: Database
    _readings: tuple[_Reading, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """`sqlite`, `mysql` (MariaDB too) or `postgresql`."""
        return self._database.family

    def read(self, progress: Progress) -> SourceData:
        """All members, by number, and all positions, by number and code, as they were at one moment.

        Values are text: trimmed, NFC, blank as None. A row without a number is kept (number `""`), and rows that
        share a number are told apart in `row` by `#2`, `#3` in the order of their values. In the `mysql` shape a
        member's e-mail is the one marked primary; of several, or where none is, the smallest by code points; blank
        addresses and addresses of no member count for nothing. A position whose member id belongs to nobody is kept
        with the number `""` and a `row` that names the id.

        Raises SourceUnreachable, or SourceShapeError with every table and column that is missing.
        """
        with self._database.view() as connection:
            tables = [self._fetch(connection, reading, progress) for reading in self._readings]
        match self.shape:
            case "sql":
                members, positions = tables
                return of.source_data(self.name, of.Members(members), of.entries_by_number(positions))
            case "mysql":
                people, addresses, positions = tables
                return self._join(people, addresses, positions)
            case _:
                assert_never(self.shape)

    def find(self, whom: Whom) -> SourceData:
        """As sources.LookUp, in one view; the tables are searched by the database, and none is read whole."""
        with self._database.view() as connection:
            return find_in(self.name, self.shape, _Asked(self, connection), whom.cleaned())

    def members_by_email(self, email: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(emails=(email,)))

    def members_by_number(self, number: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(numbers=(number,)))

    def _join(self, people: list[Row], addresses: list[Row], positions: list[Row]) -> SourceData:
        numbers = of.numbers_by_id(people)
        if numbers is None:
            key = self._readings[0].table
            raise _not_text(
                f"{key.table}.{key.columns['id']}", "blanks, or one value in several rows, and must be a key"
            )
        members = of.with_address(people, of.address_by_id(addresses))
        return of.source_data(self.name, of.Members(members), of.entries_by_id(positions, numbers))

    def _fetch(
        self, connection: Connection, reading: _Reading, progress: Progress, where: Where | None = None
    ) -> list[Row]:
        """All rows of one table, or those that `where` lets through, as cleaned text."""
        columns = reading.table.columns
        theirs = table(reading.table.table, *(column(name) for name in dict.fromkeys(columns.values())))
        wanted = [theirs.c[columns[name]] if name in columns else null() for name in reading.fields]
        asked = select(*wanted).select_from(theirs)
        if where is not None:
            asked = asked.where(where(dict(zip(reading.fields, wanted, strict=True))))
        rows: list[Row] = []
        try:
            # Not `yield_per`: PyMySQL's unbuffered cursor writes a traceback of its own when the connection is lost in
            # the middle. Its buffered one holds a table at a time, about as much as the rows kept here.
            for batch in connection.execute(asked).partitions(BATCH):
                rows.extend(_clean_rows(batch, reading))
                progress(reading.holds, len(rows), None)
        except DBAPIError as error:
            missing = self._database.missing(connection, (reading.table for reading in self._readings))
            if not missing:
                raise
            raise SourceShapeError(
                "\n".join([f"{self._database.place} does not look as {_RULES_FILE} says:", *missing]),
                next_step=f"Correct the names under `{self.shape}:` in {_RULES_FILE}, or ask who changed the database.",
            ) from error
        progress(reading.holds, len(rows), len(rows))
        return rows


@dataclass(frozen=True, slots=True)
class _Asked:
    """The tables of a source as `sql_lookup` searches them, in one view."""

    source: SqlSource
    connection: Connection

    def rows(self, table: Searched, where: Where) -> list[Row]:
        """The rows of a table that the database lets through."""
        reading = next(one for one in self.source._readings if one.holds == table)  # noqa: SLF001 - of this module
        return self.source._fetch(self.connection, reading, silent, where)  # noqa: SLF001


def open_sql(url: str, sources: Sources, *, shape: Shape, connect_seconds: int = CONNECT_SECONDS) -> SqlSource:
    """The source at a SQLAlchemy URL (`mysql://` means PyMySQL). Opens nothing yet.

    `connect_seconds` is how long a connection, or SQLite's lock, is waited for.

    Raises SettingsError for a URL that cannot be used, RulesError for tables whose columns do not fit the shape.
    """
    readings = _readings(sources, shape)
    return SqlSource(shape, open_database(url, connect_seconds=connect_seconds), readings)


def _readings(sources: Sources, shape: Shape) -> tuple[_Reading, ...]:
    match shape:
        case "sql":
            sql = sources.sql
            readings: tuple[_Reading, ...] = (
                _Reading("members", sql.members, of.MEMBER_FIELDS, ("number",)),
                _Reading("positions", sql.positions, of.POSITION_FIELDS, of.POSITION_FIELDS),
            )
        case "mysql":
            mysql = sources.mysql
            readings = (
                _Reading("members", mysql.members, of.PERSON_FIELDS, ("id", "number")),
                _Reading("emails", mysql.emails, of.ADDRESS_FIELDS, ("member_id", "email")),
                _Reading("positions", mysql.positions, of.HELD_FIELDS, of.HELD_FIELDS),
            )
        case _:
            assert_never(shape)
    problems = [problem for reading in readings for problem in _problems(shape, reading)]
    if problems:
        raise RulesError(problems)
    return readings


def _problems(shape: Shape, reading: _Reading) -> Iterator[Problem]:
    return column_problems(
        f"{shape}.{reading.holds}.columns",
        reading.table,
        required=reading.required,
        known=of.valid_names(shape, reading.holds, reading.fields),
    )


# values


def _clean_rows(batch: Sequence[Iterable[object]], reading: _Reading) -> list[Row]:
    try:
        return [tuple([text_of(value) for value in row]) for row in batch]
    except TypeError:
        # From None: the error holds the value.
        raise _first_not_text(batch, reading) from None


def _first_not_text(batch: Sequence[Iterable[object]], reading: _Reading) -> SourceShapeError:
    for row in batch:
        key = next(iter(row))
        for name, value in zip(reading.fields, row, strict=True):
            where = f"{reading.table.table}.{reading.table.columns.get(name, name)}"
            if isinstance(key, int | str):
                where = f"{where} (row with {reading.fields[0]} {key})"
            try:
                text_of(value)
            except TypeError:
                return _not_text(where, f"values of a kind that has no text form ({type(value).__name__})")
    raise AssertionError("a row that could not be read can be read now")


def _not_text(where: str, what: str) -> SourceShapeError:
    return SourceShapeError(
        f"{where} holds {what}.", next_step=f"Correct the row, or name another column in {_RULES_FILE}."
    )
