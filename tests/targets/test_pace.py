"""Pace: every call that Intercom permits, none that it refuses, and never standing still."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.targets.intercom.pace import SAFE_CALLS, WINDOW, Gate, Pacer, Quota, ServerClock, read_date, read_quota
from tests.targets.support import START, clock, run


@dataclass
class Server:
    """Fixed windows, as Intercom's. ahead: seconds of its clock before ours. headers: may spoil what it says."""

    limit: int
    ahead: float = 0.0
    dated: bool = True
    neighbour: float = 0.0
    """The share of each window that another app takes, evenly over its seconds."""
    headers: Callable[[dict[str, str]], dict[str, str]] = lambda headers: headers
    served: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)

    def take(self) -> tuple[int, dict[str, str]]:
        """One call: status and headers."""
        now = clock() + self.ahead
        number, elapsed = divmod(now, WINDOW)
        window = int(number)
        left = self.limit - self.served[window] - int(self.limit * self.neighbour * elapsed / WINDOW)
        (self.served if left > 0 else self.refused)[window] += 1
        said = {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(0, left - 1)),
            "x-ratelimit-reset": str(math.ceil((number + 1) * WINDOW)),
        }
        if self.dated:
            said["date"] = formatdate(now, usegmt=True)
        return (200 if left > 0 else 429), self.headers(said)


def load(
    server: Server,
    *,
    seconds: float,
    workers: int = 32,
    ceiling: int | None = None,
    reserve: float = 0.0,
    latency: float = 0.1,
) -> None:
    """So many workers call the server as fast as the pacer lets them."""

    async def main() -> None:
        pacer = Pacer(clock=clock, sleep=asyncio.sleep, random=lambda: 0.5, gate=Gate(ceiling=ceiling, reserve=reserve))
        end = clock() + seconds

        async def worker(number: int) -> None:
            turn_number = 0
            while clock() < end:
                async with pacer.turn() as turn:
                    turn_number += 1
                    # Calls overtake each other, both on the way there and back.
                    await asyncio.sleep(latency * (0.2 + 0.1 * ((number + turn_number) % 7)))
                    status, headers = server.take()
                    await asyncio.sleep(latency * (0.2 + 0.1 * ((number * turn_number) % 5)))
                    turn.observe(headers, status)

        await asyncio.gather(*(worker(number) for number in range(workers)))

    run(main)


def whole_windows(server: Server) -> list[int]:
    """The windows between the first and the last that saw a call, in order."""
    seen = sorted(server.served)
    return list(range(seen[0] + 1, seen[-1]))


@pytest.mark.parametrize("limit", [83, 167, 1667])
@pytest.mark.parametrize("workers", [8, 64])
def test_alone_it_uses_what_is_permitted(limit: int, workers: int) -> None:
    """At least 97% of five windows' calls, where the workers are fast enough for them, and not one 429."""
    server = Server(limit)
    load(server, seconds=67, workers=workers)
    windows = whole_windows(server)[:5]
    fastest = workers / 0.1 * WINDOW
    assert len(windows) == 5
    assert sum(server.served[number] for number in windows) >= 0.97 * 5 * min(limit, 0.7 * fastest)
    assert not server.refused


@pytest.mark.parametrize("ahead", [-3.0, -0.4, 0.4, 3.0])
def test_a_clock_that_is_off_does_not_matter(ahead: float) -> None:
    """The Date header tells Intercom's time, to within the answer's way back."""
    server = Server(167, ahead=ahead)
    load(server, seconds=67)
    assert sum(server.served[number] for number in whole_windows(server)[:5]) >= 0.97 * 5 * 167
    assert not server.refused


def test_what_a_neighbour_takes_is_left_to_it() -> None:
    """Half of each window goes to another app: ours uses the rest, and is refused hardly ever."""
    server = Server(167, neighbour=0.5)
    load(server, seconds=67)
    windows = whole_windows(server)[:5]
    assert sum(server.served[number] for number in windows) >= 0.97 * 5 * 83
    assert sum(server.refused.values()) <= 0.02 * sum(server.served.values())


def test_a_greedy_neighbour_does_not_stop_it() -> None:
    """Another app takes nearly everything, as fast as it can: ours gets what is left, and never hangs."""
    server = Server(167, neighbour=0.97)
    load(server, seconds=67)
    assert all(server.served[number] >= 4 for number in whole_windows(server))


def spoiled(**changes: str | None) -> Callable[[dict[str, str]], dict[str, str]]:
    """A server whose headers lack something (None), or say something else."""

    def spoil(headers: dict[str, str]) -> dict[str, str]:
        changed = {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in (headers | changed).items() if value is not None}

    return spoil


ABSURD = [
    ({"x_ratelimit_limit": None}, "no limit"),
    ({"x_ratelimit_limit": None, "x_ratelimit_remaining": None, "x_ratelimit_reset": None, "date": None}, "nothing"),
    ({"x_ratelimit_limit": "0", "x_ratelimit_remaining": "0"}, "a limit of none"),
    ({"x_ratelimit_limit": "many"}, "a word"),
    ({"x_ratelimit_limit": "99999999999"}, "a limit nobody has"),
    ({"x_ratelimit_remaining": "-5"}, "less than nothing left"),
    ({"x_ratelimit_remaining": "200"}, "more left than there is"),
    ({"x_ratelimit_reset": "0"}, "an end long ago"),
    ({"x_ratelimit_reset": "1800000010000"}, "milliseconds"),
    ({"x_ratelimit_reset": "9" * 400}, "a number without end"),
    ({"x_ratelimit_reset": "١٢٣"}, "digits of another script"),
    ({"date": "Thu, 01 Jan 1970 00:00:00 GMT"}, "a server without a clock"),
]


@pytest.mark.parametrize(("changes", "reason"), ABSURD, ids=[row[1] for row in ABSURD])
def test_without_usable_headers_it_keeps_a_safe_pace(changes: dict[str, str | None], reason: str) -> None:
    """Under the smallest limit that anybody has reported, and going on all the same."""
    server = Server(83, headers=spoiled(**changes))
    load(server, seconds=47)
    for number in whole_windows(server):
        assert SAFE_CALLS - 5 <= server.served[number] <= SAFE_CALLS + 1, reason
    assert not server.refused


def test_headers_that_stop_coming_do_not_stop_the_calls() -> None:
    """Some answers have none: each still counts, the window still ends; a miscount of a few is what that costs."""
    turns = iter(range(10**9))
    server = Server(167, headers=lambda headers: headers if next(turns) % 10 == 0 else {})
    load(server, seconds=67)
    assert sum(server.served[number] for number in whole_windows(server)[:5]) >= 0.8 * 5 * 167
    assert sum(server.refused.values()) <= 5


def test_the_ceiling_is_kept() -> None:
    """INTERCOM_RATE_LIMIT leaves room for the other apps of the workspace."""
    server = Server(167)
    load(server, seconds=67, ceiling=50)
    windows = whole_windows(server)
    assert all(server.served[number] <= 50 for number in windows)
    assert sum(server.served[number] for number in windows[:5]) >= 0.97 * 5 * 50


def test_the_first_call_goes_alone() -> None:
    """Before the first answer nothing is known of the window, so nothing is risked."""

    async def main() -> list[float]:
        pacer = Pacer(clock=clock, sleep=asyncio.sleep, random=lambda: 0.5)
        started: list[float] = []

        async def call() -> None:
            async with pacer.turn() as turn:
                started.append(clock() - START)
                await asyncio.sleep(2.0)
                turn.observe(Server(167).take()[1], 200)

        await asyncio.gather(*(call() for _ in range(4)))
        return started

    assert run(main) == [0.0, 2.0, 2.0, 2.0]


def test_a_call_without_an_answer_does_not_block_the_rest() -> None:
    """A timeout or an error gives its place back, and is taken to have been counted by Intercom."""

    async def main() -> int:
        pacer = Pacer(clock=clock, sleep=asyncio.sleep, random=lambda: 0.5)
        for _ in range(50):
            async with pacer.turn():
                await asyncio.sleep(1)
        return 50

    assert run(main) == 50


def test_a_cancelled_call_gives_its_place_back() -> None:
    """Ctrl-C in the middle of many calls leaves the pacer usable, for the calls that are still to be read back."""

    async def main() -> bool:
        pacer = Pacer(clock=clock, sleep=asyncio.sleep, random=lambda: 0.5)

        async def hang() -> None:
            async with pacer.turn():
                await asyncio.sleep(3600)

        tasks = [asyncio.create_task(hang()) for _ in range(5)]
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with pacer.turn() as turn:
            turn.observe(Server(167).take()[1], 200)
        return True

    assert run(main)


def test_after_a_429_nothing_starts_before_the_window_ends() -> None:
    """Whoever was refused waits for Reset, and a little longer, so that not all come back in the same moment."""
    gate = Gate(ceiling=None)
    now = 1_800_000_003.0
    gate.start(now)
    gate.answer(now, quota_headers(167, 0, 1_800_000_010), refused=True, jitter=0.25)
    gate.end(answered=True)
    assert gate.delay(now) == pytest.approx(7.25)
    assert gate.delay(now + 7.25) == 0.0


def test_a_429_without_headers_waits_a_whole_window() -> None:
    """Nobody said when it ends."""
    gate = Gate(ceiling=None)
    gate.start(100.0)
    gate.answer(100.0, {}, refused=True, jitter=0.0)
    gate.end(answered=True)
    assert gate.delay(100.0) == pytest.approx(WINDOW)


def test_a_429_of_a_window_that_is_over_by_our_clock_waits_a_second() -> None:
    """Our clock is ahead and no Date tells: coming back at once would be refused again, and again."""
    gate = Gate(ceiling=None)
    gate.start(1_800_000_012.0)
    gate.answer(1_800_000_012.0, quota_headers(167, 0, 1_800_000_010), refused=True, jitter=0.0)
    gate.end(answered=True)
    assert gate.delay(1_800_000_012.0) == pytest.approx(1.0)


def quota_headers(limit: int, remaining: int, reset: int) -> dict[str, str]:
    """The three headers."""
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(reset),
    }


def test_answers_that_overtake_each_other_are_never_counted_too_high() -> None:
    """The least that any answer of the window showed stands, and each call in flight is taken off it."""
    gate = Gate(ceiling=None)
    for _ in range(3):
        gate.start(0.0)
    for remaining in (8, 9):
        gate.answer(1.0, quota_headers(10, remaining, 10), refused=False, jitter=0.0)
        gate.end(answered=True)
    allowed = 0
    while gate.delay(1.0) == 0.0:
        gate.start(1.0)
        allowed += 1
    assert allowed == 7


def test_a_late_answer_of_the_last_window_changes_nothing() -> None:
    """Its Remaining is about calls that no longer count."""
    gate = Gate(ceiling=None)
    gate.start(0.0)
    gate.answer(1.0, quota_headers(10, 9, 10), refused=False, jitter=0.0)
    gate.end(answered=True)
    gate.start(9.0)
    assert gate.delay(11.0) == 0.0
    gate.answer(11.0, quota_headers(10, 0, 10), refused=False, jitter=0.0)
    gate.end(answered=True)
    assert gate.delay(11.0) == 0.0


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_header_can_break_it(limit: str, remaining: str, reset: str) -> None:
    """Whatever stands there is a quota or none."""
    quota = read_quota({"x-ratelimit-limit": limit, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset})
    assert quota is None or quota == Quota(int(limit), int(remaining), int(reset))


@given(st.text(max_size=40))
def test_no_date_can_break_it(text: str) -> None:
    """Whatever stands there is a time or none."""
    assert read_date({"date": text}) is None or isinstance(read_date({"date": text}), float)


def test_the_servers_clock_is_never_thought_to_be_later_than_it_is() -> None:
    """Else we would call into a window that has not ended yet."""
    true_offset = 2.3
    server = ServerClock()
    for tick in range(200):
        sent = 1000.0 + tick * 0.137
        server.observe(date=math.floor(sent + 0.05 + true_offset), now=sent + 0.1)
        assert server.offset <= true_offset
    assert server.offset >= true_offset - 0.2


def test_a_step_of_our_clock_heals() -> None:
    """What was seen before the last window is forgotten."""
    server = ServerClock()
    server.observe(date=1000.0, now=1000.0)
    for _ in range(2):
        server.next_window()
        server.observe(date=1010.0, now=1015.0)
    assert server.offset == -5.0
