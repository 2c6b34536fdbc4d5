"""Snapshots by search cursors: the same contacts as by list, or the list itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Contact, silent
from reconciler.errors import ScopeMissing, TargetError
from reconciler.simulator import Call, Fault, Options, Simulator, Workspace
from reconciler.targets.intercom.cursors import FIRST_DAY, CursorSnapshot, Days, start_ranges
from tests.targets.support import START, TOKEN, Intercom, answer, client_of, clock, contact, refusal, run, target_over

ZONES = ("UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "America/Sao_Paulo")
OWNED = frozenset({"region"})
TODAY = date(2027, 1, 15)


def world(births: Sequence[int | None], *, zone: str = "UTC", **options: Any) -> Simulator:
    """A workspace whose contacts were created at these unix seconds."""
    simulator = Simulator(
        Options(token=TOKEN, workspace=Workspace(timezone=zone), **options), clock=lambda: START, reset_error=OSError
    )
    lines = [
        {"id": f"c{number:04}", "external_id": str(number), "created_at": birth, "name": f"N{number}"}
        for number, birth in enumerate(births)
    ]
    simulator.seed([msgspec.json.encode(line) for line in lines])
    simulator.clock = simulator.world.clock = clock
    return simulator


def read(simulator: Simulator, *, cursors: int = 4) -> tuple[tuple[Contact, ...], tuple[Contact, ...], str | None]:
    """By cursors, by list, and the doubt."""
    by_cursors = CursorSnapshot(now=clock, cursors=cursors)

    async def main() -> tuple[tuple[Contact, ...], tuple[Contact, ...]]:
        async with target_over(simulator, owned=OWNED, snapshot_by=by_cursors) as target:
            found = await target.reader.snapshot(silent)
        async with target_over(simulator, owned=OWNED) as target:
            return found, await target.snapshot(silent)

    found, reference = run(main)
    return found, reference, by_cursors.doubt


def searches(simulator: Simulator) -> int:
    """Pages of search so far."""
    return sum(call.path == "/contacts/search" for call in simulator.calls)


SPREADS: list[tuple[str, Sequence[int | None]]] = [
    ("over the years", [1_400_000_000 + number * 400_000 for number in range(900)]),
    ("all in one second", [1_700_000_000] * 700),
    (
        "one import, and then one a day",
        [1_600_000_000] * 500 + [1_700_000_000 + number * 86_400 for number in range(300)],
    ),
    ("before Intercom was there", [1_000_000_000 + number * 1_000_000 for number in range(400)]),
    ("today", [int(START) - number for number in range(400)]),
    ("a page and one more", [1_500_000_000 + number * 86_400 for number in range(151)]),
    ("one page", [1_500_000_000] * 150),
    ("nobody", []),
]


@pytest.mark.parametrize(("reason", "births"), SPREADS, ids=[row[0] for row in SPREADS])
def test_cursors_find_what_the_list_finds(reason: str, births: Sequence[int | None]) -> None:
    """However the contacts are spread over the days: the same snapshot, without a doubt."""
    found, reference, doubt = read(world(births))
    assert doubt is None, reason
    assert found == reference
    assert len(found) == len(births)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1_300_000_000, int(START)), min_size=151, max_size=320), st.sampled_from(ZONES))
def test_every_contact_is_in_exactly_one_range(births: list[int], zone: str) -> None:
    """Whatever the workspace's timezone, and whatever second of the day somebody was created in."""
    found, reference, doubt = read(world(births, zone=zone), cursors=3)
    assert doubt is None
    assert found == reference


@pytest.mark.parametrize("zone", ZONES)
def test_ranges_follow_each_other_without_gap_or_overlap(zone: str) -> None:
    """Each day is in one range, also after halving, and each end is a noon of its own day in the workspace."""
    ranges = [days for first in start_ranges(TODAY) for days in (first.halves(TODAY) or (first,))]
    assert (ranges[0].first, ranges[-1].last) == (None, None)
    for earlier, later in pairwise(ranges):
        assert earlier.last is not None
        assert later.first == earlier.last + timedelta(days=1)
    filters = Days(date(2026, 3, 8), date(2026, 11, 1)).query(ZoneInfo(zone))["value"]
    ends = [datetime.fromtimestamp(one["value"], ZoneInfo(zone)) for one in filters]
    assert [one["operator"] for one in filters] == [">", "<"]
    assert [(end.date(), end.hour) for end in ends] == [(date(2026, 3, 7), 12), (date(2026, 11, 2), 12)]


def test_a_single_day_is_not_halved() -> None:
    """Nor are days before Intercom, nor those to come."""
    assert Days(TODAY, TODAY).halves(TODAY) is None
    assert Days(TODAY, None).halves(TODAY) is None
    assert Days(None, FIRST_DAY).halves(TODAY) is None


# doubts


def lately(simulator: Simulator) -> None:
    """A contact is created now, which search will know later."""
    simulator.world.people.add(_new(simulator), at=START)


def _new(simulator: Simulator) -> Any:
    return msgspec.structs.replace(next(iter(simulator.world.people)), id="new", external_id="new")


def renamed(simulator: Simulator) -> None:
    """The youngest contact has another name, which search will know later."""
    youngest = list(simulator.world.people)[-1]
    simulator.world.people.put(msgspec.structs.replace(youngest, name="Renamed"), at=START)


def nobody(_: Simulator) -> None:
    """Nothing happens."""


YEARS = [1_400_000_000 + number * 400_000 for number in range(400)]
DOUBTS: list[tuple[str, Sequence[int | None], Callable[[Simulator], None], str]] = [
    ("created a moment ago", YEARS, lately, "400 contacts found by search, 401 listed before"),
    ("changed a moment ago", YEARS, renamed, "search shows contact c0399 as it was before"),
]


@pytest.mark.parametrize(("reason", "births", "happens", "says"), DOUBTS, ids=[row[0] for row in DOUBTS])
def test_a_search_that_lags_is_not_relied_on(
    reason: str, births: Sequence[int | None], happens: Callable[[Simulator], None], says: str
) -> None:
    """The list is read instead, and the doubt says why."""
    simulator = world(births, lag=600.0)
    happens(simulator)
    found, reference, doubt = read(simulator)
    assert doubt is not None, reason
    assert says in doubt
    assert found == reference


def page(ids: str, *, total: int, after: str | None = None, **fields: Any) -> httpx.Response:
    """A page of contacts named by letters."""
    data = [contact(letter, **fields) for letter in ids]
    following = {"next": {"starting_after": after}} if after else {"next": None}
    return answer(200, {"data": data, "total_count": total, "pages": following})


ME = answer(200, {"id": "1", "app": {"id_code": "w", "timezone": "UTC"}})
EMPTY = page("", total=0)
LISTED = page("ab", total=4, after="p2")
LIST = [page("ab", total=4, after="p2"), page("cd", total=4)]


def scripted(*replies: httpx.Response) -> tuple[tuple[Contact, ...], str | None]:
    """With these answers: me, the list's first page, the four first ranges, …"""
    by_cursors = CursorSnapshot(now=clock)

    async def main() -> tuple[Contact, ...]:
        async with client_of(Intercom([ME, LISTED, *replies])) as client:
            return await by_cursors(client, OWNED, silent)

    return run(main), by_cursors.doubt


SCRIPTS: list[tuple[str, list[httpx.Response], str]] = [
    ("a contact too few", [page("abc", total=3), EMPTY, EMPTY, EMPTY, LISTED], "3 contacts found by search"),
    ("one on two days", [page("abcd", total=4), page("d", total=1), EMPTY, EMPTY], "on two different days"),
    ("one twice in a range", [page("aabcd", total=4), EMPTY, EMPTY, EMPTY], "5 read, 4 of them different"),
    ("as many, but not the same", [page("bcde", total=4), EMPTY, EMPTY, EMPTY, LISTED], "contact a is listed"),
    ("other values", [page("abcd", total=4, name="x"), EMPTY, EMPTY, EMPTY, LISTED], "shows contact a as it was"),
    (
        "the list grows meanwhile",
        [page("abcd", total=4), EMPTY, EMPTY, EMPTY, page("ab", total=5, after="p2")],
        "4 listed before and 5 after",
    ),
    ("a query that is refused", [refusal(400, "parameter_invalid"), EMPTY, EMPTY, EMPTY], "parameter_invalid"),
    (
        "a cursor that goes round",
        [page("a", total=4, after="s2"), EMPTY, EMPTY, EMPTY, page("b", total=4, after="s2")],
        "leads back",
    ),
]


@pytest.mark.parametrize(("reason", "replies", "says"), SCRIPTS, ids=[row[0] for row in SCRIPTS])
def test_on_any_doubt_the_list_is_read(reason: str, replies: list[httpx.Response], says: str) -> None:
    """Count, ids and values are held against the list; a member taken for missing would be created twice."""
    found, doubt = scripted(*replies, *LIST)
    assert "".join(one.id for one in found) == "abcd", reason
    assert doubt is not None
    assert says in doubt


def test_an_unknown_timezone_is_a_doubt() -> None:
    """Without it nobody knows where a day begins."""
    nowhere = answer(200, {"id": "1", "app": {"id_code": "w", "timezone": "Mars/Olympus"}})
    by_cursors = CursorSnapshot(now=clock)

    async def main() -> tuple[Contact, ...]:
        async with client_of(Intercom([nowhere, *LIST])) as client:
            return await by_cursors(client, OWNED, silent)

    assert len(run(main)) == 4
    assert by_cursors.doubt == "the workspace's timezone 'Mars/Olympus' is not known here"


def test_a_contact_without_a_date_of_creation_is_a_doubt() -> None:
    """No range can find it, and the count tells."""
    simulator = world(YEARS)
    first = next(iter(simulator.world.people))
    simulator.world.people.put(msgspec.structs.replace(first, created_at=None), at=None)
    found, reference, doubt = read(simulator)
    assert found == reference
    assert doubt == "399 contacts found by search, 400 listed before and 400 after"


def test_a_token_that_may_not_read_is_told_and_not_doubted() -> None:
    """The list would be refused as well, and a doubt would hide why."""
    with pytest.raises(ScopeMissing):
        scripted(refusal(403, "forbidden"), EMPTY, EMPTY, EMPTY)


def test_trouble_on_one_cursor_stops_the_others() -> None:
    """No page is read that nobody will use."""
    simulator = world(YEARS)
    simulator.hook = lambda call, phase: Fault.ERROR_BEFORE if _is_search(call) and phase == "before" else None
    with pytest.raises(TargetError, match="No usable answer"):
        read(simulator)
    assert searches(simulator) <= 4 * 5


def _is_search(call: Call) -> bool:
    return call.path == "/contacts/search"
