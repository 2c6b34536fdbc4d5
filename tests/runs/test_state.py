"""What a state database leaves behind when it is closed."""

from __future__ import annotations

import threading
import time

import psycopg

from reconciler.runs.state import StateDatabase
from tests.runs.conftest import NewState
from tests.services.postgres import Postgres

SECONDS = 10.0
"""Longer than this PostgreSQL may not take to see that a connection is closed."""


def test_a_connection_in_use_while_the_database_is_closed_does_not_stay_open(
    new_state: NewState, postgres: Postgres
) -> None:
    """A thread that reads the pause at that moment gives its connection back, and it is closed then."""
    database = StateDatabase(new_state())
    reading, closed = threading.Event(), threading.Event()

    def read() -> None:
        with database.begin():
            reading.set()
            closed.wait(SECONDS)

    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(SECONDS)
    assert open_connections(postgres, database) == 1
    database.close()
    closed.set()
    thread.join(SECONDS)

    deadline = time.monotonic() + SECONDS
    while open_connections(postgres, database) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_connections(postgres, database) == 0


def open_connections(postgres: Postgres, database: StateDatabase) -> int:
    """As the server counts them."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (database.url.database,)
        ).fetchone()
    assert found is not None
    return int(found[0])
