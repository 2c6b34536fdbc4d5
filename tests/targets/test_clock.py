"""The clock of this machine is set, back or forward, while calls wait: no wait grows by it (failure mode B15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from reconciler.errors import TargetError
from reconciler.targets.intercom.clock import never_back
from reconciler.targets.intercom.wire import WireContact
from tests.targets.support import answer, client_of, clock, contact, refusal, run
from tests.targets.test_caller import Outage

HOUR = 3600.0
SET_AT = 4.0
"""Seconds after the start at which the clock is set: in the first window, which ends after 7."""


def set_by(seconds: float) -> Callable[[], float]:
    """Our clock, which somebody sets at SET_AT."""
    return lambda: clock() + (seconds if asyncio.get_running_loop().time() >= SET_AT else 0.0)


def quota(remaining: int) -> dict[str, str]:
    """The headers of the window that the virtual night begins in, and of those after it, by Intercom's own clock."""
    reset = int(clock() // 10) * 10 + 10
    return {"x_ratelimit_limit": "20", "x_ratelimit_remaining": str(remaining), "x_ratelimit_reset": str(reset)}


async def window_full(_request: httpx.Request) -> httpx.Response:
    """The first call of each window takes the last place in it."""
    await asyncio.sleep(1.0)
    return answer(200, contact(), **quota(0))


class Refusing:
    """Refuses the first call for the rest of its window."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, _request: httpx.Request) -> httpx.Response:
        """One call."""
        self.calls += 1
        if self.calls == 1:
            return refusal(429, "rate_limit_exceeded", **quota(0))
        return answer(200, contact(), **quota(10))


def seconds_of_two_reads(intercom: Callable[[httpx.Request], object], *, set_by_seconds: float) -> float:
    """How long one read and another after the clock was set take, in true seconds."""

    async def main() -> float:
        async with client_of(intercom, clock=set_by(set_by_seconds)) as client:
            await client.get("c1")
            await asyncio.sleep(max(0.0, SET_AT - asyncio.get_running_loop().time()))
            await client.get("c1")
            return asyncio.get_running_loop().time()

    return run(main)


@pytest.mark.parametrize("step", [-HOUR, -24 * HOUR, 24 * HOUR], ids=["an hour back", "a day back", "a day forward"])
@pytest.mark.parametrize("intercom", [lambda: window_full, Refusing], ids=["the window is used up", "429"])
def test_a_wait_for_the_next_window(intercom: Callable[[], Callable[[httpx.Request], object]], step: float) -> None:
    """It ends with the window, as if nobody had set the clock."""
    assert seconds_of_two_reads(intercom(), set_by_seconds=step) < 20


@pytest.mark.parametrize("step", [-HOUR, -24 * HOUR], ids=["an hour back", "a day back"])
def test_a_wait_for_an_intercom_that_is_down(step: float) -> None:
    """It is given up in time, or ends when Intercom is back."""
    outage = Outage(begins=0.0, ends=30.0)

    async def main() -> float:
        async with client_of(outage, clock=set_by(step)) as client:
            ended = await asyncio.gather(*(client.get("c1") for _ in range(20)), return_exceptions=True)
            assert all(isinstance(one, TargetError | WireContact) for one in ended)
            await client.get("c1")
            return asyncio.get_running_loop().time()

    assert run(main) < 120


def test_the_clock_itself() -> None:
    """It goes as fast as the other one, forwards only."""
    said = iter([100.0, 101.0, 41.0, 43.0, 500.0, 499.0, 501.0])
    now = never_back(lambda: next(said))
    assert [now() for _ in range(7)] == [100.0, 101.0, 101.0, 103.0, 560.0, 560.0, 562.0]
