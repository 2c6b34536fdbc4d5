"""How fast we may call: the limiter, sized from Intercom's own headers.

The minute is cut into fixed windows of 10 s that all apps of a workspace share. Each answer says how many calls the
window has (`X-RateLimit-Limit`), how many are left after this one (`-Remaining`) and at which unix second it ends
(`-Reset`); constants would be wrong, since workspaces have 83, 167 or 1,667 a window
(developers.intercom.com/docs/references/rest-api/errors/rate-limiting).

`Gate` and `ServerClock` are plain arithmetic over given times. `Pacer` is their effect: it sleeps.

A call may start when `remaining - in_flight > 0`, where `remaining` is the least that any answer of this window has
shown. Each call in flight is thereby counted as not yet counted by Intercom: never too few, whatever the order of the
answers, and exact once they are back. So a client alone uses every call of the window and is never refused. What
other apps take shows in `remaining` as well, but a round trip late: what they will have taken by the time our call
arrives is foretold from their rate, and taken off too.

How many calls are in flight at once is bounded as well, by `flow.Width`: callers may ask for as many as they like.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from reconciler.targets.intercom.flow import Width

WINDOW = 10.0
"""Seconds of a window, where no answer has said when it ends."""

SAFE_CALLS = 80
"""Calls per WINDOW without usable headers: under 83, the smallest limit anybody has reported."""

MAX_LIMIT = 1_000_000
MAX_WINDOW = 120.0
"""Beyond these (calls, seconds) a header is absurd: a limit nobody has, an end in milliseconds or of another day."""

JITTER = 0.5
"""Up to so many seconds are added after a 429, so that those who were refused together do not come back together."""

SHORTEST_PAUSE = 1.0
"""Seconds to wait after a 429 whose window, by our clock, has ended already."""

LOOK_UP = 0.5
"""Seconds after which whoever waits asks again whether the call is still wanted."""

SHORTEST_LOOK = 0.5
"""Seconds of a window that must be over before what others took in it says something of their rate."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The three headers of one answer. reset: unix second, by Intercom's clock."""

    limit: int
    remaining: int
    reset: int


def read_quota(headers: Mapping[str, str]) -> Quota | None:
    """The three headers; None where one is missing, not a number, or contradicts another."""
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    texts = [headers.get(name, "") for name in names]
    if not all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
        return None
    limit, remaining, reset = map(int, texts)
    return Quota(limit, remaining, reset) if 0 < limit <= MAX_LIMIT and remaining <= limit else None


def read_date(headers: Mapping[str, str]) -> float | None:
    """The Date header as unix seconds; None where it is missing or not a date."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return None


class ServerClock:
    """How far Intercom's clock is ahead of ours, in seconds, and never more than it is.

    A Date header is cut to whole seconds and old when it comes, so `date - now` is at most the true offset; the
    greatest of many comes within milliseconds of it. Only this window's answers and the last one's count, so that a
    step of our clock heals.
    """

    def __init__(self) -> None:
        self._greatest = [-math.inf, -math.inf]

    def observe(self, *, date: float, now: float) -> None:
        """An answer with this Date came at `now`."""
        self._greatest[0] = max(self._greatest[0], date - now)

    def next_window(self) -> None:
        """Forget what was seen before the last window."""
        if self._greatest[0] > -math.inf:
            self._greatest = [-math.inf, self._greatest[0]]

    @property
    def offset(self) -> float:
        """Seconds to add to our clock; 0 before the first answer."""
        greatest = max(self._greatest)
        return greatest if greatest > -math.inf else 0.0


class Neighbours:
    """What other apps take of the windows, in calls per second.

    What an answer shows as used and is not ours, over the time since the window began. While calls of ours overtake
    each other this is too high by as many as did; once all of them are back it is exact.
    """

    def __init__(self) -> None:
        self.rate = 0.0
        self._before: float | None = None

    def observe(self, *, taken: int, elapsed: float) -> None:
        """Others took so many calls in the first `elapsed` seconds of this window. The last window counts as one
        second more of it: a window's first moments say little.
        """
        if self._before is None:
            self.rate = max(0, taken) / max(elapsed, SHORTEST_LOOK)
        else:
            self.rate = (max(0, taken) + self._before) / (max(elapsed, 0.0) + 1.0)

    def next_window(self) -> None:
        """Until this one's answers say more, it is taken to be like the last."""
        self._before = self.rate


class Gate:
    """Whether the next call may start now, and if not, when to ask again. Times are unix seconds by our own clock.

    ceiling: most calls of ours per window, whatever the headers allow; None for no ceiling.
    reserve: share of the window's limit, from 0 to less than 1, that is left to others: no call of ours starts that
    would take Remaining below it. own: share of the limit that others are known to leave to us (their reserve): calls
    within it start as long as anything remains, whatever others are expected to take. most_in_flight: see flow.Width.
    """

    def __init__(
        self, *, ceiling: int | None = None, reserve: float = 0.0, own: float = 0.0, most_in_flight: int = 256
    ) -> None:
        if not 0 <= reserve < 1:
            raise ValueError("reserve must be a share from 0 to less than 1")
        if not 0 <= own < 1:
            raise ValueError("own must be a share from 0 to less than 1")
        if ceiling is not None and ceiling < 1:
            raise ValueError("the ceiling must be at least 1 call per window")
        self._ceiling = math.inf if ceiling is None else ceiling
        self._reserve = reserve
        self._own = own
        self._width = Width(most=most_in_flight)
        self._server = ServerClock()
        self._others = Neighbours()
        self._in_flight = 0
        self._answered = False
        self._taken = 0
        self._limit: int | None = None
        self._remaining = 0
        self._counted = 0
        """Calls of ours that are among those that `_remaining` shows as used."""
        self._seen_at = -math.inf
        """When `_remaining` was last heard of."""
        self._reset = 0
        self._ends = -math.inf
        self._assumed = False
        """Whether `_remaining` and `_ends` of this window are our own guess, as no answer of it has come yet."""
        self._not_before = -math.inf

    @property
    def rate(self) -> float:
        """Calls of ours per second that are permitted, were there no other app."""
        if self._limit is None:
            return min(SAFE_CALLS * (1 - self._reserve), self._ceiling) / WINDOW
        return min(self._limit - self._left_to_others, self._ceiling) / WINDOW

    def delay(self, now: float) -> float:
        """Seconds to wait before asking again; 0 to go, inf where only an answer can help. An answer that comes
        earlier is a reason to ask earlier.
        """
        if now < self._not_before:
            return self._not_before - now
        if self._in_flight >= self._width.allowed(self.rate):
            return math.inf
        if self._limit is None:
            return WINDOW if self._in_flight and not self._answered else 0.0
        if now >= self._ends:
            self._begin_window(now)
        left = min(max(self._left(now), self._left_of_own()), self._ceiling - self._taken)
        return 0.0 if left > 0 else self._ends - now

    def start(self, now: float) -> None:
        """A call starts."""
        self._in_flight += 1
        self._taken += 1
        if self._limit is None:
            self._not_before = now + 1 / self.rate

    def answer(
        self, now: float, headers: Mapping[str, str], *, refused: bool, jitter: float, latency: float = 0.0
    ) -> None:
        """An answer came, `latency` seconds after its call. `refused`: it was a 429; nothing starts before its window's
        end and `jitter` seconds more.
        """
        self._answered = True
        self._width.answered(latency)
        date = read_date(headers)
        if date is not None:
            self._server.observe(date=date, now=now)
        quota = read_quota(headers)
        if quota is not None and abs(quota.reset - self._server.offset - now) > MAX_WINDOW:
            quota = None
        if quota is None:
            self._count_unseen()
        else:
            self._adopt(quota, counted_at=now - latency, refused=refused)
        if refused:
            ends = now + WINDOW if quota is None else quota.reset - self._server.offset
            self._not_before = max(self._not_before, ends, now + SHORTEST_PAUSE) + jitter

    def fail(self, now: float) -> None:
        """A call got no answer, or one of a server in trouble."""
        self._width.troubled(now, in_flight=self._in_flight)

    def end(self, *, answered: bool, sent: bool = True) -> None:
        """A call is over. Without an answer it may have been counted by Intercom all the same, if it was sent."""
        self._in_flight -= 1
        if not sent:
            self._taken -= 1
        elif not answered:
            self._count_unseen()

    @property
    def _left_to_others(self) -> int:
        return int((self._limit or 0) * self._reserve)

    def _left(self, now: float) -> int:
        """Calls that may start now. Others go on between the moment when Remaining was counted, a round trip before
        it was heard of, and the moment when our call is.
        """
        unseen = self._others.rate * (max(0.0, now - self._seen_at) + self._width.latency)
        return self._remaining - self._in_flight - self._left_to_others - math.ceil(unseen)

    def _left_of_own(self) -> int:
        """Calls of our own share that may start now. Where others took them all the same, one answer of 429 says so."""
        return min(int((self._limit or 0) * self._own) - self._taken, self._remaining - self._in_flight)

    def _count_unseen(self) -> None:
        self._remaining -= 1
        self._counted += 1

    def _begin_window(self, now: float) -> None:
        """By our clock a new window has begun: assume it whole, until its first answer says more."""
        self._remaining = self._limit or 0
        self._counted = 0
        self._taken = 0
        self._seen_at = now
        self._ends = now + WINDOW
        self._assumed = True
        self._server.next_window()
        self._others.next_window()

    def _adopt(self, quota: Quota, *, counted_at: float, refused: bool) -> None:
        if quota.reset < self._reset or (quota.reset == self._reset and self._assumed):
            return  # a late answer of a window that is over
        if quota.reset > self._reset:
            self._enter(quota)
        self._remaining = min(self._remaining, quota.remaining)
        self._limit = quota.limit
        self._ends = self._reset - self._server.offset
        self._seen_at = counted_at + self._width.latency
        if not refused:
            self._counted += 1
            taken = quota.limit - self._remaining - self._counted
            self._others.observe(taken=taken, elapsed=counted_at - (self._ends - WINDOW))

    def _enter(self, quota: Quota) -> None:
        """The first answer of a window: of the one that we assume, or of one that begins earlier than we thought."""
        if not self._assumed:
            self._remaining, self._counted = quota.remaining, 0
            self._taken = self._in_flight
            if self._limit is not None:
                self._others.next_window()
        self._reset, self._assumed = quota.reset, False


class Turn:
    """One call that may be sent now. Tell it the answer, or give it back, or leave it: then there was none."""

    def __init__(self, observe: Callable[[Mapping[str, str], int], None]) -> None:
        self._observe = observe
        self.answered = False
        self.sent = True

    def observe(self, headers: Mapping[str, str], status: int) -> None:
        """The answer's headers and status."""
        self.answered = True
        self._observe(headers, status)

    def give_back(self) -> None:
        """The call was not sent, so it was not counted."""
        self.sent = False


class Pacer:
    """Lets calls start one after the other, as soon as the gate allows.

    clock: unix seconds.  sleep: seconds.  random: [0, 1).  gate: None for one without ceiling or reserve.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        gate: Gate | None = None,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._gate = gate or Gate()
        self._queue = asyncio.Lock()
        self._news = asyncio.Event()

    @asynccontextmanager
    async def turn(self, check: Callable[[], None] | None = None) -> AsyncIterator[Turn]:
        """Wait for the next free place; the call belongs inside the `async with`.

        check: raises where the call is not wanted any more; asked right before it starts, and while it waits.
        """
        async with self._queue:
            while True:
                if check is not None:
                    check()
                delay = self._gate.delay(self._clock())
                if delay <= 0:
                    break
                await self._wait(delay if check is None else min(delay, LOOK_UP))
            started = self._clock()
            self._gate.start(started)
        turn = Turn(lambda headers, status: self._observe(headers, status, started=started))
        try:
            yield turn
        finally:
            if turn.sent and not turn.answered:
                self._gate.fail(self._clock())
            self._gate.end(answered=turn.answered, sent=turn.sent)
            self._news.set()

    def _observe(self, headers: Mapping[str, str], status: int, *, started: float) -> None:
        now = self._clock()
        refused = status == HTTPStatus.TOO_MANY_REQUESTS
        jitter = self._random() * JITTER if refused else 0.0
        self._gate.answer(now, headers, refused=refused, jitter=jitter, latency=max(0.0, now - started))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._gate.fail(now)

    async def _wait(self, delay: float) -> None:
        """Until `delay` seconds are over or an answer comes, whichever is first."""
        self._news.clear()
        if delay == math.inf:
            await self._news.wait()
            return
        timer = asyncio.ensure_future(self._sleep(delay))
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((timer, news), return_when=asyncio.FIRST_COMPLETED)
            if timer.done():
                timer.result()
        finally:
            timer.cancel()
            news.cancel()
            await asyncio.gather(timer, news, return_exceptions=True)
