"""The fixtures of the tests of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest
from dbos import DBOS

from reconciler.runs.state import StateDatabase
from tests.runs.processes import Warm
from tests.runs.processes import warm as warm_process
from tests.services.postgres import Postgres
from tests.services.s3 import _s3_process, s3

__all__ = ["_s3_process", "s3"]

NewState: TypeAlias = Callable[[], str]
"""The URL of a state database in PostgreSQL that nobody has used."""


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """The process that forks a process for each night."""
    with warm_process() as process:
        yield process


@pytest.fixture(scope="session")
def new_state(postgres: Postgres) -> NewState:
    """Makes one after the other: copies of one whose tables are made, which costs a tenth of making them."""
    made = postgres.new_database()
    database = StateDatabase(postgres.url(made))
    with database.begin():
        pass
    _make_tables_of_the_engine(database)
    database.close()
    numbers = count(1)

    def new() -> str:
        name = f"state_{next(numbers)}"
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {made}".encode())
        return postgres.url(name)

    return new


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, new_state: NewState) -> Iterator[StateDatabase]:
    """A state database with the engine's tables, and nothing in them."""
    one = StateDatabase(new_state() if request.param == "postgresql" else f"sqlite:///{tmp_path / 'state.sqlite'}")
    if request.param == "sqlite":
        _make_tables_of_the_engine(one)
    yield one
    one.close()


def _make_tables_of_the_engine(database: StateDatabase) -> None:
    DBOS(config={"name": "reconciler", "system_database_url": database.engine_url(), "log_level": "ERROR"})
    try:
        DBOS.launch()
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)
