"""Deciding over an opened target, with progress on stderr: what `plan` and `explain --live` have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from reconciler.cli import terminal
from reconciler.core.model import Progress
from reconciler.core.plan import Plan

_Reader_co = TypeVar("_Reader_co", covariant=True)


class _Readable(Protocol[_Reader_co]):
    """A target, for somebody who only reads."""

    @property
    def reader(self) -> _Reader_co:
        """Cannot write."""
        ...


def decided(
    open_target: Callable[[], AbstractAsyncContextManager[_Readable[_Reader_co]]],
    decide: Callable[[_Reader_co, Progress], Awaitable[Plan]],
) -> Plan:
    """What is decided over an opened target, with progress on stderr."""
    made: list[Plan] = []  # and not what `run` returns: asyncio.run writes that out as text, twice, to compare handlers
    # of signals (CPython 3.11: signal.getsignal tries its enum, whose error quotes the handler, and that the task)

    async def run() -> None:
        async with open_target() as target:
            with terminal.showing_progress() as progress:
                made.append(await decide(target.reader, progress))

    asyncio.run(run())
    return made[0]
