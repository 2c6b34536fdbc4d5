"""The Supabase positions table as a target of the engine: what may be asked, and what may be done, in two classes.

The engine hands over one action at a time, as it does to any target, with many of them waiting side by side. What waits
at one moment is written together, in a few requests: see `position_table.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Self
from urllib.parse import urlsplit

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import PositionRow, Progress, Workspace
from reconciler.errors import (
    SnapshotIncomplete,
    SourceError,
    SourceIncomplete,
    SourceUnreachable,
    TargetError,
    Unreachable,
)
from reconciler.targets.position_table import PositionTable

ReadRows = Callable[[Progress], tuple[PositionRow, ...]]


class PositionsReader:
    """Implements targets.SideReader. url: SUPABASE_URL. rows: reads the whole table; raises SourceError."""

    def __init__(self, url: str, rows: ReadRows) -> None:
        self._url = url
        self._rows = rows

    @property
    def version(self) -> str:
        """Blank: Intercom has no part in it."""
        return ""

    async def workspace(self) -> Workspace:
        """The project, by its address: a plan for one project is not applied to another."""
        return Workspace(id=urlsplit(self._url).netloc, name="supabase")

    async def snapshot(self, progress: Progress) -> tuple[PositionRow, ...]:
        """All rows, as they are written. Raises TargetError."""
        try:
            return await asyncio.to_thread(self._rows, progress)
        except SourceError as error:
            raise _as_target(error) from error


class PositionsTarget(PositionsReader):
    """Implements targets.SideReader and targets.Writer. An async context manager.

    open_table: opens the table for writing when the first action comes.
    """

    def __init__(self, url: str, rows: ReadRows, open_table: Callable[[], PositionTable]) -> None:
        super().__init__(url, rows)
        self._open_table = open_table
        self._table: PositionTable | None = None
        self._waiting: list[tuple[Action, asyncio.Future[Outcome]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def reader(self) -> PositionsReader:
        """The same table for somebody who only reads."""
        return PositionsReader(self._url, self._rows)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writing is not None:
            await self._writing
        if self._table is not None:
            self._table.close()

    async def prepare(self, actions: Sequence[Action]) -> None:
        """Nothing has to be known beforehand: a table takes any text, or says of a row that it does not."""

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """Carry out one action, together with those that come in the same moment.

        The rows are always read first, whatever `reread` says: one more request for all of them. Raises Unauthorized
        or ScopeMissing.
        """
        del reread
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((action, ended))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await ended

    async def look(self, action: Action) -> Outcome:
        """What became of an action, without sending anything."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._opened().look, action)

    async def _write(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting, []
            try:
                async with self._one_at_a_time:
                    outcomes = await asyncio.to_thread(self._opened().carry_out, [action for action, _ in together])
            except Exception as error:  # noqa: BLE001 - whoever waits hears of it, and the engine says where it came from
                for _, ended in together:
                    ended.set_exception(error)
                continue
            for (_, ended), outcome in zip(together, outcomes, strict=True):
                if isinstance(outcome, Outcome):
                    ended.set_result(outcome)
                else:
                    ended.set_exception(outcome)

    def _opened(self) -> PositionTable:
        if self._table is None:
            self._table = self._open_table()
        return self._table


def _as_target(error: SourceError) -> TargetError:
    """The same trouble, met on the actual side."""
    match error:
        case SourceIncomplete():
            return SnapshotIncomplete(error.what, next_step=error.next_step)
        case SourceUnreachable():
            return Unreachable(error.what, next_step=error.next_step, sent=False)
        case _:
            return TargetError(error.what, next_step=error.next_step)
