"""Taking events in: safe before the answer, each notification once, a waiting one for all that come after it.

Level-triggered (design §1): what matters is the state that is read when an event is handled. So an event that waits
stands for every later one that would have the same read, and those need no place in the queue.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

import msgspec
from dbos import DBOS, EnqueueOptions
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from reconciler.errors import StateError
from reconciler.web.app import Accepted
from reconciler.web.events import TAG_TOPIC, Event
from reconciler.web.metrics import Metrics
from reconciler.web.queue import APPLICATION, QUEUE, WORKFLOW, Length, QueueView, workflow_of
from reconciler.web.work import Waiting

MAX_WAITING = 20_000
"""Events in the queue, at most; then Intercom is told to come again. It is about as many as there are members."""

ACCEPT_SECONDS = 3.0
"""How long an event may take to be stored. Intercom gives up after five seconds, and sends it again."""


class DurableInbox:
    """An Inbox over the durable engine, which must be running. now: unix seconds.

    Of several instances each coalesces what it took in itself: an event that waits is known by its instance.
    """

    def __init__(
        self, view: QueueView, metrics: Metrics, *, now: Callable[[], float], max_waiting: int = MAX_WAITING
    ) -> None:
        self._view = view
        self._metrics = metrics
        self._now = now
        self._max_waiting = max_waiting
        self._length = Length()
        self._taken_since = 0
        self._waiting: OrderedDict[str, str] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def accept(self, event: Event) -> Accepted:
        """Returns once the event is safe, or is stood for. Raises StateError."""
        key = coalescing_key(event)
        lock = self._locks.get(key)
        if lock is None:
            self._locks[key] = lock = asyncio.Lock()
        try:
            async with asyncio.timeout(ACCEPT_SECONDS), lock:
                return await self._accept(event, key)
        except (SQLAlchemyError, dbos_error.DBOSException, TimeoutError) as error:
            raise StateError(
                f"an event could not be stored: {type(error).__name__}",
                next_step="See that the database RECONCILER_STATE_URL names is up and has room.",
            ) from error

    async def _accept(self, event: Event, key: str) -> Accepted:
        if await asyncio.to_thread(self._view.is_known, event.id):
            return "duplicate"
        stands_for_it = self._waiting.get(key)
        if stands_for_it is not None:
            if await asyncio.to_thread(self._view.absorb, event.id, by_event=stands_for_it):
                return "absorbed"
            self._waiting.pop(key, None)
        if self._length.waiting + self._taken_since >= self._max_waiting:
            return "full"
        options = EnqueueOptions(
            workflow_name=WORKFLOW,
            queue_name=QUEUE,
            workflow_id=workflow_of(event.id),
            workflow_id_reuse_policy="reject",
            queue_partition_key=partition_key(event.contact, event.conversation),
            application_name=APPLICATION,
        )
        waiting = Waiting(event, self._now())
        try:
            await DBOS.enqueue_workflow_with_options_async(options, msgspec.json.encode(waiting).decode())
        except dbos_error.DBOSWorkflowIDInUseError:
            return "duplicate"
        self._taken_since += 1
        self._waiting[key] = event.id
        if len(self._waiting) > self._max_waiting:
            self._waiting.popitem(last=False)
        return "queued"

    def begun(self, event: Event) -> None:
        """An event is being handled: it stands for no other any more."""
        key = coalescing_key(event)
        if self._waiting.get(key) == event.id:
            del self._waiting[key]

    async def count(self) -> None:
        """Look how long the queue is. Raises StateError."""
        taken = self._taken_since
        self._length = await asyncio.to_thread(self._view.length)
        self._taken_since -= taken
        self._metrics.waiting.set(self._length.waiting)
        self._metrics.running.set(self._length.running)
        self._metrics.parked_now.set(self._length.parked)


def coalescing_key(event: Event) -> str:
    """What two events must share for the earlier to stand for the later.

    A message asks for the sync of its contact, whichever conversation it is in. A tag is taken off its conversation, so
    each conversation and each tag is a case of its own.
    """
    if event.topic == TAG_TOPIC:
        return f"tag {event.conversation} {event.tag or ''} {event.contact}"
    return f"message {partition_key(event.contact, event.conversation)}"


def partition_key(contact: str, conversation: str) -> str:
    """Events of one key are handled one after the other: the contact, or the conversation where none was named."""
    return f"contact {contact}" if contact else f"conversation {conversation}"
