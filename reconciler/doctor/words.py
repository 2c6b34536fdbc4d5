"""How the doctor says times and lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60))
_MANY = 2
"""A unit is used from twice its length on, so that 30 hours are not `1 days`."""


def ago(moment: datetime, now: datetime) -> str:
    """As in `9 hours ago`; `just now` for less than two minutes, and for what lies ahead."""
    return f"{span} ago" if (span := lasting(now - moment)) else "just now"


def lasting(time: timedelta) -> str:
    """As in `9 hours`; blank for less than two minutes."""
    seconds = time.total_seconds()
    return next((f"{seconds // size:.0f} {unit}" for unit, size in _UNITS if seconds >= _MANY * size), "")


def listed(names: Sequence[str]) -> str:
    """As in `A is`, `A and B are`."""
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"
