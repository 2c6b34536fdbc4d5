"""A SQL database by its URL: SQLite, MySQL or MariaDB, PostgreSQL. The settings of its sessions, one view of it that
cannot write, its names, and its errors in words that hold no data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from reconciler.core.rules import Table
from reconciler.errors import SettingsError, SourceUnreachable
from reconciler.sources.rows import as_utf8

CONNECT_SECONDS = 10
READ_SECONDS = 120
"""How long MySQL may be silent in the middle of a read."""

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
class Database:
    """A database that is opened for the length of a view, and stays open for no longer."""

    place: str
    """Where it is, in the words of error texts."""
    engine: Engine = field(repr=False)
    _file: Path | None = field(repr=False)
    """SQLite only."""

    @property
    def family(self) -> str:
        """`sqlite`, `mysql` (MariaDB too) or `postgresql`."""
        return _family(self.engine.url)

    @contextmanager
    def view(self) -> Iterator[Connection]:
        """A connection that cannot write and sees the database as it was when the view began.

        Raises SourceUnreachable, also for what the database says within the block.
        """
        self._check_file()
        try:
            with self._connect() as connection:
                self._begin(connection)
                yield connection
        except DBAPIError as error:
            raise _unreachable(self.place, _reason(error)) from error

    def _check_file(self) -> None:
        """SQLite's own word for a file that is not there is the same as for one that may not be read."""
        if self._file is not None and not self._file.is_file():
            raise _unreachable(self.place, "there is no such file")

    def _begin(self, connection: Connection) -> None:
        match self.family:
            case "sqlite":
                # Python's driver begins no transaction for a SELECT; without one each table is a view of its own.
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("BEGIN")
                # One row with bytes that are not UTF-8 would otherwise end the read, with an error that quotes it.
                driver = cast("sqlite3.Connection", connection.connection.driver_connection)
                driver.text_factory = as_utf8
            case "mysql":
                connection.execution_options(isolation_level="REPEATABLE READ").exec_driver_sql(
                    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
                )
            case _:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except RuntimeError as error:
            # How PyMySQL says that the login method of a user needs a package that is not installed (_auth.py).
            raise _unreachable(self.place, f"the driver cannot log in: {error}") from error

    def missing(self, connection: Connection, wanted: Iterable[Table]) -> list[str]:
        """A line for every table and column of these that is not there, each with what is."""
        connection.rollback()
        inspector = inspect(connection)
        tables = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
        same_table, same_column = _sameness(self.family)
        found = {same_table(name): name for name in tables}
        lines = []
        for each in wanted:
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


def open_database(url: str, *, connect_seconds: int = CONNECT_SECONDS) -> Database:
    """The database at a SQLAlchemy URL (`mysql://` means PyMySQL). Opens nothing yet.

    `connect_seconds` is how long a connection, or SQLite's lock, is waited for.

    Raises SettingsError for a URL that cannot be used.
    """
    parsed = _parse(url)
    file = Path(parsed.database or "").absolute() if _family(parsed) == "sqlite" else None
    return Database(_place(parsed), _engine(parsed, file, connect_seconds), file)


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


# errors and names


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


def _sameness(family: str) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """How table and column names are compared: SQLite ignores case in both, MySQL in columns, PostgreSQL in none."""
    match family:
        case "sqlite":
            return str.casefold, str.casefold
        case "mysql":
            return str, str.casefold
        case _:
            return str, str
