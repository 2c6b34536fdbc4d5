"""Members made of rows as they come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.sources import rows as of
from tests.support.campaign import NIGHTLY
from tests.support.oddities import ROWS

LATE, EARLY = "2026-11-20T10:00:00", "2026-11-19T10:00:00"


def row(number: str | None = "100", **fields: str | None) -> of.Row:
    """A row of MEMBER_FIELDS with these values and no others; each text an object of its own, as from a page."""
    values = {"number": number, **fields}
    return tuple([None if (value := values.get(name)) is None else f"{value} "[:-1] for name in of.MEMBER_FIELDS])


def test_texts_of_many_members_are_there_once() -> None:
    """A union has few regions, and every page brings them anew."""
    members = of.Members([row("1", first_name="Ann", status="Active", region="NEA", facility="ZNY")])
    members.extend([row("2", first_name="Ann", status="Active", region="NEA", facility="ZNY")])
    one, other = members.ordered()[0]
    for field in ("first_name", "status", "region", "facility"):
        assert getattr(one, field) is getattr(other, field)


def test_texts_kept_in_mind_have_an_end() -> None:
    """Where every row has another text there is nothing to share, and they are not kept a second time."""
    numbers = [str(10_000 + at) for at in range(of.MOST_SHARED + 100)]
    members = of.Members(row(number, facility=f"F{number}") for number in numbers)
    assert len(members._shared) < 1_000
    assert [one.facility for one in members.ordered()[0]] == [f"F{number}" for number in numbers]


@pytest.mark.parametrize("turned", [False, True])
def test_rows_alike_but_for_the_time_are_told_apart_by_it(*, turned: bool) -> None:
    """The finding about the bad one names the same row, whichever the database handed over first."""
    rows = [row(last_name="\0", updated_at=EARLY), row(updated_at=LATE)]
    members, unfit, latest = of.Members(reversed(rows) if turned else rows).ordered()
    assert [one.row for one in members] == ["members/100", "members/100#2"]
    assert [(one.row, one.reasons) for one in unfit] == [("members/100", (("last_name", "holds a NUL character"),))]
    assert latest == "2026-11-20T10:00:00+00:00"


def test_a_reading_that_is_thrown_away_is_forgotten() -> None:
    """Its latest change would be that of the source, and its bad rows would be laid to others."""
    members = of.Members([row("1", last_name="\0"), row("2", updated_at=LATE)])
    members.clear()
    members.extend([row("3", updated_at=EARLY)])
    people, unfit, latest = members.ordered()
    assert [one.number for one in people] == ["3"]
    assert unfit == ()
    assert latest == "2026-11-19T10:00:00+00:00"


@given(st.lists(ROWS, max_size=6), st.integers(0, 6), st.lists(ROWS, max_size=2))
@settings(max_examples=5_000 if NIGHTLY else 100)
def test_pages_and_readings_leave_no_trace(
    found: list[dict[str, Any]], cut: int, thrown_away: list[dict[str, Any]]
) -> None:
    """Wherever one page ends, and whatever was read before and did not add up, the members are the same."""
    rows = [tuple([of.text_of(one.get(field)) for field in of.MEMBER_FIELDS]) for one in found]
    members = of.Members(tuple([of.text_of(one.get(field)) for field in of.MEMBER_FIELDS]) for one in thrown_away)
    members.clear()
    members.extend(rows[:cut])
    members.extend(rows[cut:])
    assert members.ordered() == of.Members(rows).ordered()
