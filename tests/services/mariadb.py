"""A private MariaDB for tests: its own files, its own port on 127.0.0.1, gone when the tests are.

Use the fixture `mariadb` for the server and `mariadb_url` for an empty database on it. One server a test process (so
one a pytest-xdist worker), started when the first test asks. Where MariaDB is not installed those
tests skip and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pymysql
import pytest

from tests.services.servers import START_SECONDS, running

MISSING = "MariaDB is not here and cannot be installed: run scripts/install-mariadb.sh, or install mariadb-server"
# On Debian mariadbd is in /usr/sbin, which is not on the PATH of an ordinary user.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
_AS_ROOT = ("--user=root",) if os.geteuid() == 0 else ()


@dataclass(frozen=True, slots=True)
class MariaDb:
    """A running server and the one user that may use it."""

    port: int
    user: str = "union-reader"
    password: str = "pä€5 w@rd/%"
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    def connect(self, database: str | None = None) -> pymysql.Connection:
        """A connection of the user's own, which may write."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password.encode(),  # as text PyMySQL would send Latin-1
            database=database,
            charset="utf8mb4",
            autocommit=True,
        )

    def url(self, database: str, *, user: str | None = None, password: str | None = None) -> str:
        """The mysql:// URL of one of its databases, for this user or another."""
        login = f"{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}"
        return f"mysql://{login}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The name of a new, empty database."""
        name = f"union_{next(self._numbers)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        return name


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """The server of this test process."""
    # Below the base, whose path is short enough: a socket's path may be 107 bytes long (unix(7)).
    with running_mariadb(tmp_path_factory.mktemp("db")) as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb: MariaDb) -> str:
    """The URL of a new, empty database."""
    return mariadb.url(mariadb.new_database())


@contextmanager
def running_mariadb(folder: Path) -> Iterator[MariaDb]:
    """Start a server in an empty folder, and stop it (that process alone) at the end."""
    install, serve = (shutil.which(name, path=_PATH) for name in ("mariadb-install-db", "mariadbd"))
    if install is None or serve is None or shutil.which("my_print_defaults", path=_PATH) is None:
        pytest.skip(MISSING)
    log = folder / "log"
    with log.open("wb") as output:
        subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={folder / 'data'}",
                "--skip-test-db",
                "--skip-name-resolve",
                *_AS_ROOT,
            ],
            stdout=output,
            stderr=output,
            check=True,
            timeout=START_SECONDS,
        )
    user = MariaDb(port=0)
    (folder / "init.sql").write_text(
        f"CREATE OR REPLACE USER '{user.user}'@'127.0.0.1' IDENTIFIED BY '{user.password}';\n"
        f"GRANT ALL ON *.* TO '{user.user}'@'127.0.0.1' WITH GRANT OPTION;\n",
        encoding="utf-8",
    )
    command = partial(_command, serve, folder)
    with running("MariaDB", command=command, answers=_answers, log=log) as port:
        yield MariaDb(port=port)


def _answers(port: int) -> bool:
    """Whether the user can log in, which is after --init-file has run."""
    try:
        MariaDb(port=port).connect().close()
    except pymysql.err.OperationalError:
        return False
    return True


def _command(serve: str, folder: Path, port: int) -> list[str]:
    return [
        serve,
        "--no-defaults",
        *_AS_ROOT,
        f"--datadir={folder / 'data'}",
        f"--socket={folder / 's'}",
        f"--pid-file={folder / 'pid'}",
        f"--init-file={folder / 'init.sql'}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--character-set-server=utf8mb4",
        # Durability is of no use to a server that lives for a minute.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
    ]
