"""Retries and concurrency as arithmetic: what each limit allows, and when it gives way again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import NotFound, RateLimited, Unreachable
from reconciler.targets.intercom import retry
from reconciler.targets.intercom.flow import FEWEST, Width
from reconciler.targets.intercom.retry import (
    BUDGET_FLOOR,
    FAILURES_IN_A_ROW,
    FIRST_COOL_DOWN,
    LONGEST_BACKOFF,
    LONGEST_COOL_DOWN,
    Breaker,
    RetryBudget,
    Suspended,
    backoff,
    harmless_to_repeat,
)

LOST = Unreachable("lost")
NOT_SENT = Unreachable("no connection", sent=False)
THROTTLED = RateLimited("throttled", status=429, code="rate_limit_exceeded")
REFUSED = NotFound("not there", status=404, code="not_found")

REPEATS = [
    (LOST, True, False, "a lost answer may be read again; the write may have happened"),
    (NOT_SENT, True, True, "nothing was sent, so nothing was done"),
    (THROTTLED, True, True, "a 429 did nothing, and passes"),
    (REFUSED, False, False, "it would be the same again"),
    (Suspended("GET /me", seconds=200), False, False, "patience is over already"),
    (ValueError(), False, False, "a fault of ours"),
]


@pytest.mark.parametrize(("error", "read", "write", "reason"), REPEATS, ids=[row[3] for row in REPEATS])
def test_what_is_sent_again_by_itself(error: Exception, read: bool, write: bool, reason: str) -> None:
    """Never a write that may have happened."""
    assert harmless_to_repeat(error, write=False) is read, reason
    assert harmless_to_repeat(error, write=True) is write, reason


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_a_backoff_is_any_part_of_its_bound(attempt: int, chance: float) -> None:
    """Full jitter: from nothing to the bound, which doubles up to the longest."""
    assert 0 <= backoff(attempt, chance=chance) <= min(LONGEST_BACKOFF, 0.5 * 2.0 ** (attempt - 1))


def taken(budget: RetryBudget, *, now: float) -> int:
    """Retries that it allows at this moment."""
    count = 0
    while budget.take(now):
        count += 1
    return count


def test_the_budget_is_a_floor_and_a_tenth_of_the_calls() -> None:
    """So many retries always, or a run of few calls would have none; then ten for every hundred calls."""
    assert taken(RetryBudget(), now=0.0) == BUDGET_FLOOR
    budget = RetryBudget()
    for _ in range(1000):
        budget.call(5.0)
    assert taken(budget, now=5.0) == BUDGET_FLOOR + 100


def test_the_budget_comes_back_with_time() -> None:
    """Recent is what counts: in half a minute half of what was spent is forgotten."""
    budget = RetryBudget()
    assert taken(budget, now=0.0) == BUDGET_FLOOR
    assert taken(budget, now=30.0) == BUDGET_FLOOR / 2
    assert taken(budget, now=3000.0) == BUDGET_FLOOR


def test_a_clock_that_is_set_back_gives_no_budget() -> None:
    """Nor does it take any."""
    budget = RetryBudget()
    assert taken(budget, now=1000.0) == BUDGET_FLOOR
    assert taken(budget, now=0.0) == 0


def opened(*, at: float = 0.0) -> Breaker:
    """A breaker that so many failures have opened."""
    breaker = Breaker()
    for _ in range(FAILURES_IN_A_ROW):
        assert breaker.enter(at)
        breaker.failed(at, probe=False, chance=0.0)
    return breaker


def test_failures_that_are_not_in_a_row_do_not_open_it() -> None:
    """One answer between them shows that Intercom is up."""
    breaker = Breaker()
    for number in range(10 * FAILURES_IN_A_ROW):
        if number % (FAILURES_IN_A_ROW - 1) == 0:
            breaker.succeeded()
        breaker.failed(0.0, probe=False, chance=0.0)
        assert not breaker.is_open


def test_open_it_lets_nobody_through_until_the_cool_down_is_over() -> None:
    """Then exactly one: the probe."""
    breaker = opened()
    assert breaker.is_open
    assert breaker.delay(1.0) == FIRST_COOL_DOWN - 1.0
    assert not breaker.enter(FIRST_COOL_DOWN - 0.1)
    assert breaker.enter(FIRST_COOL_DOWN)
    assert not breaker.enter(FIRST_COOL_DOWN)


def test_a_good_probe_closes_it() -> None:
    """And what was before is forgotten."""
    breaker = opened()
    breaker.enter(FIRST_COOL_DOWN)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.down_for(100.0) == 0.0
    assert all(breaker.enter(FIRST_COOL_DOWN) for _ in range(100))


def test_a_bad_probe_doubles_the_cool_down_up_to_the_longest() -> None:
    """An outage of hours costs one call a minute."""
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.delay(now))
        now += waits[-1]
        assert breaker.enter(now)
        breaker.failed(now, probe=True, chance=0.0)
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert breaker.down_for(now) == now


def test_chance_cuts_the_cool_down_by_up_to_a_half() -> None:
    """So that many clients do not all probe in the same moment."""
    breaker = opened()
    breaker.enter(FIRST_COOL_DOWN)
    breaker.failed(FIRST_COOL_DOWN, probe=True, chance=0.999)
    assert breaker.delay(FIRST_COOL_DOWN) == pytest.approx(FIRST_COOL_DOWN, abs=0.01)


def test_stragglers_neither_end_a_probe_nor_prolong_the_cool_down() -> None:
    """Calls sent before it opened go on failing for as long as a timeout lasts."""
    breaker = opened()
    for _ in range(50):
        breaker.failed(4.0, probe=False, chance=0.0)
    assert breaker.delay(4.0) == FIRST_COOL_DOWN - 4.0
    assert breaker.enter(FIRST_COOL_DOWN)
    breaker.failed(FIRST_COOL_DOWN, probe=False, chance=0.0)
    assert not breaker.enter(FIRST_COOL_DOWN)


def test_a_probe_that_is_cancelled_leaves_its_place_to_another() -> None:
    """Or nobody would ever learn that Intercom is back."""
    breaker = opened()
    assert breaker.enter(FIRST_COOL_DOWN)
    breaker.left()
    assert breaker.enter(FIRST_COOL_DOWN)


def test_a_clock_that_is_set_back_does_not_close_the_door_for_hours() -> None:
    """No wait is longer than the longest cool-down."""
    assert opened(at=1_000_000.0).delay(0.0) == LONGEST_COOL_DOWN


def wide(latency: float, *, most: int = 256) -> Width:
    """After many answers that took so long."""
    width = Width(most=most)
    for _ in range(100):
        width.answered(latency)
    return width


WIDTHS = [
    (166.7, 0.05, 256, 17, "twice Little's law"),
    (166.7, 1.0, 256, 256, "never more than there are connections"),
    (16.7, 0.5, 256, 17, "a smaller workspace, further away"),
    (8.3, 0.01, 256, FEWEST, "fewer than that say nothing of the latency"),
    (166.7, 0.5, 4, 4, "fewer connections than that"),
    (166.7, 0.5, 1, 1, "one after the other"),
]


@pytest.mark.parametrize(("rate", "latency", "most", "wanted", "reason"), WIDTHS, ids=[row[4] for row in WIDTHS])
def test_the_latency_and_the_rate_say_how_many_calls_are_in_flight(
    rate: float, latency: float, most: int, wanted: int, reason: str
) -> None:
    """Calls in flight are calls per second times seconds per call, and as many again."""
    assert wide(latency, most=most).allowed(rate) == wanted, reason


def test_trouble_halves_what_may_be_in_flight_once_a_round_trip() -> None:
    """All calls of one round fail together: that is one piece of news, not sixty."""
    width = wide(0.5)
    for _ in range(60):
        width.troubled(100.0, in_flight=80)
    assert width.allowed(166.7) == 40
    width.troubled(100.6, in_flight=40)
    assert width.allowed(166.7) == 20


def test_after_trouble_each_good_round_doubles_it() -> None:
    """Back at full speed within some round trips."""
    width = wide(0.5)
    for number in range(10):
        width.troubled(float(number), in_flight=80)
    rounds = []
    for _ in range(5):
        rounds.append(width.allowed(166.7))
        for _ in range(rounds[-1]):
            width.answered(0.5)
    assert rounds == [8, 16, 32, 64, 128]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100), st.integers(0, 300)), max_size=50), st.integers(1, 300))
def test_at_least_one_call_and_at_most_the_most_are_in_flight(news: list[tuple[bool, float, int]], most: int) -> None:
    """Whatever happens, it neither stops nor runs away."""
    width = Width(most=most)
    for number, (good, latency, in_flight) in enumerate(news):
        if good:
            width.answered(latency)
        else:
            width.troubled(float(number), in_flight=in_flight)
        assert 1 <= width.allowed(166.7) <= most


def test_no_width_is_not_one() -> None:
    """A client that may have nothing in flight would wait for ever."""
    with pytest.raises(ValueError, match="max_in_flight"):
        Width(most=0)


def test_the_numbers_make_sense_together() -> None:
    """A call's patience is longer than some cool-downs, or it would never see a probe succeed."""
    assert retry.Patience().call > FIRST_COOL_DOWN + 2 * FIRST_COOL_DOWN + 4 * FIRST_COOL_DOWN
