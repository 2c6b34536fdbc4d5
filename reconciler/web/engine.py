"""The durable engine of the service, in the loop of its answers; and what keeps the queue sound while it runs.

It goes by a name of its own (queue.py: APPLICATION), so that it and `reconciler apply` never take up each other's work.
Several instances share one queue: each has a name that no two ever share, holds a lock by that name while it lives,
and takes up what one left whose lock has run out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from dbos import DBOS, DBOSConfig
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from reconciler.errors import LockHeld, StateError
from reconciler.runs.lock import Lease, is_held
from reconciler.runs.state import StateDatabase
from reconciler.web.queue import APPLICATION, LEASE, PARKED, QUEUE, SHAPE, QueueView
from reconciler.web.work import Work, use

AT_ONCE = 16
"""Events an instance handles side by side. Each waits for Intercom most of its time."""

POLL_SECONDS = 0.1
"""How often an instance looks for events."""

KEEP_DAYS = 14
"""How long an event is known after its end: a notification that comes again is met by its id (at least 7 days, F6)."""

KEEP_PARKED_DAYS = 90
_DAY = 24 * 60 * 60
_BATCH = 500


@asynccontextmanager
async def running(database: StateDatabase, work: Work, *, executor: str, at_once: int = AT_ONCE) -> AsyncIterator[None]:
    """The engine, while the block lasts; events are handled in the loop that runs it. One in a process at a time.

    executor: the name of this instance. What is still being handled at the end is left as interrupted.
    Raises StateError where the database cannot be used.
    """
    is_file = database.url.get_backend_name() == "sqlite"
    config = DBOSConfig(
        name=APPLICATION,
        system_database_url=database.engine_url(),
        db_engine_kwargs={"hide_parameters": True, "max_overflow": 0},
        # Writers of one SQLite file find it free by trying again and again, the longer the later; in a small pool they
        # wait their turn. Two, as looking for events in a long queue reads for tens of milliseconds: with one, every
        # answer waits for it (p99 about twice as long).
        sys_db_pool_size=2 if is_file else 10,
        application_version=SHAPE,
        executor_id=executor,
        log_level="CRITICAL",  # its tracebacks hold the texts of errors; what is raised, we say ourselves
        use_listen_notify=False,
        notification_listener_polling_interval_sec=0.1,  # also how long leaving takes
    )
    with database.begin():
        pass  # before the engine opens the file: SQLite changes how it keeps its journal only for who is alone
    use(work)
    try:
        try:
            DBOS(config=config)
            DBOS.launch()
            await DBOS.register_queue_async(
                QUEUE, partition_concurrency=1, worker_concurrency=at_once, polling_interval_sec=POLL_SECONDS
            )
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            raise StateError(
                f"the durable engine cannot start in the state database ({database.place}): {type(error).__name__}",
                next_step="See that RECONCILER_STATE_URL names a database that is up and may be written to.",
            ) from error
        yield
    finally:
        for task in tuple(work.tasks):
            task.cancel()
        await asyncio.gather(*work.tasks, return_exceptions=True)
        use(None)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:  # not the loop's own, which is the engine's and ends with it
            await loop.run_in_executor(pool, DBOS.destroy)
        loop.set_default_executor(ThreadPoolExecutor())


class Upkeep:
    """What an instance does for the queue from time to time. Every method blocks, and raises StateError."""

    def __init__(self, database: StateDatabase, view: QueueView, *, executor: str) -> None:
        self._database = database
        self._view = view
        self._executor = executor

    def take_up(self) -> int:
        """Put back into the queue what an instance left that is gone; returns how many events."""
        gone = [one for one in self._view.executors() if one != self._executor and not self._lives(one)]
        if not gone:
            return 0
        try:
            # One at a time: two that put the same event back could have it handled twice at once.
            with Lease(self._database, holder=self._executor, name=f"{LEASE}take-up"):
                left = [workflow for one in gone for workflow in self._view.in_hand(one)]
                if left:
                    DBOS.resume_workflows(left, queue_name=QUEUE)
        except LockHeld:
            return 0
        except (SQLAlchemyError, dbos_error.DBOSException) as error:
            raise StateError(f"events could not be taken up: {type(error).__name__}") from error
        return len(left)

    def forget(self, *, now: float) -> None:
        """Remove what was kept long enough. now: unix seconds."""
        for status, days in (("SUCCESS", KEEP_DAYS), (PARKED, KEEP_PARKED_DAYS)):
            before = int((now - days * _DAY) * 1000)
            while old := self._view.ended_before(before, status=status, limit=_BATCH):
                try:
                    DBOS.delete_workflows(old)
                except (SQLAlchemyError, dbos_error.DBOSException) as error:
                    raise StateError(f"old events could not be removed: {type(error).__name__}") from error
                time.sleep(0)
        self._view.forget(absorbed_seconds=KEEP_DAYS * _DAY, leases_seconds=_DAY)

    def _lives(self, executor: str) -> bool:
        return is_held(self._database, f"{LEASE}{executor}")
