"""Members and positions from a SQL database, through SQLAlchemy Core: SQLite, MySQL or MariaDB, PostgreSQL.

The database hands over rows in one read-only view and nothing else: every join, order and comparison is made here,
on cleaned text, because databases disagree on which texts are equal (design §4.1). Both shapes end in the same values
with the same row names, so one world gives one plan wherever it is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, assert_never, cast
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, column, create_engine, inspect, null, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from reconciler.core.model import Progress, SourceData, silent
from reconciler.core.rules import Sources, Table
from reconciler.core.whom import Whom
from reconciler.errors import Problem, RulesError, SettingsError, SourceShapeError, SourceUnreachable
from reconciler.sources import rows as of
from reconciler.sources.rows import Row, text_of
from reconciler.sources.sql_lookup import Table as Searched
from reconciler.sources.sql_lookup import Where, find_in

Shape: TypeAlias = Literal["sql", "mysql"]
"""`sql`: one table of members and one of positions, by member number · `mysql`: the union's own three tables."""

CONNECT_SECONDS = 10
READ_SECONDS = 120
"""How long MySQL may be silent in the middle of a read."""
BATCH = 1_000
"""Rows fetched at a time, and between two reports of progress."""

_RULES_FILE = "rules/sources.yaml"
_MYSQL_REASONS = {
    1040: "it has no connection left",
    1044: "the user may not use this database",
    1045: "the user or the password is not accepted",
    1049: "it has no database of that name",
    1130: "it takes no connections from this machine",
    1142: "the user may not read one of the tables",
    1143: "the user may not read one of the columns",
    1205: "a lock was waited for too long",
    2003: "nothing answers there",
    2006: "the connection was lost",
    2013: "the connection was lost during the read",
}
"""By error number (MariaDB, server error codes; MySQL, client error codes): the server's own text may hold data."""

_SQLITE_REASONS = {
    "SQLITE_BUSY": "another program holds it locked",
    "SQLITE_CANTOPEN": "the file cannot be opened",
    "SQLITE_CORRUPT": "the file is damaged",
    "SQLITE_NOTADB": "the file is not a SQLite database",
}


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
    _engine: Engine = field(repr=False)
    _readings: tuple[_Reading, ...] = field(repr=False)
    _place: str
    """Where it is, in the words of error texts."""
    _file: Path | None = field(repr=False)
    """SQLite only."""

    @property
    def name(self) -> str:
        """`sqlite`, `mysql` (MariaDB too) or `postgresql`."""
        return _family(self._engine.url)

    def read(self, progress: Progress) -> SourceData:
        """All members, by number, and all positions, by number and code, as they were at one moment.

        Values are text: trimmed, NFC, blank as None. A row without a number is kept (number `""`), and rows that
        share a number are told apart in `row` by `#2`, `#3` in the order of their values. In the `mysql` shape a
        member's e-mail is the one marked primary; of several, or where none is, the smallest by code points; blank
        addresses and addresses of no member count for nothing. A position whose member id belongs to nobody is kept
        with the number `""` and a `row` that names the id.

        Raises SourceUnreachable, or SourceShapeError with every table and column that is missing.
        """
        self._check_file()
        try:
            with self._view() as connection:
                tables = [self._fetch(connection, reading, progress) for reading in self._readings]
        except DBAPIError as error:
            raise _unreachable(self._place, _reason(error)) from error
        match self.shape:
            case "sql":
                members, positions = tables
                return of.source_data(self.name, members, of.entries_by_number(positions))
            case "mysql":
                people, addresses, positions = tables
                return self._join(people, addresses, positions)
            case _:
                assert_never(self.shape)

    def find(self, whom: Whom) -> SourceData:
        """As sources.LookUp, in one view; the tables are searched by the database, and none is read whole."""
        self._check_file()
        try:
            with self._view() as connection:
                return find_in(self.name, self.shape, _Asked(self, connection), whom.cleaned())
        except DBAPIError as error:
            raise _unreachable(self._place, _reason(error)) from error

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
        return of.source_data(self.name, members, of.entries_by_id(positions, numbers))

    def _check_file(self) -> None:
        """SQLite's own word for a file that is not there is the same as for one that may not be read."""
        if self._file is not None and not self._file.is_file():
            raise _unreachable(self._place, "there is no such file")

    @contextmanager
    def _view(self) -> Iterator[Connection]:
        """A connection that cannot write and sees the database as it was when the read began."""
        with self._connect() as connection:
            match self.name:
                case "sqlite":
                    # Python's driver begins no transaction for a SELECT; without one each table is a view of its own.
                    connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("BEGIN")
                    # One row with bytes that are not UTF-8 would otherwise end the read, with an error that quotes it.
                    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
                    driver.text_factory = of.as_utf8
                case "mysql":
                    connection.execution_options(isolation_level="REPEATABLE READ").exec_driver_sql(
                        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
                    )
                case _:
                    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except RuntimeError as error:
            # How PyMySQL says that the login method of a user needs a package that is not installed (_auth.py).
            raise _unreachable(self._place, f"the driver cannot log in: {error}") from error

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
            missing = self._missing(connection)
            if not missing:
                raise
            raise SourceShapeError(
                "\n".join([f"{self._place} does not look as {_RULES_FILE} says:", *missing]),
                next_step=f"Correct the names under `{self.shape}:` in {_RULES_FILE}, or ask who changed the database.",
            ) from error
        progress(reading.holds, len(rows), len(rows))
        return rows

    def _missing(self, connection: Connection) -> list[str]:
        """A line for every table and column of the rules that is not there, each with what is."""
        connection.rollback()
        inspector = inspect(connection)
        tables = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
        same_table, same_column = _sameness(self.name)
        found = {same_table(name): name for name in tables}
        lines = []
        for each in (reading.table for reading in self._readings):
            name = found.get(same_table(each.table))
            if name is None:
                lines.append(f"  there is no table {each.table}; there are: {', '.join(tables) or 'none'}")
                continue
            columns = [str(entry["name"]) for entry in inspector.get_columns(name)]
            there = {same_column(entry) for entry in columns}
            absent = [entry for entry in each.columns.values() if same_column(entry) not in there]
            if absent:
                lines.append(f"  table {each.table} has no column {', '.join(absent)}; it has: {', '.join(columns)}")
        return lines


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
    parsed = _parse(url)
    file = Path(parsed.database or "").absolute() if _family(parsed) == "sqlite" else None
    return SqlSource(shape, _engine(parsed, file, connect_seconds), readings, _place(parsed), file)


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
    where = f"{shape}.{reading.holds}.columns"
    for name in reading.required:
        if name not in reading.table.columns:
            yield Problem("sources.yaml", 0, f"{where} lacks `{name}`")
    for name in reading.table.columns:
        if name not in of.valid_names(shape, reading.holds, reading.fields):
            valid = ", ".join(of.valid_names(shape, reading.holds, reading.fields))
            yield Problem("sources.yaml", 0, f"{where} has `{name}`; valid names: {valid}")


# the place


def _parse(url: str) -> URL:
    """The URL with the driver we ship. No text of the parser is passed on: it may quote a part of the password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _bad_url("it cannot be read as DIALECT://USER:PASSWORD@HOST:PORT/DATABASE") from None
    if set(parsed.host or "") & set("@/?#"):
        raise _bad_url("write the characters @ / : ? # of a user name or password as %40 %2F %3A %3F %23")
    if parsed.drivername in {"mysql", "mariadb"}:
        parsed = parsed.set(drivername="mysql+pymysql")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "mysql+pymysql", "mariadb+pymysql"} and not (
        _family(parsed) == "postgresql"
    ):
        raise _bad_url("a source is sqlite:///FILE, mysql:// (through PyMySQL) or postgresql://")
    if _family(parsed) == "sqlite" and (parsed.database or ":memory:").startswith((":", "file:")):
        raise _bad_url("it names no file: write sqlite:///FILE")
    if _family(parsed) != "sqlite" and not parsed.database:
        raise _bad_url("it names no database")
    return parsed


def _family(url: URL) -> str:
    family = url.get_backend_name()
    return "mysql" if family == "mariadb" else family


def _place(url: URL) -> str:
    """Where the database is, for people: never the user or the password."""
    family = _family(url)
    if family == "sqlite":
        return f"sqlite {url.database}"
    port = url.port or (3306 if family == "mysql" else 5432)
    return f"{family} at {url.host or 'localhost'}:{port}, database {url.database}"


def _engine(url: URL, file: Path | None, connect_seconds: int) -> Engine:
    options: dict[str, object] = {}
    match _family(url):
        case "sqlite":
            # A file: URI, because only there SQLite takes mode=ro, which also keeps it from making a new file.
            url = URL.create("sqlite", database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"})
            options = {"timeout": connect_seconds}
        case "mysql":
            url = url.update_query_dict({"charset": "utf8mb4"})
            options = {
                "connect_timeout": connect_seconds,
                "read_timeout": READ_SECONDS,
                # Bytes: PyMySQL sends text as Latin-1, and where it cannot its error holds the password.
                "password": (url.password or "").encode(),
                "sql_mode": "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
                "init_command": "SET SESSION TRANSACTION READ ONLY",
            }
        case _:
            options = {"connect_timeout": connect_seconds}
    try:
        return create_engine(url, poolclass=NullPool, connect_args=options, hide_parameters=True)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise _bad_url(f"the driver for {url.drivername} is not installed") from error


def _bad_url(says: str) -> SettingsError:
    return SettingsError(
        f"The URL of the source cannot be used: {says}.", next_step="Correct RECONCILER_SOURCE, MYSQL_URL or MYSQL_*."
    )


# errors


def _unreachable(place: str, reason: str) -> SourceUnreachable:
    return SourceUnreachable(
        f"The source cannot be read ({place}): {reason}.",
        next_step="Check RECONCILER_SOURCE or MYSQL_*, that it can be reached from here, then run the command again.",
    )


def _reason(error: DBAPIError) -> str:
    original = error.orig
    number: object = original.args[0] if original is not None and original.args else None
    if isinstance(number, int):
        return f"{_MYSQL_REASONS.get(number, 'the server refused')} (error {number})"
    code = getattr(original, "sqlite_errorname", None)
    if isinstance(code, str):
        return f"{_SQLITE_REASONS.get(code, 'SQLite refused')} ({code})"
    return f"the database refused ({type(original).__name__})"


def _not_text(where: str, what: str) -> SourceShapeError:
    return SourceShapeError(
        f"{where} holds {what}.", next_step=f"Correct the row, or name another column in {_RULES_FILE}."
    )


def _sameness(family: str) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """How table and column names are compared: SQLite ignores case in both, MySQL in columns, PostgreSQL in none."""
    match family:
        case "sqlite":
            return str.casefold, str.casefold
        case "mysql":
            return str, str.casefold
        case _:
            return str, str


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
