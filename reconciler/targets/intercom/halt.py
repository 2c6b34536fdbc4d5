"""Calls that are not made any more, because the run that they belong to was stopped while they waited.

Whether a run may write is asked before each action (runs/apply.py). An action may then wait long for its first call:
for the next window behind a hundred others, or for Intercom to come back. So it is asked again right before that call.
Once an action has written something it is brought to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.errors import Halted

Stop = Callable[[], str | None]
"""Why nothing more may be sent, in one sentence; None to go on."""

ASKED_EVERY = 0.2
"""Seconds that an answer to go on is good for, whoever asks: it is read from a database."""


class Lately:
    """A stop that is asked once in ASKED_EVERY at most. clock: seconds."""

    def __init__(self, stop: Stop, clock: Callable[[], float]) -> None:
        self._stop = stop
        self._clock = clock
        self._good_until = clock()

    def __call__(self) -> str | None:
        """As Stop."""
        now = self._clock()
        if now < self._good_until:
            return None
        reason = self._stop()
        if reason is None:
            self._good_until = now + ASKED_EVERY
        return reason


@dataclass(slots=True)
class Halt:
    """Whether the calls of one action are still wanted."""

    stop: Stop
    begun: bool = False
    """Whether the action may have written something."""

    def check(self) -> None:
        """Raises Halted where they are not."""
        if not self.begun and (reason := self.stop()) is not None:
            raise Halted(reason, next_step="Run it again once the reason is gone; nothing was sent.")
