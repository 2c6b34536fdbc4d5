"""When a source is not believed, and what a person has to name so that it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.ceilings import CEILINGS
from reconciler.core.guards import BLANK_FIELDS, Accepted, LastGood, blanks, judge
from reconciler.core.model import Member, Position, Quarantined, SourceData
from reconciler.core.plan import LimitCheck
from reconciler.core.rules import Limits
from tests.support.builders import make_member

LIMITS = Limits()
NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
PLAN = "20261122T023000Z-8f3a1c5e"


def refusals(read: SourceData, **held: Any) -> tuple[str, ...]:
    """Why nothing may be decided from a source."""
    return judge(read, **held).refused


def people(count: int, *, without: str | None = None, blank: int = 0) -> tuple[Member, ...]:
    """So many members with every field filled in, but for the first `blank` of them, who lack one."""
    full = dict.fromkeys(BLANK_FIELDS, "x")
    lacking = full if without is None else full | {without: None}
    return tuple(make_member(f"{at:05}", **(lacking if at < blank else full)) for at in range(count))


def source(
    members: int | tuple[Member, ...],
    positions: int = 10,
    *,
    page_size: int | None = None,
    unfit_members: int = 0,
    unfit_positions: int = 0,
    changed_at: str | None = None,
) -> SourceData:
    """A source that said so much."""
    rows = people(members) if isinstance(members, int) else members
    held = tuple(Position("00001", f"code{number}") for number in range(positions))
    why = (("phone", "holds a NUL character"),)
    unfit = (
        *(Quarantined("members", f"{at:05}", f"members/{at:05}", why) for at in range(unfit_members)),
        *(Quarantined("positions", "", f"positions/#{at}", why) for at in range(unfit_positions)),
    )
    return SourceData("supabase", rows, held, page_size, unfit, changed_at)


def last(members: int = 1000, positions: int = 10, **blank: int) -> LastGood:
    """What the last good run read: no blanks but those named."""
    return LastGood(PLAN, members, positions, dict.fromkeys(BLANK_FIELDS, 0) | blank)


@dataclass(frozen=True, slots=True)
class Night:
    read: SourceData
    known: LastGood | None
    refused: str | None
    """What the refusal says; None where the source is believed."""
    accept: str | None
    """The class and number that would let it through; None where nothing does."""
    reason: str


WHOLE = [
    Night(source(0, 0), None, "no members at all", "members=0", "nothing is never the truth"),
    Night(
        source(1000, page_size=1000),
        None,
        "exactly one page of 1000 members",
        "members=1000",
        "a cut that looks like a full page",
    ),
    Night(source(999, page_size=1000), None, None, None, "less than a page is the whole"),
    Night(source(2000, page_size=1000), None, None, None, "two pages were read, so paging works"),
    Night(
        source(1200, 1000, page_size=1000),
        None,
        "exactly one page of 1000 positions",
        "positions=1000",
        "positions may be cut as members are",
    ),
    Night(source(979), last(), "97.9% of the 1000", "members=979", "under 98% of the last good run"),
    Night(source(980), last(), None, None, "98.0% is believed"),
    Night(source(1200), last(), None, None, "growth is believed; the limit on creates watches it"),
]
HALVES = [
    Night(source(1000, 0), last(), "no positions at all", "positions=0", "it would clear everybody's positions"),
    Night(source(1000, 0), last(1000, 0), None, None, "unless there were none before"),
    Night(source(1000, 0), None, None, None, "or nobody knows"),
    Night(source(1000, 1), last(), None, None, "a few positions may go: elections are held"),
    Night(source(1000, 380), last(1000, 400), None, None, "95.0% is believed"),
    Night(source(1000, 379), last(1000, 400), "94.8% of the 400", "positions=379", "members up, positions down"),
    Night(source(1000, 300), last(1000, 400), "75.0% of the 400", "positions=300", "a quarter of the mirror is gone"),
    Night(source(500, 420), last(1000, 400), "50.0% of the 1000", "members=500", "positions up, members down"),
    Night(source(0, 400), last(1000, 400), "no members at all", "members=0", "positions as they were, members gone"),
]
FLOODS = [
    Night(source(people(1000, without="email", blank=50)), last(), None, None, "5 points more are believed"),
    Night(
        source(people(1000, without="email", blank=51)),
        last(),
        "51 members (5.1%) have no email",
        "blank.email=51",
        "a column that half came empty",
    ),
    Night(
        source(people(1000, without="phone", blank=1000)),
        last(),
        "1000 members (100.0%) have no phone",
        "blank.phone=1000",
        "a column that was emptied or renamed",
    ),
    Night(source(people(1000, without="phone", blank=340)), last(phone=300), None, None, "many were blank before"),
    Night(
        source(people(1000, without="phone", blank=360)),
        last(phone=300),
        "where plan 20261122T023000Z-8f3a1c5e had 300 (30.0%)",
        "blank.phone=360",
        "and many more are now",
    ),
    Night(source(people(10, without="region", blank=3)), last(10), None, None, "three people are no flood"),
    Night(
        source(people(10, without="region", blank=4)),
        last(10),
        "4 members (40.0%) have no region",
        "blank.region=4",
        "four of ten are",
    ),
    Night(source(people(1000, without="email", blank=900)), None, None, None, "without a baseline nobody knows"),
    Night(
        source(people(1000, without="email", blank=900)),
        LastGood(PLAN, 1000, 10),
        None,
        None,
        "nor with one from before blanks were counted",
    ),
    Night(source(people(1000)), last(phone=900), None, None, "fewer blanks than before are good news"),
]
POISON = [
    Night(source(1000, unfit_members=5), None, None, None, "0.5% of the members are set apart, and the rest goes on"),
    Night(source(1000, unfit_members=6), None, "6 of 1000 rows of members cannot be used", None, "over 0.5%"),
    Night(source(3, unfit_members=1), None, None, None, "one row alone never stops a small union"),
    Night(source(3, unfit_members=2), None, "2 of 3 rows of members", None, "two do"),
    Night(source(1000, 398, unfit_positions=2), None, None, None, "0.5% of the positions"),
    Night(
        source(1000, 397, unfit_positions=3),
        None,
        "3 of 400 rows of positions",
        None,
        "each table is looked at by itself",
    ),
]
TIMES = [
    Night(source(10, changed_at="2026-11-23T02:00:00+00:00"), None, None, None, "changed half an hour ago"),
    Night(source(10, changed_at="2026-11-22T02:30:00+00:00"), None, None, None, "24 hours ago to the second"),
    Night(source(10, changed_at="2026-11-22T02:29:59+00:00"), None, "over 24 hours ago", "members=10", "an old copy"),
    Night(
        source(10, changed_at="2026-11-23T01:00:00+00:00"),
        LastGood(PLAN, 10, 10, None, "2026-11-23T02:00:00+00:00"),
        "and plan 20261122T023000Z-8f3a1c5e had one of 2026-11-23T02:00:00+00:00",
        "members=10",
        "it goes backwards, as a replica behind or a dump put back does",
    ),
    Night(
        source(10, changed_at="2026-11-23T02:00:00+00:00"),
        LastGood(PLAN, 10, 10, None, "2026-11-23T02:00:00+00:00"),
        None,
        None,
        "nothing changed since",
    ),
    Night(
        source(10), LastGood(PLAN, 10, 10, None, "2026-11-23T02:00:00+00:00"), None, None, "no column is named any more"
    ),
    Night(
        source(10, changed_at="2062-11-23T02:00:00+00:00"), None, "is yet to come", "members=10", "a clock that is off"
    ),
]


def accepting(text: str) -> Accepted:
    """As `--accept` is written."""
    name, _, number = text.partition("=")
    return Accepted({name: int(number)}, "seen by N. N.")


def refused(night: Night, accepted: Accepted | None = None) -> tuple[str, ...]:
    """What the guards say of a night."""
    return refusals(night.read, last_good=night.known, limits=LIMITS, accepted=accepted or Accepted(), now=NOW)


@pytest.mark.parametrize("night", [*WHOLE, *HALVES, *FLOODS, *POISON, *TIMES], ids=lambda night: night.reason)
def test_guards(night: Night) -> None:
    """A source that lost rows, values or time stops the plan before the diff; one that merely changed does not."""
    found = refused(night)
    assert len(found) == (0 if night.refused is None else 1)
    if night.refused is not None:
        assert night.refused in found[0]
        assert ("--accept" in found[0]) == (night.accept is not None)
    if night.accept is not None:
        assert f"--accept {night.accept} --reason TEXT" in found[0]


@pytest.mark.parametrize(
    "night", [one for one in (*WHOLE, *HALVES, *FLOODS, *TIMES) if one.accept], ids=lambda night: night.reason
)
def test_a_guard_is_lifted_by_its_very_number(night: Night) -> None:
    """Whoever accepts must have seen the number; another number, or another class, is another night."""
    assert night.accept is not None
    name, _, number = night.accept.partition("=")
    assert refused(night, accepting(night.accept)) == ()
    for other in (f"{name}={int(number) + 1}", f"{name}={max(int(number) - 1, 0) or 99}", f"blank.status={number}"):
        assert refused(night, accepting(other)) == refused(night)


def test_what_was_accepted_is_on_record() -> None:
    """Class, number, bound, reason and what the guard said: an auditor sees who let the night through, and for what."""
    told = judge(source(900), last_good=last(), limits=LIMITS, accepted=accepting("members=900"), now=NOW)
    says = (
        f"900 members are 90.0% of the 1000 of plan {PLAN}; "
        "under 98% is not believed (limits.yaml, source.shrink_percent)"
    )
    assert told.refused == ()
    assert told.accepted == (LimitCheck("members", 980, 900, ok=True, says=says, accepted=900, reason="seen by N. N."),)


def test_what_needed_no_consent_is_not_on_record() -> None:
    """A number that was named for nothing lifts nothing and leaves no trace."""
    told = judge(source(1000), last_good=last(), limits=LIMITS, accepted=accepting("members=1000"), now=NOW)
    assert (told.refused, told.accepted) == ((), ())


def test_two_guards_of_one_class_are_one_record() -> None:
    """One page exactly, and shrunk: the same number was seen, so it is one decision."""
    read = source(1000, page_size=1000)
    told = judge(read, last_good=last(2000), limits=LIMITS, accepted=accepting("members=1000"), now=NOW)
    (record,) = told.accepted
    assert "exactly one page" in record.says
    assert "50.0% of the 2000" in record.says


def test_accepting_members_accepts_nothing_else() -> None:
    """Half of a union accepted says nothing of the positions that went with it."""
    read = source(500, 0)
    told = judge(read, last_good=last(), limits=LIMITS, accepted=accepting("members=500"), now=NOW)
    (left,) = told.refused
    assert "no positions at all" in left


def test_all_reasons_at_once() -> None:
    """Whoever is woken at night reads every reason in one message."""
    read = source(people(1000, without="email", blank=1000), 0, page_size=1000, unfit_members=9)
    known = last(2000, 10)
    assert len(refusals(read, last_good=known, limits=LIMITS, accepted=Accepted())) == 5


def test_poison_names_the_first_row_and_no_value() -> None:
    """Where to begin, and what is wrong with it."""
    (said,) = refusals(source(1000, unfit_members=9), last_good=None, limits=LIMITS, accepted=Accepted())
    assert "The first is members/00000, whose phone holds a NUL character. Correct the rows" in said
    assert "limits.yaml, source.quarantine_percent" in said


def test_no_accept_lifts_poison() -> None:
    """Rows are corrected, or limits.yaml says so, under a ceiling that stands in code."""
    read = source(1000, unfit_members=9)
    accepted = Accepted({"members": 1000, "positions": 10, "quarantined": 9, "": 9}, "whatever")
    assert len(refusals(read, last_good=None, limits=LIMITS, accepted=accepted)) == 1
    wider = msgspec.structs.replace(LIMITS.source, quarantine_percent=CEILINGS["source.quarantine_percent"])
    assert refusals(read, last_good=None, limits=msgspec.structs.replace(LIMITS, source=wider), accepted=accepted) == ()


def test_without_a_clock_only_the_two_changes_are_compared() -> None:
    """Whoever has no time at hand is not refused for it."""
    read = source(10, changed_at="2020-01-01T00:00:00+00:00")
    assert refusals(read, last_good=None, limits=LIMITS, accepted=Accepted()) == ()


def test_blanks_are_counted_for_every_field_of_a_member() -> None:
    """A field that nobody counts could come empty without anybody seeing it."""
    assert set(BLANK_FIELDS) == set(Member.__struct_fields__) - {"number", "row"}
    assert blanks(people(5, without="facility", blank=2)) == dict.fromkeys(BLANK_FIELDS, 0) | {"facility": 2}


@given(st.integers(1, 400), st.integers(0, 400))
def test_shrunk_is_refused_exactly_under_98_percent(before: int, now: int) -> None:
    """By whatever amount a source shrinks (C3): whole numbers on both sides of the border, no rounding between."""
    found = refusals(source(now), last_good=last(before), limits=LIMITS, accepted=Accepted())
    assert bool(found) == (now == 0 or 100 * now < 98 * before)


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 300))
def test_a_flood_is_refused_exactly_over_5_points(count: int, before: int, now: int) -> None:
    """The sentence of rules/limits.yaml against the arithmetic, in whole numbers."""
    before, now = min(before, count), min(now, count)
    read = source(people(count, without="email", blank=now))
    found = refusals(read, last_good=last(count, email=before), limits=LIMITS, accepted=Accepted())
    assert bool(found) == (100 * (now - before) > 5 * count and now - before > 3)


@given(st.integers(-100, 100), st.integers(-100, 100))
def test_the_latest_change_never_goes_backwards_or_stale(before: int, now: int) -> None:
    """Hours before and after the night (C6): believed where it is not before the last one, nor over a day off."""
    changed, known = (NOW + timedelta(hours=hours) for hours in (now, before))
    read = source(10, changed_at=changed.isoformat())
    good = LastGood(PLAN, 10, 10, None, known.isoformat())
    found = refusals(read, last_good=good, limits=LIMITS, accepted=Accepted(), now=NOW)
    assert len(found) == (now < before) + (now < -24) + (now > 24)


@pytest.mark.parametrize(
    ("positions", "shown", "last_good", "refused", "reason"),
    [
        (0, 21, None, True, "a first night on which row level security hides them would clear every officer"),
        (0, 20, None, False, "so few may go on any night"),
        (1, 500, None, False, "there are some; the limit of updates is the brake"),
        (0, 500, last(1000, 0), False, "the last good run had none either, and a person accepted that"),
    ],
)
def test_no_positions_on_a_first_night(
    positions: int, shown: int, last_good: LastGood | None, *, refused: bool, reason: str
) -> None:
    """Contacts that show positions are what is known of the past where nothing else is."""
    read = source(1000, positions)
    says = refusals(read, last_good=last_good, limits=LIMITS, accepted=Accepted(), shown=shown)
    expected = (
        f"no positions at all, where {shown} contacts show some (limits.yaml, source.positions_shrink_floor). "
        "If that is true: --accept positions=0 --reason TEXT"
    )
    assert says == ((expected,) if refused else ()), reason
    accepted = Accepted({"positions": 0}, "nobody holds any")
    assert refusals(read, last_good=last_good, limits=LIMITS, accepted=accepted, shown=shown) == ()
