"""What the service counts, for Prometheus. Labels come from closed lists: no id and no text from outside is one."""

from __future__ import annotations

import sys
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from reconciler.web.body import Reason
from reconciler.web.events import TOPICS

ANSWER_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Intercom wants an answer within 0.5 s, and gives up after 5."""

EVENT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)

DROPPED = ("ping", "unknown_topic", "no_ids", "other_app", "out_of_time", "duplicate", "absorbed")
"""Answered with 200, and nothing to be done: why."""

RESULTS = ("reconciled", "nothing", "refused")


class Metrics:
    """One registry of its own, so that two services of one process (as in tests) do not share their counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        sys.audit("reconciler.metrics", self._registry)  # whoever watches can look at all that is counted (PEP 578)
        self.received = self._counter("webhook_received", "Calls whose signature was right.", "topic")
        self.refused = self._counter("webhook_refused", "Calls that were refused.", "reason")
        self.dropped = self._counter("webhook_dropped", "Notifications with nothing to do.", "reason")
        self.queued = self._counter("events_queued", "Events that were put into the queue.")
        self.handled = self._counter("events_handled", "Events that were handled.", "result")
        self.failed_tries = self._counter("events_failed_tries", "Tries that failed; each event has five.")
        self.parked = self._counter("events_parked", "Events that were parked after their last try.")
        self.answer_seconds = self._histogram("webhook_answer_seconds", "From call to answer.", ANSWER_SECONDS)
        self.event_seconds = self._histogram("event_seconds", "From acceptance to the end of handling.", EVENT_SECONDS)
        self.last_event = self._gauge("last_event_timestamp_seconds", "When the last event was accepted; 0: never.")
        self.waiting = self._gauge("events_waiting", "Events in the queue, of all instances.")
        self.running = self._gauge("events_running", "Events being handled, by all instances.")
        self.parked_now = self._gauge("events_parked_now", "Parked events that nobody has looked after.")
        # A series that exists from the start can be told from one that nobody counts.
        for topic in (*TOPICS, "ping", "other"):
            self.received.labels(topic)
        for reason in get_args(Reason):
            self.refused.labels(reason)
        for dropped in DROPPED:
            self.dropped.labels(dropped)
        for result in RESULTS:
            self.handled.labels(result)

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"reconciler_{name}", says, labels, registry=self._registry)

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(f"reconciler_{name}", says, registry=self._registry)

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"reconciler_{name}", says, registry=self._registry, buckets=buckets)
