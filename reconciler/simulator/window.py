"""The rate limit: so many calls in each fixed window of the clock.

developers.intercom.com/docs/references/rest-api/errors/rate-limiting: a minute's allowance is split into windows of
ten seconds, the three headers describe the window, and Reset is the unix second at which it ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """The state of the window after a call. reset: unix seconds.  allowed: whether the call may go on."""

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """The three rate headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class RateWindow:
    """limit: calls per window.  window: seconds.  neighbour: calls per window that other apps of the workspace eat,
    evenly.
    """

    def __init__(self, *, limit: int, window: float, neighbour: int = 0) -> None:
        self._limit = limit
        self._window = window
        self._neighbour = neighbour
        self._number = -1
        self._used = 0

    def take(self, now: float) -> Allowance:
        """Count a call at unix second `now`. A refused call is not counted (decided here)."""
        number = math.floor(now / self._window)
        if number != self._number:
            self._number, self._used = number, 0
        elapsed = now / self._window - number
        left = self._limit - self._used - math.floor(self._neighbour * elapsed)
        if left > 0:
            self._used += 1
        reset = math.ceil((number + 1) * self._window)
        return Allowance(allowed=left > 0, limit=self._limit, remaining=max(0, left - 1), reset=reset)
