"""The durable engine's books, asked from outside; on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dbos import DBOSClient
from sqlalchemy import text

from reconciler.errors import StateError
from reconciler.runs.durable import WORKFLOW
from reconciler.runs.lock import Lease, last_holder
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.silence import EVENT
from reconciler.runs.state import StateDatabase
from reconciler.runs.workflows import given_up, unfinished

PLAN = "20261123T023000Z-8f3a1c5e"


def enqueue(database: StateDatabase, name: str, workflow_id: str) -> None:
    """One workflow that nobody begins with; the web service goes by a name of its own."""
    application = "reconciler-web" if name == EVENT else "reconciler"
    books = DBOSClient(system_database_url=database.engine_url(), application_name=application)
    books.enqueue({"workflow_name": name, "queue_name": "waiting", "workflow_id": workflow_id})
    books.destroy()


def test_nothing_has_run(database: StateDatabase) -> None:
    """No run and no event."""
    assert (unfinished(database), given_up(database)) == ((), 0)


def test_event_that_was_given_up(database: StateDatabase) -> None:
    """Counted once its last try has failed."""
    enqueue(database, EVENT, "event-1")
    assert given_up(database) == 0
    table = "workflow_status" if database.url.get_backend_name() == "sqlite" else "dbos.workflow_status"
    with database.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET status = 'ERROR'"))
    assert given_up(database) == 1


def test_run_is_unfinished_and_an_event_is_no_run(database: StateDatabase) -> None:
    """The plan's id alone."""
    enqueue(database, WORKFLOW, PLAN)
    enqueue(database, EVENT, "event-1")
    assert unfinished(database) == (PLAN,)


def test_without_the_tables_of_the_engine(tmp_path: Path) -> None:
    """Somebody paused before anything ever ran."""
    database = StateDatabase(f"sqlite:///{tmp_path / 'state.sqlite'}")
    with database.begin():
        pass
    assert unfinished(database) == ()


def test_without_the_tables_of_the_engine_on_postgresql(postgres_url: str) -> None:
    """As on SQLite."""
    database = StateDatabase(postgres_url)
    assert unfinished(database) == ()


def test_lock_and_pause_are_seen_on_postgresql(postgres_url: str) -> None:
    """As on SQLite, where their own tests are."""
    database = StateDatabase(postgres_url)
    assert (last_holder(database), PauseSwitch(database).reason()) == (None, None)
    with Lease(database, holder="process 7 on night"):
        held = last_holder(database)
    assert held is not None
    assert (held.who, held.alive) == ("process 7 on night", True)
    assert abs(held.since - datetime.now(UTC)) < timedelta(minutes=1)
    database.close()


def test_database_that_is_damaged(tmp_path: Path) -> None:
    """An error of ours that names the place; nothing is taken for an empty book."""
    (tmp_path / "state.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(StateError, match=r"state\.sqlite"):
        unfinished(StateDatabase(f"sqlite:///{tmp_path / 'state.sqlite'}"))
