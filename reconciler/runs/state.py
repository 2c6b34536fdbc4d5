"""The state database: what runs remember besides plans and outcomes. SQLite by default, PostgreSQL in production.

Our own tables hold the lock of apply, the pause switch and the claims on contacts; the durable engine keeps its tables
beside them (runs/durable.py). Times are the database's own, so that machines with clocks that differ agree on who
holds what.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    literal_column,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.errors import SettingsError, StateError

BUSY_SECONDS = 10
"""How long a statement waits for another process that is writing the same SQLite file."""

NOW_SQL = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS FLOAT)",
}
"""The database's own time in unix seconds, by the kind of database."""

_TABLES = MetaData()

LEASES = Table(
    "reconciler_lease",
    _TABLES,
    Column("name", String(40), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("process", String(200), nullable=False),
    Column("since", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("epoch", Integer, nullable=False),
)
"""Who may write. `epoch` grows by one with each holder; times are unix seconds of the database; `process` tells a
holder on this very machine from all others (lock.py)."""

PAUSES = Table(
    "reconciler_pause",
    _TABLES,
    Column("name", String(40), primary_key=True),
    Column("since", Float, nullable=False),
    Column("reason", String(400), nullable=False),
)
"""The emergency stop: paused while there is a row."""

ABSORBED = Table(
    "reconciler_absorbed",
    _TABLES,
    Column("event", String(100), primary_key=True),
    Column("by_event", String(100), nullable=False),
    Column("at", Float, nullable=False, index=True),
)
"""Events of the web service that another, waiting one stands for; `at` in unix seconds of the database."""


CLAIMS = Table(
    "reconciler_claim",
    _TABLES,
    Column("name", String(400), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("expires", Float, nullable=False),
    Column("touched", Float, nullable=False),
)
"""Who writes a contact or a member just now, and until when the web service may last have written it (claims.py)."""


class StateDatabase:
    """One state database. The tables are made when it is first used.

    `url` is a SQLAlchemy URL: `sqlite:///FILE` or `postgresql://…`. Raises SettingsError for any other.
    """

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self._engine = _engine(self.url)
        self._closed = False
        event.listen(self._engine, "checkin", self._on_checkin)
        self._ready = False
        self._file = Path(self.url.database or "").absolute()
        self._made: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """Where it is, for messages: never the user or password."""
        return f"{self.url.get_backend_name()} {self.url.host or ''}{'/' if self.url.host else ''}{self.url.database}"

    def exists(self) -> bool:
        """Whether there is something to look at: a SQLite file is made by the first run that needs it."""
        return self.url.get_backend_name() != "sqlite" or self._file.is_file()

    def engine_url(self) -> str:
        """The URL with its password, for the durable engine alone."""
        return self.url.render_as_string(hide_password=False)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction. Raises StateError, naming the place, where the database does not do as it should."""
        try:
            if not self._ready:
                self._make()
            self._check_file()
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self.trouble(error) from error

    def trouble(self, error: SQLAlchemyError) -> StateError:
        """What is said of a database that does not do as it should."""
        return StateError(
            f"the state database ({self.place}) failed: {type(error).__name__}",
            next_step="See that RECONCILER_STATE_URL names a database that is up and may be written to.",
        )

    def now(self) -> ColumnElement[float]:
        """The database's time in unix seconds, as an expression."""
        return literal_column(NOW_SQL[self.url.get_backend_name()], Float)

    def close(self) -> None:
        """Let go of every connection; of one that a thread still works with, as soon as the thread gives it back."""
        self._closed = True
        self._engine.dispose()

    def _on_checkin(self, _connection: object, record: ConnectionPoolEntry) -> None:
        # `dispose` forgets the connections that are in use: given back, they would stay open until they are collected.
        if self._closed:
            record.close()

    def _make(self) -> None:
        if self.url.get_backend_name() == "sqlite" and self.url.database:
            try:
                Path(self.url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StateError(
                    f"the folder of {self.url.database} cannot be made: {error.strerror}",
                    next_step="Name another place with RECONCILER_STATE_URL.",
                ) from error
        self._make_tables()
        self._made = self._identity()
        self._ready = True

    def _make_tables(self) -> None:
        """Make those that are not there. Where somebody else makes one at this very moment, look again."""
        for _ in _TABLES.sorted_tables:
            try:
                _TABLES.create_all(self._engine)
            except (OperationalError, ProgrammingError, IntegrityError):
                continue
            return
        _TABLES.create_all(self._engine)

    def _check_file(self) -> None:
        """An SQLite file that was replaced or deleted can still be used by who has it open, and by nobody else: a pause
        that others set would go unseen.
        """
        if self._made is not None and self._identity() != self._made:
            raise StateError(
                f"the state database ({self.place}) was replaced or deleted while it was in use",
                next_step="Put the file back, or let this run end before you change it.",
            )

    def _identity(self) -> tuple[int, int] | None:
        """Which file it is on this machine; None where it is none."""
        if self.url.get_backend_name() != "sqlite":
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _checked(url: str) -> URL:
    wrong = "RECONCILER_STATE_URL is malformed: wanted is sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError(wrong, next_step="Correct it in the environment or in .env.") from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database:
            return parsed.set(drivername="sqlite")
        case "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
        case _:
            raise SettingsError(wrong, next_step="Correct it in the environment or in .env.")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": BUSY_SECONDS})
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: object, _record: object) -> None:
        # Write-ahead logging lets the pause be read while the durable engine writes (https://sqlite.org/wal.html).
        connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined] # a driver's own connection

    return engine
