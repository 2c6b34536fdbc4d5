"""Parked events: what they are, and trying one again. For the command line; no service need be running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from dbos import DBOSClient, WorkflowStatus
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from reconciler.core.planner import timestamp
from reconciler.errors import ReconcilerError, StateError
from reconciler.runs.state import StateDatabase
from reconciler.web.inbox import partition_key
from reconciler.web.queue import APPLICATION, PARKED, QUEUE, WORKFLOW, Length, QueueView, workflow_of
from reconciler.web.work import Parked, Waiting, reference_of


class ParkedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was given up."""

    reference: str
    """What an agent was told to ask for."""
    notification: str
    topic: str
    contact: str
    conversation: str
    tag: str | None
    accepted_at: str
    parked_at: str
    error: str
    """The kind of the error of the last try."""
    says: str
    """What it says, where it is an error of ours."""
    told: bool
    """Whether the agent was told."""


class Events(msgspec.Struct, frozen=True):
    """The queue at a moment."""

    waiting: int
    running: int
    parked: tuple[ParkedEvent, ...]


def events(database: StateDatabase) -> Events:
    """How the queue is. Raises StateError."""
    view = QueueView(database)
    length = view.length() if view.is_there() else Length()
    if not length.parked:
        return Events(length.waiting, length.running, ())
    with _client(database) as client:
        found = client.list_workflows(name=WORKFLOW, status=PARKED, application_name=APPLICATION)
    return Events(length.waiting, length.running, tuple(_parked(one) for one in found))


def retry(database: StateDatabase, asked: str) -> ParkedEvent:
    """Put a parked event back into the queue, with five new tries. `asked`: its reference, or its notification's id.

    Raises ReconcilerError where there is no such event, StateError where the database fails.
    """
    for parked in events(database).parked:
        if asked in (parked.reference, parked.notification):
            with _client(database) as client:
                client.rewind_workflow(
                    workflow_of(parked.notification),
                    queue_name=QUEUE,
                    queue_partition_key=partition_key(parked.contact, parked.conversation),
                )
            return parked
    raise ReconcilerError(f"no parked event is called {asked}", next_step="`reconcile events` lists those there are.")


@contextmanager
def _client(database: StateDatabase) -> Iterator[DBOSClient]:
    """The engine's own client. It makes no tables: there are none before the service has run."""
    try:
        client = DBOSClient(
            system_database_url=database.engine_url(), application_name=APPLICATION, retry_connection_errors=False
        )
        try:
            yield client
        finally:
            client.destroy()
    except (SQLAlchemyError, dbos_error.DBOSException) as error:
        raise StateError(
            f"events could not be read from the state database ({database.place}): {type(error).__name__}",
            next_step="See that RECONCILER_STATE_URL names a database that is up and may be written to.",
        ) from error


def _parked(one: WorkflowStatus) -> ParkedEvent:
    if one.input is None:
        raise StateError(
            f"the parked event {one.workflow_id} has no input", next_step="Please report this: it is a bug."
        )
    waiting = msgspec.json.decode(one.input["args"][0], type=Waiting)
    event, error = waiting.event, one.error
    return ParkedEvent(
        reference=reference_of(event.id),
        notification=event.id,
        topic=event.topic,
        contact=event.contact,
        conversation=event.conversation,
        tag=event.tag,
        accepted_at=timestamp(datetime.fromtimestamp(waiting.accepted_at, UTC)),
        parked_at=timestamp(datetime.fromtimestamp((one.completed_at or 0) / 1000, UTC)),
        error=error.kind if isinstance(error, Parked) else type(error).__name__,
        says=error.says if isinstance(error, Parked) else "",
        told=isinstance(error, Parked) and error.told,
    )
