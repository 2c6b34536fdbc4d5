"""Whether events of Intercom's webhook still come in: what the night warns of where they do not.

Intercom suspends the webhook of a private app after seven days of errors, and tells nobody
(https://developers.intercom.com/docs/webhooks/setting-up-webhooks). The night puts everything right without it, so that
nobody would miss it but the members who write.

Silence is counted from the newest event, or from when the web service first ran with this state database, whichever is
later. So there is no false alarm before the service is set up, nor on its first day, and a service to which nothing
ever comes is noticed, too. That it ran is known for good by its queue, which the durable engine keeps; events are
forgotten after two weeks (web/engine.py), and without the queue the alarm would end with them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, String, Table, func, inspect, select

from reconciler.core.planner import timestamp
from reconciler.runs.state import ABSORBED, StateDatabase

SILENT_AFTER = timedelta(hours=24)
"""Without an event for so long, the webhook is silent (failure mode F12)."""

NEXT_STEP = (
    "Intercom suspends a webhook whose calls fail for seven days. Run `reconcile doctor`; then see docs/runbook.md, "
    "`The webhook is silent`."
)

EVENT, QUEUE = "reconciler.event", "reconciler.events"
"""The workflow and the queue of the web service's events (web/queue.py)."""


class Heard(msgspec.Struct, frozen=True):
    """What a state database knows of the webhook."""

    newest: datetime | None = None
    """When the newest event came in; None where none is remembered."""
    serving_since: datetime | None = None
    """When the web service first ran; None where it never did."""


NOTHING_HEARD = Heard()


def heard(database: StateDatabase) -> Heard:
    """What is known. An event that a waiting one stands for has come in like any other. Raises StateError.

    Reads two tables of the durable engine, whose times are unix milliseconds, and starts nothing: `workflow_status` as
    it is documented (https://docs.dbos.dev/explanations/system-tables), `queues` as a test with the service holds it.
    """
    schema = None if database.url.get_backend_name() == "sqlite" else "dbos"
    events = _table("workflow_status", schema)
    queues = _table("queues", schema)
    with database.begin() as connection:
        if not all(inspect(connection).has_table(one.name, schema=schema) for one in (events, queues)):
            return NOTHING_HEARD
        of_event = select(func.max(events.c.created_at)).where(events.c.name == EVENT)
        of_queue = select(func.min(queues.c.created_at)).where(queues.c.name == QUEUE)
        accepted, served = connection.execute(of_event).scalar(), connection.execute(of_queue).scalar()
        absorbed = connection.execute(select(func.max(ABSORBED.c.at))).scalar()
    came = [one for one in (_moment(accepted), _moment(absorbed and absorbed * 1000)) if one is not None]
    return Heard(max(came, default=None), _moment(served))


def silence(known: Heard, *, now: datetime) -> str | None:
    """What is to be said of a webhook that is silent, on one line; None where it is not, or nobody waits for it.

    now: UTC. Pure.
    """
    newest, serving = known.newest, known.serving_since
    last = max((one for one in (newest, serving) if one is not None), default=None)
    if last is None or now - last <= SILENT_AFTER:
        return None
    what = "has come in since" if newest is not None else "is known since the web service first ran,"
    return f"The webhook is silent: no event {what} {timestamp(last)}. {NEXT_STEP}"


def _table(name: str, schema: str | None) -> Table:
    return Table(name, MetaData(schema=schema), Column("name", String), Column("created_at", BigInteger))


def _moment(milliseconds: float | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
