"""Whether a call that failed is made again, and when: patience, a budget for all calls together, and a breaker.

Three limits for three dangers. `Patience` bounds one call. `RetryBudget` bounds what all of them add to the load of a
server that is half down. `Breaker` stops everything while it is down altogether. All of it is arithmetic over given
times; whoever calls it sleeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from reconciler.errors import RateLimited, Unreachable

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 20.0
"""Seconds; the n-th retry waits a random part of the first doubled n-1 times, up to the longest (full jitter)."""

BUDGET_SHARE, BUDGET_FLOOR, BUDGET_HALF_LIFE = 0.1, 20.0, 30.0
"""Retries are allowed up to this share of the recent calls and so many more; what is recent fades by half in so many
seconds.
"""

FAILURES_IN_A_ROW = 10
"""So many calls without a usable answer, whichever they are, and the breaker opens."""

FIRST_COOL_DOWN, LONGEST_COOL_DOWN = 5.0, 60.0
"""Seconds until the first probe, and at most between two; each failed probe doubles the wait. Each wait is cut at
random by up to a half, so that many clients do not come back together.
"""

PROBE_POLL = 0.5
"""Seconds after which those who wait for another's probe look again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for one call, in seconds, and how often to try."""

    connect: float = 10.0
    read: float = 30.0
    """Between two pieces of an answer."""
    attempt: float = 60.0
    """For one attempt as a whole: ends answers that drip in for ever."""
    call: float = 180.0
    """From the first attempt of a call on: no further one begins after that. Also how long calls wait for Intercom to
    come back before they are given up unsent.
    """
    attempts: int = 5


class Suspended(Unreachable):
    """Intercom has been out of reach for longer than our patience, so the call was not even sent."""

    def __init__(self, call: str, *, seconds: float) -> None:
        super().__init__(
            f"{call} was not sent: Intercom has given no usable answer for {seconds:.0f} seconds.",
            next_step="See https://www.intercomstatus.com, and run again when it is back; nothing was lost.",
            sent=False,
        )


def harmless_to_repeat(error: BaseException | None, *, write: bool) -> bool:
    """Whether a call that ended so may be sent again by itself. A write may only where it was certainly not done: it
    never left, or was answered with 429.
    """
    match error:
        case Suspended():
            return False
        case RateLimited():
            return True
        case Unreachable():
            return not (write and error.sent)
        case _:
            return False


def backoff(attempt: int, *, chance: float) -> float:
    """Seconds to wait after the attempt of this number, from 1. chance: [0, 1)."""
    longest: float = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** (attempt - 1))
    return longest * chance


class RetryBudget:
    """How many retries all calls together may make. Times are seconds of any clock."""

    def __init__(self) -> None:
        self._calls = 0.0
        self._retries = 0.0
        self._at = -math.inf

    def call(self, now: float) -> None:
        """A call is made for the first time."""
        self._fade(now)
        self._calls += 1

    def take(self, now: float) -> bool:
        """Whether one more retry may be made; if so it is counted."""
        self._fade(now)
        if self._retries + 1 > BUDGET_FLOOR + BUDGET_SHARE * self._calls:
            return False
        self._retries += 1
        return True

    def _fade(self, now: float) -> None:
        if now > self._at:
            factor = 0.5 ** ((now - self._at) / BUDGET_HALF_LIFE)
            self._calls *= factor
            self._retries *= factor
        self._at = now


class Breaker:
    """Closed: calls go. Open, after FAILURES_IN_A_ROW: none goes until the cool-down is over, then one goes as a probe,
    and its answer closes the breaker, or opens it for longer. Times are seconds of any clock.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._since = 0.0
        self._probe_at: float | None = None
        self._cool_down = FIRST_COOL_DOWN
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are being held back."""
        return self._probe_at is not None

    def delay(self, now: float) -> float:
        """Seconds to wait before asking again; 0 to try `enter`."""
        if self._probe_at is None:
            return 0.0
        if self._probing:
            return PROBE_POLL
        return min(max(0.0, self._probe_at - now), LONGEST_COOL_DOWN)

    def down_for(self, now: float) -> float:
        """Seconds since the first of the failures in a row; 0 where the breaker is closed."""
        return max(0.0, now - self._since) if self.is_open else 0.0

    def enter(self, now: float) -> bool:
        """Whether a call may be sent now. While the breaker is open it is then the probe."""
        if self.delay(now) > 0:
            return False
        self._probing = self.is_open
        return True

    def succeeded(self) -> None:
        """A call got an answer of Intercom's own, a refusal included."""
        self._failures, self._probe_at, self._probing, self._cool_down = 0, None, False, FIRST_COOL_DOWN

    def failed(self, now: float, *, probe: bool, chance: float) -> None:
        """A call got no usable answer. chance: [0, 1)."""
        if self._failures == 0:
            self._since = now
        self._failures += 1
        if probe:
            self._probing = False
            self._cool_down = min(LONGEST_COOL_DOWN, self._cool_down * 2)
        if probe or (self._probe_at is None and self._failures >= FAILURES_IN_A_ROW):
            self._probe_at = now + self._cool_down * (1 - chance / 2)

    def left(self) -> None:
        """The probe ended without a verdict (it was cancelled): another call may be it."""
        self._probing = False
