"""How many calls may be in flight at once: enough that latency costs no throughput, and no more.

Little's law: calls in flight are calls per second times seconds per call. The rate is what the window permits, the
seconds are what the answers took of late. Twice that, so that a window's calls are gone in half of it: a window that
is noticed late, a slow answer or a retry then costs nothing. Plain arithmetic over given times.
"""

from __future__ import annotations

import math

HEADROOM = 2.0
"""So many times what Little's law asks for."""

FEWEST = 8
"""Calls in flight that are always allowed: below this an estimate of the latency is mostly chance."""

MEMORY = 16
"""Answers over which the latency is averaged, exponentially."""


class Width:
    """most: calls in flight, whatever the latency."""

    def __init__(self, *, most: int) -> None:
        if most < 1:
            raise ValueError("max_in_flight must be at least 1")
        self._most = most
        self._bound: float = most
        self._latency: float | None = None
        self._next_cut = -math.inf

    @property
    def latency(self) -> float:
        """Seconds that a call takes, on average of late; 0 before the first answer."""
        return self._latency or 0.0

    def allowed(self, rate: float) -> int:
        """Calls that may be in flight where `rate` calls per second are permitted."""
        wanted = max(FEWEST, math.ceil(rate * self.latency * HEADROOM))
        return max(1, min(self._most, int(self._bound), wanted))

    def answered(self, latency: float) -> None:
        """A usable answer came after so many seconds. After trouble, each round of such answers doubles the bound."""
        self._latency = latency if self._latency is None else self._latency + (latency - self._latency) / MEMORY
        self._bound = min(self._most, self._bound + 1)

    def troubled(self, now: float, *, in_flight: int) -> None:
        """A call failed at `now`: halve what may be in flight, once per round of calls.

        A server that answers slowly because it has too much to do would otherwise, by Little's law, get even more.
        """
        if now >= self._next_cut:
            self._bound = max(FEWEST, min(self._bound, in_flight) / 2)
            self._next_cut = now + self.latency
