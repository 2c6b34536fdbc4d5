"""SIGTERM and Ctrl-C while something is written: noted, and asked about before every write."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Stopping:
    """Why the run was told to stop, once a signal came."""

    signal: signal.Signals | None = None

    def reason(self) -> str | None:
        """For `apply_plan`, which asks before every write."""
        return None if self.signal is None else f"the run was stopped by {self.signal.name}"


@contextmanager
def signals_noted(stopping: Stopping) -> Iterator[None]:
    """SIGTERM and Ctrl-C stop the run before its next write; what is under way ends and is recorded."""
    loop = asyncio.get_running_loop()

    def noting(one: signal.Signals) -> Callable[[], None]:
        def note() -> None:
            stopping.signal = one

        return note

    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, noting(one))
    try:
        yield
    finally:
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)
