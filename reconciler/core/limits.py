"""The brakes: how much one plan may change (design §4.8). When a source is not to be believed stands in guards.py."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor

from reconciler.core.actions import KINDS, ROW_KINDS, Do
from reconciler.core.guards import Accepted
from reconciler.core.history import NO_HISTORY, History
from reconciler.core.model import Target
from reconciler.core.plan import LimitCheck
from reconciler.core.rules import ClassLimit, Limits

ALWAYS_SHOWN: Mapping[Target, tuple[Do, ...]] = {
    "contacts": ("create", "update", "promote", "merge", "archive"),
    "positions": ROW_KINDS,
}
"""The classes whose limit stands in every plan for this target, also where nothing of the kind is planned."""

_OF_ROWS: Mapping[Do, str] = {"create": "create_position", "update": "update_position"}
"""Kinds of action that limits.yaml knows by another name where they are done to rows of the positions table."""


def check_limits(
    planned: Mapping[Do, int],
    *,
    live: int,
    limits: Limits,
    accepted: Accepted,
    history: History = NO_HISTORY,
    target: Target = "contacts",
) -> tuple[LimitCheck, ...]:
    """Hold each class of actions against its limit, and with what the last days did against that of the week.

    `live` is the number of live contacts in the snapshot, or of rows in the table.
    """
    return tuple(
        _check(
            do,
            planned.get(do, 0),
            live=live,
            limit=getattr(limits, _entry(do, target)),
            accepted=accepted,
            lately=history.counts.get(do, 0),
            target=target,
        )
        for do in KINDS
        if do in ALWAYS_SHOWN[target] or planned.get(do, 0)
    )


def _entry(do: Do, target: Target) -> str:
    """The entry of limits.yaml that bounds a kind of action."""
    return _OF_ROWS.get(do, do) if target == "positions" else do


def allowed_by(limit: ClassLimit, *, live: int, lately: int = 0) -> int | None:
    """The largest number of actions that passes; None where nothing bounds it.

    `lately` is how many of the class the last days did.
    """
    by_share = None if limit.percent is None else max(floor(limit.percent * live / 100), limit.floor)
    bounds = [bound for bound in (by_share, limit.hard, _left_of_week(limit, lately)) if bound is not None]
    return min(bounds, default=None)


def _left_of_week(limit: ClassLimit, lately: int) -> int | None:
    return None if limit.per_week is None else max(limit.per_week - lately, 0)


def _check(
    do: Do, planned: int, *, live: int, limit: ClassLimit, accepted: Accepted, lately: int, target: Target
) -> LimitCheck:
    allowed = allowed_by(limit, live=live, lately=lately)
    number = accepted.numbers.get(do)
    if allowed is None or planned <= allowed:
        return LimitCheck(do, planned if allowed is None else allowed, planned, ok=True)
    left = _left_of_week(limit, lately)
    if left is not None and planned > left and (limit.hard is None or left < limit.hard):
        return LimitCheck(do, allowed, planned, ok=False, says=_week_sentence(do, planned, lately, left, limit))
    if number is not None and limit.hard is not None and number > limit.hard:
        says = f"--accept {do}={number} is over the hard limit of {limit.hard}: limits.yaml, {_entry(do, target)}.hard"
        return LimitCheck(do, allowed, planned, ok=False, says=says)
    if number is not None and planned <= number:
        return LimitCheck(do, allowed, planned, ok=True, accepted=number, reason=accepted.reason)
    return LimitCheck(
        do, allowed, planned, ok=False, says=_sentence(do, planned, allowed, live=live, limit=limit, target=target)
    )


def _week_sentence(do: Do, planned: int, lately: int, left: int, limit: ClassLimit) -> str:
    if left:
        way_out = f"Nothing lifts the limit of a week; plan fewer with --limit {left}, or wait"
    else:
        way_out = "Nothing lifts the limit of a week; wait until the earlier ones are over 7 days old"
    return (
        f"{planned} to {do}, and {lately} by the runs of the last 7 days, are over {limit.per_week} in 7 days: "
        f"{left} allowed by limits.yaml, {do}.per_week. {way_out}"
    )


def _sentence(do: Do, planned: int, allowed: int, *, live: int, limit: ClassLimit, target: Target) -> str:
    things, nothing = ("rows", "an empty table") if target == "positions" else ("live contacts", "an empty workspace")
    share = f"{100 * planned / live:.2f}% of {live} {things}" if live else f"of {nothing}"
    over = (
        f"over the hard limit of {limit.hard}"
        if allowed == limit.hard
        else f"over {limit.percent:g}% (floor {limit.floor})"
    )
    if limit.hard is not None and planned > limit.hard:
        way_out = f"Nothing lifts a hard limit; plan fewer at a time with --limit {limit.hard}"
    else:
        way_out = f"Accept it with: --accept {do}={planned} --reason TEXT"
    return f"{planned} to {do} is {share}, {over}: {allowed} allowed by limits.yaml, {_entry(do, target)}. {way_out}"
