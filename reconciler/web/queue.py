"""The queue of events, as rows of the durable engine's own table: what waits, what runs, and who runs it.

The engine's calls list whole workflows, inputs included; what is wanted here are counts and the state of one row, many
times a second. So its table is read as it is documented (https://docs.dbos.dev/explanations/system-tables), and never
written: whatever changes goes through the engine.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError

from reconciler.errors import StateError
from reconciler.runs import silence
from reconciler.runs.state import ABSORBED, LEASES, StateDatabase

APPLICATION = "reconciler-web"
"""The engine's name for the service. `reconciler apply` goes by `reconciler` (runs/durable.py), in the same tables.

An application takes up only what is its own: its queues, its workflows, its versions. So a nightly run that finds
unfinished work on its way in never sees an event, and the service never sees a plan.
"""

SHAPE = "web-1"
"""What is stored of an event, and what it means. Events of another shape wait for a service that knows it."""

WORKFLOW, QUEUE = silence.EVENT, silence.QUEUE
PREFIX = "event-"
"""An event's workflow is called so, and then by the notification's id: the same one twice is one workflow."""

WAITING, RUNNING, PARKED = "ENQUEUED", "PENDING", "ERROR"
"""The engine's words (https://docs.dbos.dev/explanations/system-tables#dbosworkflow_status)."""

_IN_FLIGHT = text("status IN ('ENQUEUED', 'PENDING')")
_FAILED = text("status IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')")
"""Written out as the engine's partial indexes have them: SQLite uses those only where the very words are there."""

LEASE = "web-"
"""An instance of the service holds the lock of this name and its own while it lives: runs/lock.py."""


def workflow_of(event_id: str) -> str:
    """The id of an event's workflow."""
    return f"{PREFIX}{event_id}"


@dataclass(frozen=True, slots=True)
class Length:
    """How many events, of all instances."""

    waiting: int = 0
    running: int = 0
    parked: int = 0


class QueueView:
    """Reads the queue. Every method blocks, and raises StateError."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database
        schema = None if database.url.get_backend_name() == "sqlite" else "dbos"
        self._rows = Table(
            "workflow_status",
            MetaData(schema=schema),
            Column("workflow_uuid", String, primary_key=True),
            Column("status", String),
            Column("name", String),
            Column("queue_name", String),
            Column("executor_id", String),
            Column("completed_at", BigInteger),
        )

    def is_there(self) -> bool:
        """Whether the durable engine has ever made its tables here."""
        with self._database.begin() as connection:
            return inspect(connection).has_table(self._rows.name, schema=self._rows.schema)

    def length(self) -> Length:
        """How many wait, run and are parked."""
        rows = self._rows
        counting = select(rows.c.status, func.count().label("number")).group_by(rows.c.status)
        in_flight = counting.where(rows.c.queue_name == QUEUE, _IN_FLIGHT)
        parked = counting.where(rows.c.name == WORKFLOW, _FAILED, rows.c.status == PARKED)
        with self._database.begin() as connection:
            found: dict[str, int] = {}
            for wanted in (in_flight, parked):
                found |= {row.status: row.number for row in connection.execute(wanted).all()}
        return Length(found.get(WAITING, 0), found.get(RUNNING, 0), found.get(PARKED, 0))

    def is_known(self, event_id: str) -> bool:
        """Whether the event has been in the queue, or another stood for it, some time in the last days."""
        rows = self._rows
        with self._database.begin() as connection:
            queued = select(rows.c.status).where(rows.c.workflow_uuid == workflow_of(event_id))
            absorbed = select(ABSORBED.c.at).where(ABSORBED.c.event == event_id)
            return any(connection.execute(one).first() is not None for one in (queued, absorbed))

    def absorb(self, event_id: str, *, by_event: str) -> bool:
        """Note that another event stands for this one, if nobody has begun to handle that. False where somebody has."""
        rows = self._rows
        waits = select(rows.c.status).where(rows.c.workflow_uuid == workflow_of(by_event), rows.c.status == WAITING)
        try:
            with self._database.begin() as connection:
                if connection.execute(waits).first() is None:
                    return False
                values = {"event": event_id, "by_event": by_event, "at": self._database.now()}
                connection.execute(insert(ABSORBED).values(values))
        except StateError as error:
            if isinstance(error.__cause__, IntegrityError):
                return True
            raise
        return True

    def executors(self) -> tuple[str, ...]:
        """Who has events in hand, by the names that the processes gave themselves."""
        rows = self._rows
        wanted = (
            select(rows.c.executor_id)
            .where(rows.c.queue_name == QUEUE, rows.c.status == RUNNING, _IN_FLIGHT)
            .distinct()
        )
        with self._database.begin() as connection:
            return tuple(sorted(name for (name,) in connection.execute(wanted).all() if name))

    def in_hand(self, executor: str) -> list[str]:
        """The workflows that one of them has begun."""
        rows = self._rows
        wanted = select(rows.c.workflow_uuid).where(
            rows.c.queue_name == QUEUE, rows.c.status == RUNNING, _IN_FLIGHT, rows.c.executor_id == executor
        )
        with self._database.begin() as connection:
            return sorted(identity for (identity,) in connection.execute(wanted).all())

    def ended_before(self, moment_ms: int, *, status: str, limit: int) -> list[str]:
        """Workflows with that end whose end was before a moment (unix milliseconds), at most so many."""
        rows = self._rows
        wanted = select(rows.c.workflow_uuid).where(
            rows.c.name == WORKFLOW, rows.c.status == status, rows.c.completed_at < moment_ms
        )
        with self._database.begin() as connection:
            return [identity for (identity,) in connection.execute(wanted.limit(limit)).all()]

    def forget(self, *, absorbed_seconds: float, leases_seconds: float) -> None:
        """Remove what is older: events that were absorbed, and locks of instances that are long gone."""
        now = self._database.now()
        with self._database.begin() as connection:
            connection.execute(delete(ABSORBED).where(ABSORBED.c.at < now - absorbed_seconds))
            gone = LEASES.c.name.startswith(LEASE, autoescape=True) & (LEASES.c.expires < now - leases_seconds)
            connection.execute(delete(LEASES).where(gone))
