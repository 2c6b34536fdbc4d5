"""What the stored runs tell those who plan for one member: the history of the last days, and the union's last size.

Reading it costs as much as the records are long, and an agent waits. So it is read once, again after some minutes
beside the work, and what this process does itself is added at once. It feeds brakes and no decision (core/limits.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import msgspec

from reconciler.core.actions import Outcome
from reconciler.core.history import NO_HISTORY, History, PastRun, history_of
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.planner import timestamp
from reconciler.errors import ReconcilerError
from reconciler.runs.recall import past_runs
from reconciler.runs.store import PlanStore

REMEMBERED = 600.0
"""Seconds after which the records are read again: what other processes did is seen that late."""


class Recalled(msgspec.Struct, frozen=True):
    """What the stored runs tell. live: contacts that the workspace had at the last plan for everybody; 0: unknown."""

    history: History = NO_HISTORY
    live: int = 0


class Memory:
    """The memory of one process. now: UTC."""

    def __init__(self, store: PlanStore, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._read_at: datetime | None = None
        self._runs: tuple[PastRun, ...] = ()
        self._live = 0
        self._recalled: Recalled | None = None
        self._reading: asyncio.Task[None] | None = None

    async def recall(self) -> Recalled:
        """What is remembered. Raises PlanError where the records cannot be read for the first time."""
        if self._read_at is None:
            await self._read()
        elif (self._now() - self._read_at).total_seconds() >= REMEMBERED and self._reading is None:
            self._reading = asyncio.create_task(self._read_again())
        if self._recalled is None:
            self._recalled = Recalled(history_of(self._runs), self._live)
        return self._recalled

    def add(self, plan: Plan, outcomes: tuple[Outcome, ...]) -> None:
        """What this process has just done."""
        at = timestamp(self._now())
        run = RunOutcome(
            plan=plan.id,
            plan_digest="",
            started_at=at,
            finished_at=at,
            summary=count(outcomes),
            outcomes=outcomes,
        )
        self._runs = (*self._runs, PastRun(run))
        self._recalled = None

    async def close(self) -> None:
        """Wait for a reading that is under way."""
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        at = self._now()
        self._runs, self._live = await asyncio.to_thread(self._from_store, at)
        self._read_at, self._recalled = at, None

    async def _read_again(self) -> None:
        """Where that fails, what was known stays, and the next event tries again: a brake may be some minutes old."""
        try:
            with suppress(ReconcilerError):
                await self._read()
        finally:
            self._reading = None

    def _from_store(self, at: datetime) -> tuple[tuple[PastRun, ...], int]:
        known = self._store.last_good(target="contacts")
        live = 0 if known is None else known.inputs.actual.count or 0
        return past_runs(self._store, at=at), live
