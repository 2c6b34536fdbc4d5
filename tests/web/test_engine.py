"""The queue behind the service: whose work is whose, how long events are known, and what an instance does with time."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dbos import DBOSClient
from sqlalchemy import select, update

from reconciler.core.model import silent
from reconciler.errors import StateError
from reconciler.runs import durable
from reconciler.runs.lock import Lease, is_held
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.silence import NOTHING_HEARD, heard
from reconciler.runs.state import LEASES, StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.targets import Writer
from reconciler.web.engine import KEEP_DAYS, KEEP_PARKED_DAYS, Upkeep, running
from reconciler.web.events import Event
from reconciler.web.inbox import DurableInbox
from reconciler.web.metrics import Metrics
from reconciler.web.queue import Length, QueueView
from reconciler.web.work import Work
from tests.web.served import Journal, Order, served
from tests.web.test_service import with_
from tests.web.world import message, until

DAY = 24 * 60 * 60


@pytest.fixture
def database(state_url: str) -> Iterator[StateDatabase]:
    """A state database of each kind."""
    one = StateDatabase(state_url)
    yield one
    one.close()


def nightly(database: StateDatabase, folder: Path) -> durable.Job:
    """What `reconcile apply` would bring; nothing is there for it to do."""

    def open_writer() -> AbstractAsyncContextManager[Writer]:
        raise AssertionError("nothing is written here")

    return durable.Job(
        open_writer=open_writer,
        store=PlanStore(str(folder / "plans")),
        now=lambda: datetime.now(UTC),
        progress=silent,
        stop=lambda: None,
        max_parallel=1,
        process=f"nightly on {database.place}",
    )


def test_a_nightly_run_leaves_events_alone(order: Order, database: StateDatabase, tmp_path: Path) -> None:
    """Those of a service that was killed, waiting or begun: only a service takes them up."""
    view = QueueView(database)
    with served(with_(order, seconds=30.0, at_once=2), log=tmp_path / "log") as service:
        for number in range(5):
            assert service.post(message(number)) == 200
        until(lambda: len(service.did("begin")) == 2)
        service.process.kill()
    assert view.length() == Length(waiting=3, running=2)
    with durable.engine(database, nightly(database, tmp_path)):
        assert asyncio.run(durable.interrupted()) == ()
        time.sleep(1.5)  # more than the engine takes to look at every queue it knows
    assert view.length() == Length(waiting=3, running=2)
    with served(order, log=tmp_path / "log") as service:
        until(lambda: len(set(service.did("end"))) == 5)


def test_a_service_leaves_runs_alone(order: Order, database: StateDatabase, tmp_path: Path) -> None:
    """A plan that waits to be taken up waits for who holds the lock."""
    with durable.engine(database, nightly(database, tmp_path)):
        pass
    client = DBOSClient(system_database_url=database.engine_url(), application_name="reconciler")
    try:
        client.enqueue(
            {
                "workflow_name": durable.WORKFLOW,
                "queue_name": durable._RECOVERY,
                "workflow_id": "a-plan",
                "app_version": durable.SHAPE,
            },
            "plan",
            "caution",
        )
        with served(order, log=tmp_path / "log") as service:
            assert service.post(message(1)) == 200
            until(lambda: service.did("end") == ["notif_1"])
            time.sleep(1.5)
            assert service.stop() == 143
        (found,) = client.list_workflows(name=durable.WORKFLOW)
    finally:
        client.destroy()
    assert (found.status, found.executor_id) == ("ENQUEUED", None)


@dataclass(frozen=True)
class Parts:
    """An engine that runs in the loop of the test."""

    inbox: DurableInbox
    upkeep: Upkeep
    view: QueueView


def in_an_engine(database: StateDatabase, folder: Path, does: Callable[[Parts], Awaitable[None]]) -> list[str]:
    """Run something while the engine does; returns what the handler wrote."""

    async def run() -> None:
        metrics, view = Metrics(), QueueView(database)
        inbox = DurableInbox(view, metrics, now=time.time)
        work = Work(
            handler=Journal(folder / "journal", 0.0, PauseSwitch(database)),
            metrics=metrics,
            may_begin=lambda: None,
            begins=inbox.begun,
            delays=(0.01,) * 4,
            random=lambda: 0.5,
        )
        async with running(database, work, executor="test"):
            await does(Parts(inbox, Upkeep(database, view, executor="test"), view))

    asyncio.run(run())
    return (folder / "journal").read_text().splitlines()


def an_event(number: int, *, contact: str = "c1") -> Event:
    """One message."""
    return Event(
        id=f"notif_{number}",
        topic="conversation.user.replied",
        created_at=int(time.time()),
        contact=contact,
        conversation="1",
    )


async def _settled(view: QueueView, *, parked: int) -> None:
    await asyncio.to_thread(until, lambda: view.length() == Length(parked=parked))


def test_how_long_an_event_is_known(database: StateDatabase, tmp_path: Path) -> None:
    """For two weeks (seven days are wanted); a parked one for three months. Then it is forgotten, row by row."""

    async def does(parts: Parts) -> None:
        well, poison = an_event(1), an_event(2, contact="poison")
        assert [await parts.inbox.accept(one) for one in (well, poison)] == ["queued", "queued"]
        await _settled(parts.view, parked=1)
        now = time.time()
        for days, known in ((KEEP_DAYS - 1, ("duplicate", "duplicate")), (KEEP_DAYS + 1, ("queued", "duplicate"))):
            await asyncio.to_thread(parts.upkeep.forget, now=now + days * DAY)
            assert (await parts.inbox.accept(well), await parts.inbox.accept(poison)) == known
        await _settled(parts.view, parked=1)
        await asyncio.to_thread(parts.upkeep.forget, now=now + (KEEP_PARKED_DAYS + 1) * DAY)
        assert parts.view.length() == Length()

    assert KEEP_DAYS >= 7
    assert len(in_an_engine(database, tmp_path, does)) == 2 * 2 + 5 + 1


def test_what_was_absorbed_is_forgotten(database: StateDatabase, tmp_path: Path) -> None:
    """After the same time."""

    async def does(parts: Parts) -> None:
        taken = [await parts.inbox.accept(an_event(number)) for number in (1, 2)]
        while taken[-1] != "absorbed":  # the first may have been begun by then: the next one waits
            taken.append(await parts.inbox.accept(an_event(len(taken) + 1)))
        await _settled(parts.view, parked=0)
        last = an_event(len(taken))
        parts.view.forget(absorbed_seconds=60, leases_seconds=60)
        assert await parts.inbox.accept(last) == "duplicate"
        parts.view.forget(absorbed_seconds=-60, leases_seconds=60)
        assert await parts.inbox.accept(last) == "queued"
        await _settled(parts.view, parked=0)

    in_an_engine(database, tmp_path, does)


def test_the_night_hears_of_the_service(order: Order, database: StateDatabase, tmp_path: Path) -> None:
    """That it ran, since its first time and not its last, and when its newest event came: what silence is told by."""
    assert heard(database) == NOTHING_HEARD
    with served(order, log=tmp_path / "log") as service:
        first = heard(database)
        assert first.newest is None
        assert first.serving_since is not None
        assert abs(datetime.now(UTC) - first.serving_since) < timedelta(minutes=1)
        service.stop()
    with served(order, log=tmp_path / "log") as service:
        assert service.post(message(1)) == 200
        until(lambda: service.did("end") == ["notif_1"])
        known = heard(database)
    assert known.serving_since == first.serving_since
    assert known.newest is not None
    assert abs(datetime.now(UTC) - known.newest) < timedelta(minutes=1)


def test_a_state_database_that_cannot_be_used(tmp_path: Path) -> None:
    """One clear error, and no event is said to be safe."""
    view = QueueView(StateDatabase(f"sqlite:///{tmp_path}"))
    inbox = DurableInbox(view, Metrics(), now=time.time)
    with pytest.raises(StateError):
        asyncio.run(inbox.accept(an_event(1)))


def test_who_lives(database: StateDatabase) -> None:
    """Who holds its lock; not who let its time run out, and not who was never there."""
    with Lease(database, holder="me", name="web-1"):
        assert is_held(database, "web-1")
        assert not is_held(database, "web-2")
        with database.begin() as connection:
            connection.execute(update(LEASES).values(expires=1.0))
        assert not is_held(database, "web-1")
    with Lease(database, holder="me", name="web-1"):
        gone = subprocess.Popen(["true"])
        gone.wait()
        with database.begin() as connection:
            (name,) = connection.execute(select(LEASES.c.process)).one()
            connection.execute(update(LEASES).values(process=f"{name.rpartition(' ')[0]} {gone.pid}"))
        assert not is_held(database, "web-1")


def test_an_instance_that_was_taken_for_dead(sqlite_order: Order, tmp_path: Path) -> None:
    """It stops, with an error, as others may have taken up its events; the platform starts another."""
    with served(sqlite_order, log=tmp_path / "log") as service:
        database = StateDatabase(sqlite_order.state_url)
        with database.begin() as connection:
            connection.execute(update(LEASES).values(epoch=LEASES.c.epoch + 1))
        database.close()
        assert service.process.wait(30) == 1
    assert "StateError" in (tmp_path / "log").read_text()
