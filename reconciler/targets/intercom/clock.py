"""A clock that is never set back."""

from __future__ import annotations

import math
from collections.abc import Callable


def never_back(clock: Callable[[], float]) -> Callable[[], float]:
    """The same clock, unix seconds, but where it is set back this one goes on from where it was.

    A wait until a moment that was worked out before the step would else be longer by the whole of the step. How far
    Intercom's clock is from ours is learnt from its answers (`pace.ServerClock`), so that it may be off from then on.
    """
    latest, added = -math.inf, 0.0

    def now() -> float:
        nonlocal latest, added
        read = clock()
        added = max(added, latest - read)
        latest = read + added
        return latest

    return now
