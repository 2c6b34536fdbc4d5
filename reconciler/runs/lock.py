"""One apply at a time, across machines: a row with an expiry, renewed while its holder lives.

A row and not a session lock, because connection poolers drop those (failure mode B5). Whoever was asleep past the
expiry finds out before its next write: `alive` compares with the monotonic clock, which goes on while a process is
stopped (B4). A holder that ran on this very machine and is dead need not be waited for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from reconciler.errors import LockHeld, StateError
from reconciler.runs.state import LEASES, StateDatabase

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
"""Together they name one running system and one numbering of its processes (Linux: man 4 random, man 7 namespaces)."""

SECONDS = 60.0
"""How long the lock outlives the last sign of life of its holder."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who took the lock last. since: when, by the database's clock. alive: whether it holds it still."""

    who: str
    since: datetime
    alive: bool


def last_holder(database: StateDatabase, *, name: str = "apply") -> Holder | None:
    """Who holds the lock, or held it last; None where nobody ever did. Raises StateError."""
    with database.begin() as connection:
        row = connection.execute(
            select(LEASES, (LEASES.c.expires >= database.now()).label("good")).where(LEASES.c.name == name)
        ).one_or_none()
    if row is None:
        return None
    return Holder(row.holder, datetime.fromtimestamp(row.since, UTC), bool(row.good) and not _is_dead(row.process))


class Lease:
    """The lock, while the `with` block lasts. Raises LockHeld on entering, where another holds it.

    holder: says who, to whoever comes second. seconds: how long it lasts without being renewed.
    """

    def __init__(
        self,
        database: StateDatabase,
        *,
        holder: str,
        name: str = "apply",
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._holder = holder
        self._name = name
        self._seconds = seconds
        self._monotonic = monotonic
        self._epoch = 0
        self._good_until = 0.0
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew_on, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._take()
        self._renewing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewing.join(self._seconds)
        self._give_up()

    def reason_to_stop(self) -> str | None:
        """Why nothing may be written any more, or None: to be asked before every write."""
        if self._monotonic() < self._good_until:
            return None
        return "stopped, because the lock was lost: this process was asleep, or the state database did not answer"

    def _take(self) -> None:
        asked_at = self._monotonic()
        self._forget_the_dead()
        try:
            with self._database.begin() as connection:
                now = self._database.now()
                values = {
                    "holder": self._holder,
                    "process": _this_process(),
                    "since": now,
                    "expires": now + self._seconds,
                }
                expired = (LEASES.c.name == self._name) & (LEASES.c.expires < now)
                taken = connection.execute(update(LEASES).where(expired).values(epoch=LEASES.c.epoch + 1, **values))
                if not taken.rowcount:
                    connection.execute(insert(LEASES).values(name=self._name, epoch=1, **values))
                row = connection.execute(select(LEASES.c.epoch).where(LEASES.c.name == self._name)).one()
        except StateError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise self._held() from error
            raise
        self._epoch = row.epoch
        self._good_until = asked_at + self._seconds

    def _forget_the_dead(self) -> None:
        """End the lease of a process of this machine that lives no more."""
        with self._database.begin() as connection:
            row = connection.execute(select(LEASES).where(LEASES.c.name == self._name)).one_or_none()
            if row is not None and _is_dead(row.process):
                theirs = (LEASES.c.name == self._name) & (LEASES.c.epoch == row.epoch)
                connection.execute(update(LEASES).where(theirs).values(expires=0.0))

    def _held(self) -> LockHeld:
        with self._database.begin() as connection:
            row = connection.execute(select(LEASES).where(LEASES.c.name == self._name)).one_or_none()
        if row is None:
            return LockHeld(holder="one that has just ended", since="a moment ago")
        return LockHeld(holder=row.holder, since=f"{datetime.fromtimestamp(row.since, UTC):%Y-%m-%dT%H:%M:%SZ}")

    def _renew_on(self) -> None:
        while not self._ended.wait(self._seconds / 4):
            asked_at = self._monotonic()
            try:
                renewed = self._renew()
            except StateError:
                continue  # `reason_to_stop` speaks up once the time is over
            if renewed:
                self._good_until = asked_at + self._seconds
            else:
                self._good_until = 0.0
                return

    def _renew(self) -> bool:
        mine = (LEASES.c.name == self._name) & (LEASES.c.epoch == self._epoch) & (LEASES.c.holder == self._holder)
        with self._database.begin() as connection:
            now = self._database.now()
            done = connection.execute(
                update(LEASES).where(mine, LEASES.c.expires >= now).values(expires=now + self._seconds)
            )
        return bool(done.rowcount)

    def _give_up(self) -> None:
        mine = (LEASES.c.name == self._name) & (LEASES.c.epoch == self._epoch) & (LEASES.c.holder == self._holder)
        with self._database.begin() as connection:
            connection.execute(update(LEASES).where(mine).values(expires=0.0))


def is_held(database: StateDatabase, name: str) -> bool:
    """Whether a process that lives, as far as can be told, holds the lock of this name. Raises StateError."""
    with database.begin() as connection:
        mine = select(LEASES.c.process).where(LEASES.c.name == name, LEASES.c.expires >= database.now())
        row = connection.execute(mine).one_or_none()
    return row is not None and not _is_dead(row.process)


def _this_process() -> str:
    """Machine, numbering and number of this process; blank where the system does not say."""
    try:
        return f"{_BOOT.read_text().strip()} {_PID_NAMESPACE.readlink()} {os.getpid()}"
    except OSError:
        return ""


def _is_dead(process: str) -> bool:
    """Whether a process is surely over: it ran here, under the same numbering, and its number is free."""
    machine, _, number = process.rpartition(" ")
    if not machine or machine != _this_process().rpartition(" ")[0]:
        return False
    try:
        os.kill(int(number), 0)  # signal 0 asks whether it is there, and does nothing to it
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
