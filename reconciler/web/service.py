"""The service as a whole: opened, kept going and closed, in that order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from random import SystemRandom

import structlog

from reconciler.errors import ExitCode, ScopeMissing, StateError, TargetError, Unauthorized
from reconciler.runs.lock import Lease
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase
from reconciler.settings import Secret
from reconciler.sources import LookUp
from reconciler.web.app import Web, build_app
from reconciler.web.body import READ_SECONDS
from reconciler.web.engine import AT_ONCE, Upkeep, running
from reconciler.web.events import Handler
from reconciler.web.inbox import MAX_WAITING, DurableInbox
from reconciler.web.metrics import Metrics
from reconciler.web.plans import Plans
from reconciler.web.queue import LEASE, QueueView
from reconciler.web.readiness import Readiness
from reconciler.web.server import Server, listen, url_of
from reconciler.web.work import DELAYS, Work

STOP_SECONDS = 8.0
"""From the signal to the end of what is handled; closing takes less than the rest of ten seconds."""

COUNT_SECONDS, TAKE_UP_SECONDS, FORGET_SECONDS = 1.0, 10.0, 3600.0
"""How often the queue is counted, events of dead instances taken up, old ones forgotten."""

ASK_AGAIN_SECONDS = 10.0
"""How long after Intercom could not say whose workspace it is it is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a service is made of.

    workspace: asks Intercom for the id of our workspace. secrets, api_token: as in `Web`. is_paused: whether a setting
    pauses all writing. delays: as in `Work`. max_waiting: events in the queue. at_once: events handled side by side.
    read_seconds: how long the head of a request may take, and its body.
    """

    database: StateDatabase
    open_handler: Callable[[], AbstractAsyncContextManager[Handler]]
    look_up: LookUp
    plans: Plans
    workspace: Callable[[], Awaitable[str]]
    secrets: tuple[Secret, ...]
    api_token: Secret | None
    is_paused: bool = False
    delays: tuple[float, ...] = DELAYS
    max_waiting: int = MAX_WAITING
    at_once: int = AT_ONCE
    read_seconds: float = READ_SECONDS
    now: Callable[[], float] = time.time

    def run(self, *, host: str, port: int, ready: Callable[[str], object]) -> int:
        """Serve until a signal; returns the exit code. ready: told the address once calls can be made.

        Raises OSError where the port is taken, StateError where the database cannot be used or was lost.
        """
        with listen(host, port) as listening, closing(self.database):
            return asyncio.run(self._run(listening, lambda: ready(url_of(host, listening))))

    async def _run(self, listening: socket.socket, ready: Callable[[], object]) -> int:
        executor = uuid.uuid4().hex[:16]  # random on purpose: never the name of another process
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        with Lease(self.database, holder=holder, name=f"{LEASE}{executor}") as lease:
            async with self.open_handler() as handler:
                life = _Life(self, handler, lease, executor)
                async with life.engine():
                    ready()
                    code = await life.serve(listening)
            if (lost := lease.reason_to_stop()) is not None:
                raise StateError(f"the service has {lost}", next_step="Run `reconcile serve` again.")
            return code


class _Life:
    """One run of a service."""

    def __init__(self, service: Service, handler: Handler, lease: Lease, executor: str) -> None:
        self._service = service
        self._lease = lease
        self._executor = executor
        self._metrics = Metrics()
        self._view = QueueView(service.database)
        self._upkeep = Upkeep(service.database, self._view, executor=executor)
        self._inbox = DurableInbox(self._view, self._metrics, now=service.now, max_waiting=service.max_waiting)
        self._work = Work(
            handler=handler,
            metrics=self._metrics,
            may_begin=self._why_not,
            begins=self._inbox.begun,
            delays=service.delays,
            random=SystemRandom().random,
            now=service.now,
        )
        self._pause = PauseSwitch(service.database)
        self._our_app: str | None = None
        ready = Readiness(
            our_app=lambda: self._our_app, look_up=service.look_up, count=self._view.length, is_paused=self._is_paused
        )
        self._log = structlog.get_logger()
        self._server = Server(
            build_app(
                Web(
                    secrets=service.secrets,
                    api_token=service.api_token,
                    inbox=self._inbox,
                    look_up=service.look_up,
                    plans=service.plans,
                    our_app=lambda: self._our_app,
                    checks=ready.checks,
                    is_paused=ready.is_paused,
                    metrics=self._metrics,
                    now=service.now,
                    read_seconds=service.read_seconds,
                )
            ),
            head_seconds=service.read_seconds,
        )

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[None]:
        """The durable engine, what an earlier process left taken up."""
        async with running(self._service.database, self._work, executor=self._executor, at_once=self._service.at_once):
            await asyncio.to_thread(self._take_up)
            await self._inbox.count()
            yield

    async def serve(self, listening: socket.socket) -> int:
        """Answer until a signal, then end what is being handled. Raises what Intercom says of a token that is wrong."""
        duties = [
            asyncio.create_task(duty)
            for duty in (
                self._find_our_app(),
                self._every(COUNT_SECONDS, self._inbox.count),
                self._every(TAKE_UP_SECONDS, lambda: asyncio.to_thread(self._take_up)),
                self._every(FORGET_SECONDS, lambda: asyncio.to_thread(self._upkeep.forget, now=self._service.now())),
                self._every(COUNT_SECONDS, self._watch_lease),
            )
        ]
        try:
            await self._server.serve([listening])
            stopped_at = asyncio.get_running_loop().time() - self._since_signal()
            await self._end_work(until=stopped_at + STOP_SECONDS)
        finally:
            for duty in duties:
                duty.cancel()
            ended = await asyncio.gather(*duties, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        return ExitCode.STOPPED if self._server.stopped_by is signal.SIGTERM else ExitCode.DONE

    def _since_signal(self) -> float:
        return 0.0 if self._server.stopped_at is None else time.monotonic() - self._server.stopped_at

    async def _end_work(self, *, until: float) -> None:
        """Wait for what is being handled. What is not over by then is interrupted, and taken up by whoever is next."""
        left = until - asyncio.get_running_loop().time()
        if self._work.tasks and left > 0:
            await asyncio.wait(self._work.tasks, timeout=left)
        self._log.info("stopped", interrupted=len(self._work.tasks))

    def _why_not(self) -> str | None:
        """Why nothing more is begun."""
        return "the service is told to stop" if self._server.should_exit else self._lease.reason_to_stop()

    def _take_up(self) -> None:
        count = self._upkeep.take_up()
        if count:
            self._log.info("taken_up", events=count)

    async def _every(self, seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await duty()
            except StateError as error:
                self._log.error("upkeep", error=error.what)

    async def _watch_lease(self) -> None:
        """Stop where this instance may have been taken for dead: others may have taken up its events."""
        if self._lease.reason_to_stop() is not None:
            self._server.should_exit = True

    async def _find_our_app(self) -> None:
        while self._our_app is None:
            try:
                self._our_app = await self._service.workspace()
            except (Unauthorized, ScopeMissing):
                self._server.should_exit = True
                raise
            except TargetError as error:
                self._log.error("workspace", error=error.what)
                await asyncio.sleep(ASK_AGAIN_SECONDS)

    def _is_paused(self) -> bool:
        return self._service.is_paused or self._pause.reason() is not None
