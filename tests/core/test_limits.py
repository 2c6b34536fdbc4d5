"""The brakes: what is held, and what a person may accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.actions import Do
from reconciler.core.guards import Accepted
from reconciler.core.history import History
from reconciler.core.limits import allowed_by, check_limits
from reconciler.core.plan import LimitCheck
from reconciler.core.rules import ClassLimit, Limits

LIMITS = Limits()
SHARE = ClassLimit(percent=10, floor=100)
HARD = ClassLimit(percent=1, floor=50, hard=200)
ONLY_HARD = ClassLimit(hard=25)


@pytest.mark.parametrize(
    ("limit", "live", "allowed", "reason"),
    [
        (SHARE, 20_000, 2000, "the percentage, where it is over the floor"),
        (SHARE, 500, 100, "the floor, where the percentage is under it"),
        (SHARE, 1000, 100, "both alike"),
        (SHARE, 1019, 101, "a part of an action is not allowed"),
        (SHARE, 0, 100, "an empty workspace has the floor"),
        (HARD, 100_000, 200, "the hard number stands above the percentage"),
        (HARD, 6000, 60, "and says nothing below it"),
        (ONLY_HARD, 20_000, 25, "without a percentage only the hard number counts"),
        (ClassLimit(percent=0, floor=0), 20_000, 0, "zero is a limit"),
        (ClassLimit(), 20_000, None, "no limit at all"),
    ],
)
def test_allowed(limit: ClassLimit, live: int, allowed: int | None, reason: str) -> None:
    """A class is held over its percentage and its floor, or over its hard number (design §5)."""
    assert allowed_by(limit, live=live) == allowed, reason


def check(do: Do, planned: int, *, live: int, accept: int | None = None) -> LimitCheck:
    """The check of one class under the default limits."""
    accepted = Accepted({do: accept}, "the board asked for it") if accept is not None else Accepted()
    checks = check_limits({do: planned}, live=live, limits=LIMITS, accepted=accepted)
    return next(one for one in checks if one.limit == do)


@pytest.mark.parametrize(
    ("do", "planned", "accept", "ok", "reason"),
    [
        ("archive", 100, None, True, "at the limit"),
        ("archive", 101, None, False, "one over it"),
        ("archive", 120, 120, True, "accepted by number"),
        ("archive", 121, 120, False, "more than was accepted"),
        ("archive", 200, 200, True, "up to the hard number"),
        ("archive", 201, 201, False, "nobody may accept more than the hard number"),
        ("archive", 150, 9999, False, "nor promise to"),
        ("archive", 50, 9999, True, "within its limit a class needs nobody's consent"),
        ("merge", 26, 26, False, "a class with a hard number alone cannot be widened"),
        ("create", 5000, 5000, True, "a class without a hard number can"),
        ("update", 6000, None, True, "30% of 20,000"),
        ("update", 6001, None, False, "and one more"),
    ],
)
def test_class_of_a_large_workspace(do: Do, planned: int, accept: int | None, *, ok: bool, reason: str) -> None:
    """10,000 contacts and 20,000 for updates: the shipped limits, and what --accept can do."""
    live = 20_000 if do == "update" else 10_000
    assert check(do, planned, live=live, accept=accept).ok is ok, reason


def test_held_class_says_everything_a_person_needs() -> None:
    """Count, total, percentage, limit, file, and the flag that would accept it (style §3.13)."""
    says = check("archive", 101, live=10_000).says
    for part in ("101 to archive", "1.01% of 10000", "over 1% (floor 50)", "100 allowed", "limits.yaml, archive"):
        assert part in says
    assert "--accept archive=101 --reason TEXT" in says


def test_hard_number_is_named() -> None:
    """A class over its hard number is told so, also by the flag that tried to lift it."""
    assert "over the hard limit of 200" in check("archive", 201, live=100_000).says
    assert "--accept archive=201 is over the hard limit of 200" in check("archive", 201, live=100_000, accept=201).says


def test_empty_workspace_has_no_percentage() -> None:
    """The first fill of an empty workspace is held without dividing by nothing."""
    found = check("create", 101, live=0)
    assert not found.ok
    assert "of an empty workspace" in found.says


def test_accepted_class_keeps_number_and_reason() -> None:
    """An auditor sees in the plan who let a class through, and for what."""
    found = check("archive", 120, live=10_000, accept=150)
    assert (found.allowed, found.planned, found.accepted, found.reason) == (100, 120, 150, "the board asked for it")


def test_limits_of_five_classes_stand_in_every_plan() -> None:
    """Also where nothing of the kind is planned; the rarer classes only when they are."""
    shown = [one.limit for one in check_limits({}, live=10, limits=LIMITS, accepted=Accepted())]
    assert shown == ["create", "update", "promote", "merge", "archive"]
    more = [one.limit for one in check_limits({"delete": 1}, live=10, limits=LIMITS, accepted=Accepted())]
    assert more == [*shown, "delete"]


@given(
    st.builds(
        ClassLimit,
        percent=st.none() | st.floats(0, 100, allow_nan=False),
        floor=st.integers(0, 500),
        hard=st.none() | st.integers(0, 500),
    ),
    st.integers(0, 50_000),
    st.integers(0, 50_000),
)
def test_held_is_over_percentage_and_floor_or_over_hard(limit: ClassLimit, live: int, planned: int) -> None:
    """The sentence of design §5, word for word, against the arithmetic."""
    over_share = limit.percent is not None and planned > limit.percent * live / 100 and planned > limit.floor
    over_hard = limit.hard is not None and planned > limit.hard
    allowed = allowed_by(limit, live=live)
    assert (allowed is not None and planned > allowed) == (over_share or over_hard)


# What the last days did

WEEK = ClassLimit(percent=1, floor=50, hard=200, per_week=400)


@pytest.mark.parametrize(
    ("live", "lately", "allowed", "reason"),
    [
        (20_000, 0, 200, "a week without any: the night's own limit"),
        (20_000, 200, 200, "still"),
        (20_000, 201, 199, "what is left of the week"),
        (20_000, 400, 0, "nothing"),
        (20_000, 500, 0, "and not less"),
        (6_000, 300, 60, "the percentage, where it is under what is left"),
        (6_000, 350, 50, "else what is left, whatever the floor"),
    ],
)
def test_allowed_after_a_week(live: int, lately: int, allowed: int, reason: str) -> None:
    """The limit of the week stands above the others, and no floor lifts it."""
    assert allowed_by(WEEK, live=live, lately=lately) == allowed, reason


def check_week(planned: int, *, lately: int, accept: int | None = None, do: Do = "archive") -> LimitCheck:
    """The check of a class after a week that did so many."""
    accepted = Accepted({do: accept}, "the board asked for it") if accept is not None else Accepted()
    history = History(counts={do: lately})
    checks = check_limits({do: planned}, live=20_000, limits=LIMITS, accepted=accepted, history=history)
    return next(one for one in checks if one.limit == do)


@pytest.mark.parametrize(
    ("do", "planned", "lately", "accept", "ok"),
    [
        ("archive", 100, 300, None, True),
        ("archive", 101, 300, None, False),
        ("archive", 101, 300, 101, False),
        ("archive", 0, 400, None, True),
        ("archive", 1, 400, 1, False),
        ("merge", 25, 50, None, True),
        ("merge", 25, 51, None, False),
        ("merge", 25, 51, 25, False),
        ("update", 6000, 100_000, None, True),
    ],
)
def test_five_nights_under_the_limit_are_no_way_around_it(
    do: Do, planned: int, lately: int, accept: int | None, *, ok: bool
) -> None:
    """Archives and merges are held over 400 and 75 in 7 days, whoever accepts; other classes have no memory."""
    assert check_week(planned, lately=lately, accept=accept, do=do).ok is ok


def test_a_class_held_for_its_week_says_so() -> None:
    """Both numbers, the sum that is allowed, the line of the file, and what can be done."""
    says = check_week(101, lately=300).says
    for part in ("101 to archive", "300 by the runs of the last 7 days", "over 400 in 7 days", "100 allowed"):
        assert part in says
    assert "limits.yaml, archive.per_week. Nothing lifts the limit of a week; plan fewer with --limit 100" in says
    assert "--accept" not in says
    assert "wait until the earlier ones are over 7 days old" in check_week(1, lately=400).says


def test_a_class_over_its_hard_number_as_well() -> None:
    """The night's own limit is named where it is the narrower one."""
    assert "over the hard limit of 200" in check_week(300, lately=150).says
