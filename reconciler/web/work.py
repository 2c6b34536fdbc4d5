"""Handling one event: up to five tries, then it is parked, where `reconcile events` shows it.

An event is a workflow of the durable engine. It has no checkpoints of its own: whoever takes it up after a crash
begins its tries anew, which a Handler allows.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import structlog
from dbos import DBOS

from reconciler.errors import Paused, ReconcilerError, StateError
from reconciler.web.events import Event, Handled, Handler
from reconciler.web.metrics import Metrics
from reconciler.web.queue import WORKFLOW

T = TypeVar("T")

DELAYS = (1.0, 4.0, 16.0, 60.0)
"""Seconds between two tries, give or take a half: so there are five tries (failure mode F11), over about 80 seconds."""

PAUSE_SECONDS = 5.0
"""How often an event asks again while writing is paused. A pause costs no try, and no last word."""


class Parked(Exception):
    """An event that was given up. It is the outcome of its workflow; the engine keeps its arguments, ids only."""

    def __init__(self, kind: str, says: str, told: bool) -> None:
        super().__init__(kind, says, told)
        self.kind = kind
        """The name of the error of the last try."""
        self.says = says
        """Its text, where it is one of ours; else blank, as the texts of others may hold personal data."""
        self.told = told
        """Whether the handler could have its last word, e.g. tell the agent who set a tag."""


class Waiting(msgspec.Struct, frozen=True):
    """What is stored of an event: the input of its workflow."""

    event: Event
    accepted_at: float
    """Unix seconds."""


@dataclass(slots=True, kw_only=True)
class Work:
    """What the workflow needs from the process that runs it.

    may_begin: why this process begins nothing more, or None. begins: told of every event before it is handled.
    sleep: seconds. random: [0, 1). now: unix seconds.
    """

    handler: Handler
    metrics: Metrics
    may_begin: Callable[[], str | None]
    begins: Callable[[Event], None]
    delays: tuple[float, ...] = DELAYS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float]
    now: Callable[[], float] = time.time
    tasks: set[asyncio.Task[object]] = field(default_factory=set)
    """Those that are handling an event now."""

    async def do(self, waiting: Waiting) -> Handled:
        """Handle an event. Raises Parked where every try failed."""
        log = structlog.get_logger().bind(notification=waiting.event.id, topic=waiting.event.topic)
        for number, delay in enumerate((*self.delays, None), start=1):
            try:
                handled = await self._unpaused(waiting.event, lambda: self.handler.handle(waiting.event))
            except Exception as error:  # noqa: BLE001 - a handler that breaks must not stop the queue (F11)
                self.metrics.failed_tries.inc()
                kind, says = type(error).__name__, error.what if isinstance(error, ReconcilerError) else ""
                log.warning("try", number=number, error=kind, says=says)
                if delay is None:
                    raise await self._give_up(waiting.event, kind, says) from None
                await self.sleep(delay * (0.5 + self.random()))
            else:
                break
        self.metrics.handled.labels(handled.result).inc()
        self.metrics.event_seconds.observe(max(0.0, self.now() - waiting.accepted_at))
        log.info("handled", result=handled.result, says=handled.says, plan=handled.plan, tries=number)
        return handled

    async def _unpaused(self, event: Event, call: Callable[[], Awaitable[T]]) -> T:
        """Call the handler, once writing is not paused."""
        while True:
            if (reason := self.may_begin()) is not None:
                raise asyncio.CancelledError(reason)
            self.begins(event)
            try:
                return await call()
            except Paused:
                await self.sleep(PAUSE_SECONDS)

    async def _give_up(self, event: Event, kind: str, says: str) -> Parked:
        log = structlog.get_logger().bind(notification=event.id, reference=reference_of(event.id))
        told = True
        try:
            await self._unpaused(event, lambda: self.handler.give_up(event, reference=reference_of(event.id)))
        except Exception as error:  # noqa: BLE001 - as above: the event is parked whether anybody hears of it or not
            told = False
            log.warning("nobody_told", error=type(error).__name__)
        self.metrics.parked.inc()
        log.error("parked", error=kind, says=says)
        return Parked(kind, says, told)


def reference_of(event_id: str) -> str:
    """What a person asks for: short enough to be read out, and never more than a name for the event's id."""
    return "E-" + hashlib.sha256(event_id.encode()).hexdigest()[:10].upper()


_work: Work | None = None


def use(work: Work | None) -> None:
    """Name what the events of this process are handled with. The engine finds workflows by module, and so this."""
    global _work  # noqa: PLW0603 - see the docstring
    _work = work


@DBOS.workflow(name=WORKFLOW)
async def handle_event(encoded: str) -> str:
    """One event, from its beginning. Ends as interrupted where the process stops."""
    work = _work
    if work is None:
        raise asyncio.CancelledError("the service is not running")
    task = asyncio.current_task()
    if task is None:
        raise StateError("an event is handled outside of a task", next_step="Please report this: it is a bug.")
    work.tasks.add(task)
    try:
        handled = await work.do(msgspec.json.decode(encoded, type=Waiting))
    finally:
        work.tasks.discard(task)
    return msgspec.json.encode(handled).decode()
