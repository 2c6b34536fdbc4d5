"""Applies in processes of their own, which can be killed, stopped and asked what they saw.

A warm process has everything imported and forks one process for each night, so that a night costs its own work and
not the interpreter's start. It has one thread, as a process that forks must. Orders and reports are lines of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, get_args

import msgspec

from reconciler import controller
from reconciler.core import plan as plan_file
from reconciler.core.plan import Plan
from reconciler.errors import ReconcilerError
from reconciler.runs import durable as _durable  # noqa: F401 - else each night would import the engine for itself
from reconciler.runs.caution import Caution
from reconciler.runs.lock import Lease
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.targets.intercom import IntercomTarget
from tests.targets.support import START, TOKEN
from tests.targets.test_faults_campaign import OWNED

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
"""Longer than this no night may take."""

CAUTION = Caution(canary=(4,))
"""Two batches, so that nights also die between the checkpoints of the one and those of the other."""

Since = Literal["birth", "lock", "outcome"]
"""A moment in the life of a process: its birth, when it holds the lock, and the end of its first action."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One night, and when it is to be cut short.

    kill_after: seconds from the moment `since`; None lets it end by itself. The signal `sends` is sent then;
    `wakes_after` seconds later SIGCONT, if they are given.
    lease_seconds: apply in one piece under a lease of so many seconds, without the durable engine.
    """

    base_url: str
    state_url: str
    plans: str
    plan: str
    max_parallel: int = 4
    kill_after: float | None = None
    since: Since = "lock"
    sends: int = signal.SIGKILL
    wakes_after: float | None = None
    lease_seconds: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How the night ended.

    end: "killed"; "done", "taken up" or "already"; or the name of one of our errors. says: its text.
    seconds: from the birth of the process to the lock, and from there to its end.
    """

    end: str
    says: str = ""
    seconds: tuple[float, float] = (0.0, 0.0)


# In the process of the tests


@dataclass(frozen=True, slots=True)
class Warm:
    """The process that forks. One night at a time."""

    process: subprocess.Popen[bytes]

    def begin(self, order: Order) -> None:
        """Start a night; `report` waits for its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        self.process.stdin.flush()

    def report(self) -> Report:
        """The end of the night that was begun."""
        assert self.process.stdout is not None
        return msgspec.json.decode(self.process.stdout.readline(), type=Report)

    def night(self, order: Order) -> Report:
        """One night from its begin to its end."""
        self.begin(order)
        return self.report()


@contextmanager
def warm(*, says: IO[bytes] | None = None) -> Iterator[Warm]:
    """A warm process, while the block lasts. says: where its nights write what they print."""
    command = [sys.executable, "-m", "tests.runs.processes"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=says) as process:
        yield Warm(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(SECONDS)


# In the warm process


def main() -> None:
    """Carry out orders until there are no more."""
    gc.freeze()  # what all nights share, the collector of none need go through
    for line in sys.stdin.buffer:
        report = _report_on(msgspec.json.decode(line, type=Order))
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()


def _report_on(order: Order) -> Report:
    born = time.monotonic()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        with os.fdopen(writable, "wb", buffering=0) as tells:
            _child(order, tells)
    os.close(writable)
    with os.fdopen(readable, "rb", buffering=0) as hears:
        try:
            return _watched(order, child, hears, born)
        finally:
            os.waitpid(child, 0)


def _watched(order: Order, child: int, hears: IO[bytes], born: float) -> Report:
    """Send the signal in time, and listen to the end."""
    times = [born]
    for moment in get_args(Since):
        if moment != "birth":
            hears.read(1)  # a mark, or nothing any more from one that is dead
            times.append(time.monotonic())
        if moment == order.since and order.kill_after is not None:
            _strike(order, child, after=order.kill_after)
    said = b"".join(iter(lambda: hears.read(65_536), b""))
    ends = (times[1] - times[0], time.monotonic() - times[1])
    if not said:
        return Report(end="killed", seconds=ends)
    return msgspec.structs.replace(msgspec.json.decode(said, type=Report), seconds=ends)


def _strike(order: Order, child: int, *, after: float) -> None:
    """One that is over by then is still there for the signal, as nobody has waited for it yet."""
    time.sleep(after)
    os.kill(child, order.sends)
    if order.wakes_after is not None:
        time.sleep(order.wakes_after)
        os.kill(child, signal.SIGCONT)


# In the process of one night


def _child(order: Order, tells: IO[bytes]) -> None:
    """The night, then the end of the process without any tidying up: what it leaves, it leaves as a kill would."""
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    signal.alarm(int(SECONDS))
    plan = plan_file.decode(Path(order.plan).read_bytes(), where=order.plan)
    marks = _Marks(tells)
    try:
        report = _night(order, plan, marks)
    except ReconcilerError as error:
        report = Report(end=type(error).__name__, says=str(error))
    marks.all()
    tells.write(msgspec.json.encode(report))
    os._exit(0)


class _Marks:
    """One byte for each moment, in their order."""

    def __init__(self, tells: IO[bytes]) -> None:
        self._tells = tells
        self._left = len(get_args(Since)) - 1

    def lock(self, *_: object) -> None:
        """It holds the lock."""
        self._until(1)

    def outcome(self, *_: object) -> None:
        """An action has ended: made to be the `progress` of a run."""
        self._until(0)

    all = outcome

    def _until(self, left: int) -> None:
        if self._left > left:
            self._tells.write(b"." * (self._left - left))
            self._left = left


def _night(order: Order, plan: Plan, marks: _Marks) -> Report:
    database, store = StateDatabase(order.state_url), PlanStore(order.plans)
    if order.lease_seconds is not None:
        with Lease(database, holder=f"process {os.getpid()}", seconds=order.lease_seconds) as lease:
            marks.lock()
            return asyncio.run(_in_one_piece(order, plan, lease, marks))
    stopping: list[str] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append("the run was stopped by SIGTERM"))
    with controller.allowed_to_write(
        database,
        holder=f"process {os.getpid()}",
        store=store,
        open_writer=lambda: _writer(order),
        now=_now,
        max_parallel=order.max_parallel,
        progress=marks.outcome,
        stop=lambda: stopping[0] if stopping else None,
    ):
        marks.lock()
        return asyncio.run(_settle_or_begin(plan))


async def _settle_or_begin(plan: Plan) -> Report:
    """As `reconcile apply PLAN` does it."""
    if plan.id in {one.id for one in await controller.settle(now=_now)}:
        return Report(end="taken up")
    return Report(end="done" if await controller.apply_durably(plan, caution=CAUTION) else "already")


async def _in_one_piece(order: Order, plan: Plan, lease: Lease, marks: _Marks) -> Report:
    async with _writer(order) as writer:
        outcomes = await controller.apply(
            plan,
            writer=writer,
            store=PlanStore(order.plans),
            now=_now,
            max_parallel=order.max_parallel,
            progress=marks.outcome,
            stop=lease.reason_to_stop,
        )
    return Report(end="done" if all(one.outcome == "done" for one in outcomes) else "held")


def _writer(order: Order) -> IntercomTarget:
    return IntercomTarget(token=TOKEN, base_url=order.base_url, owned=OWNED, clock=time.time, random=lambda: 0.5)


def _now() -> datetime:
    return datetime.fromtimestamp(START, UTC)


if __name__ == "__main__":
    main()
