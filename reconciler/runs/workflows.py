"""What the durable engine has on its books, asked from outside: nothing is started or taken up by looking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dbos import DBOSClient, WorkflowStatus
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from reconciler.runs.durable import WORKFLOW
from reconciler.runs.silence import EVENT
from reconciler.runs.state import StateDatabase

_MANY = 1000
"""Events that were given up are counted up to here."""


def unfinished(database: StateDatabase) -> tuple[str, ...]:
    """The ids of the plans whose runs are under way or were interrupted, oldest first. Raises StateError."""
    found = _listed(database, status=["PENDING", "ENQUEUED"], name=WORKFLOW)
    return tuple(sorted(one.workflow_id for one in found))


def given_up(database: StateDatabase) -> int:
    """How many events of the webhook were given up, at most 1,000. Raises StateError."""
    return len(_listed(database, name=EVENT, status=["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"], limit=_MANY))


def _listed(database: StateDatabase, **wanted: Any) -> Sequence[WorkflowStatus]:
    """The engine's list of workflows; empty where it has no tables yet, as nothing has run then."""
    books: DBOSClient | None = None
    try:
        books = DBOSClient(system_database_url=database.engine_url(), retry_connection_errors=False)
        return books.list_workflows(load_input=False, load_output=False, **wanted)
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and _has_no_tables(error):
            return ()
        raise database.trouble(error) from error
    finally:
        if books is not None:
            books.destroy()


def _has_no_tables(error: DBAPIError) -> bool:
    """SQLite has no code for it, so its text tells; PostgreSQL's is 42P01, undefined_table."""
    return getattr(error.orig, "sqlstate", None) == "42P01" or str(error.orig).startswith("no such table")
