"""Whether the webhook is silent: by a clock that the tests set, and by the books of the engine on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dbos import DBOSClient
from sqlalchemy import insert, text

from reconciler.runs.silence import EVENT, QUEUE, SILENT_AFTER, Heard, heard, silence
from reconciler.runs.state import ABSORBED, StateDatabase
from reconciler.web import queue

NOW = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def ago(time: timedelta | None) -> datetime | None:
    """So long before the night."""
    return None if time is None else NOW - time


@pytest.mark.parametrize(
    ("newest", "serving", "says", "reason"),
    [
        (None, None, None, "a fresh installation: the secret is set, and nothing was deployed yet"),
        (None, 2 * HOUR, None, "the service's first hours"),
        (None, DAY, None, "its first day to the last moment"),
        (None, DAY + HOUR, "no event is known since the web service first ran, 2026-11-23T01:30:00Z", "nothing ever"),
        (HOUR, 30 * DAY, None, "a webhook that works"),
        (DAY, 30 * DAY, None, "to the last moment"),
        (DAY + HOUR, 30 * DAY, "no event has come in since 2026-11-23T01:30:00Z", "a day and an hour"),
        (7 * DAY, 30 * DAY, "no event has come in since 2026-11-17T02:30:00Z", "suspended for a week"),
        (None, 30 * DAY, "no event is known since the web service first ran, 2026-10-25T02:30:00Z", "forgotten"),
        (2 * DAY, None, "no event has come in since 2026-11-22T02:30:00Z", "an event is enough to expect more"),
        (2 * DAY, HOUR, None, "the engine's tables were made anew: counted from then"),
        (-HOUR, 30 * DAY, None, "a clock that is ahead"),
    ],
)
def test_when_the_webhook_is_silent(
    newest: timedelta | None, serving: timedelta | None, says: str | None, reason: str
) -> None:
    """After 24 hours without an event, from the newest or from when the service first ran."""
    told = silence(Heard(ago(newest), ago(serving)), now=NOW)
    assert (told is None) == (says is None), reason
    if says is not None and told is not None:
        assert told.startswith(f"The webhook is silent: {says}. "), reason
        assert "Run `reconcile doctor`" in told


def test_a_week_of_nights() -> None:
    """The webhook is suspended at noon: the next night is within the day, and each of the seven after it warns."""
    known = Heard(datetime(2026, 11, 16, 12, 0, tzinfo=UTC), NOW - 30 * DAY)
    nights = [datetime(2026, 11, 17, 2, 30, tzinfo=UTC) + number * DAY for number in range(8)]
    assert [silence(known, now=night) is not None for night in nights] == [False, *[True] * 7]
    assert SILENT_AFTER == DAY


def enqueue(database: StateDatabase, name: str, *, application: str) -> None:
    """One workflow that nobody begins with, of a minute ago at most."""
    books = DBOSClient(system_database_url=database.engine_url(), application_name=application)
    books.enqueue({"workflow_name": name, "queue_name": "waiting"})
    books.destroy()


def age(database: StateDatabase, by: timedelta) -> None:
    """All that the engine has is so much older."""
    prefix = "" if database.url.get_backend_name() == "sqlite" else "dbos."
    with database.begin() as connection:
        for table in ("workflow_status", "queues"):
            connection.execute(
                text(f"UPDATE {prefix}{table} SET created_at = created_at - {by.total_seconds() * 1000:.0f}")
            )


def test_nothing_is_known(database: StateDatabase) -> None:
    """The engine has its tables, as after a first night, and the service has never run."""
    enqueue(database, "reconciler.apply", application="reconciler")
    assert heard(database) == Heard()


def test_the_newest_event(database: StateDatabase) -> None:
    """When it came in, within what two clocks may differ; one that a waiting one stands for counts like any other."""
    enqueue(database, EVENT, application="reconciler-web")
    first = heard(database).newest
    assert first is not None
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=1)
    age(database, 3 * DAY)
    old = heard(database).newest
    assert old is not None
    assert abs(first - 3 * DAY - old) < timedelta(seconds=1)
    with database.begin() as connection:
        connection.execute(insert(ABSORBED).values(event="notif_2", by_event="notif_1", at=database.now()))
    newest = heard(database).newest
    assert newest is not None
    assert abs(newest - datetime.now(UTC)) < timedelta(minutes=1)


def test_when_the_service_first_ran(database: StateDatabase) -> None:
    """When its queue was made: for good, whatever is forgotten of events."""
    books = DBOSClient(system_database_url=database.engine_url(), application_name="reconciler-web")
    books.register_queue(QUEUE)
    books.destroy()
    age(database, 30 * DAY)
    serving = heard(database).serving_since
    assert serving is not None
    assert abs(datetime.now(UTC) - 30 * DAY - serving) < timedelta(minutes=1)


def test_without_the_tables_of_the_engine(tmp_path: Path, postgres_url: str) -> None:
    """Nothing ever ran."""
    for url in (f"sqlite:///{tmp_path / 'state.sqlite'}", postgres_url):
        database = StateDatabase(url)
        assert heard(database) == Heard()
        database.close()


def test_events_are_called_as_the_web_service_calls_them() -> None:
    """Otherwise a busy webhook would pass for a silent one."""
    assert (EVENT, QUEUE) == (queue.WORKFLOW, queue.QUEUE)
