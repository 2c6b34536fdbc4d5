"""The pace: how much of the permitted calls our client uses, and how often it is refused.

First in virtual time, client and stand-in in one process, so that an hour costs minutes; then over sockets in real
time, for the CPU of a call. Run from the repository's root: `python -m benchmarks.intercom_pace`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from benchmarks.intercom_simulator import CONTACT, simulator
from reconciler.errors import TargetError
from reconciler.simulator import Options, Simulator, build_app
from reconciler.targets.intercom import IntercomClient
from tests.targets.support import clock, run

LIMITS = (166, 1666)
LATENCIES = (0.05, 0.2, 0.5)
CLOCKS = (-3.0, 0.0, 3.0)
WINDOW = 10.0
WINDOWS = 6
CALLERS = 300
IN_FLIGHT = 64
REAL_WINDOWS = 2


@dataclass(frozen=True, slots=True)
class Use:
    """used: share of what was permitted in the full windows. most_refused: 429s in the worst of them."""

    used: float
    most_refused: int


async def keep_calling(client: IntercomClient, *, until: float, now: Callable[[], float]) -> None:
    """Far more callers than may be in flight."""

    async def caller() -> None:
        while now() < until:
            try:
                await client.get("c1")
            except TargetError:  # a 429 after the last attempt is in the simulator's log
                continue

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def virtual(limit: int, latency: float, *, ahead: float = 0.0, neighbour: float = 0.0, reserve: float = 0.0) -> Use:
    """Six full windows. ahead: seconds of the stand-in's clock before ours. neighbour: share of the window it takes."""
    taken = int(limit * neighbour)
    stand_in = Simulator(
        Options(limit=limit, latency=(latency * 0.75, latency * 0.5), neighbour=taken), clock=time.time
    )
    stand_in.seed([json.dumps(CONTACT)])
    stand_in.clock = lambda: clock() + ahead

    async def main() -> float:
        begun = stand_in.clock()
        transport = httpx.ASGITransport(app=build_app(stand_in))
        client = IntercomClient(
            token="bench", base_url="http://bench", transport=transport, clock=clock, reserve=reserve
        )
        async with client:
            until = (begun // WINDOW + WINDOWS + 1.5) * WINDOW - ahead
            await keep_calling(client, until=until, now=clock)
        return begun

    first = int(run(main) // WINDOW) + 1
    calls = [(call.time, call.status) for call in stand_in.calls]
    return use_of(calls, range(first, first + WINDOWS), permitted=limit - taken - int(limit * reserve))


def use_of(calls: list[tuple[float, int]], windows: range, *, permitted: int) -> Use:
    """Of the stand-in's log."""
    served = Counter(int(when // WINDOW) for when, status in calls if status == 200)
    refused = Counter(int(when // WINDOW) for when, status in calls if status == 429)
    used = sum(min(served[number], permitted) for number in windows) / (permitted * len(windows))
    return Use(used, max(refused[number] for number in windows))


def real(limit: int, latency: float) -> tuple[Use, float]:
    """Over sockets, with the stand-in in its own process; and the CPU seconds of ours per call."""

    async def main(url: str) -> tuple[int, float, list[tuple[float, int]]]:
        cpu = time.process_time()
        begun = time.time()
        async with IntercomClient(token="bench", base_url=url, max_in_flight=IN_FLIGHT) as client:
            until = (begun // WINDOW + REAL_WINDOWS + 1.5) * WINDOW
            await keep_calling(client, until=until, now=time.time)
        cpu = time.process_time() - cpu
        async with httpx.AsyncClient(trust_env=False) as plain:
            log = (await plain.get(f"{url}/_simulator/calls")).json()["calls"]
        return int(begun // WINDOW) + 1, cpu, [(call["time"], call["status"]) for call in log]

    with simulator("--latency", str(latency), "--limit", str(limit)) as url:
        first, cpu, calls = asyncio.run(main(url))
    return use_of(calls, range(first, first + REAL_WINDOWS), permitted=limit), cpu / len(calls)


def show(what: str, use: Use, wanted: str) -> None:
    """One line."""
    print(f"  {what:44} {use.used:8.2%} used, at most {use.most_refused} x 429 a window  (wanted: {wanted})")


def main() -> None:
    """Measure and print."""
    print(f"\nIntercom's limit, {WINDOWS} full windows in virtual time, {CALLERS} callers")
    for limit in LIMITS:
        for latency in LATENCIES:
            name = f"{limit:5} calls, {latency * 1000:3.0f} ms"
            for ahead in CLOCKS:
                show(f"{name}, clock off by {0 - ahead:+.0f} s", virtual(limit, latency, ahead=ahead), "99%, none")
            show(f"{name}, a neighbour takes 40%", virtual(limit, latency, neighbour=0.4), "at most 2")
            show(f"{name}, and 20% in reserve", virtual(limit, latency, neighbour=0.4, reserve=0.2), "none")
    print(f"\nThe same over sockets, {REAL_WINDOWS} full windows in real time")
    use, cpu = real(LIMITS[1], LATENCIES[1])
    show(f"{LIMITS[1]:5} calls, {LATENCIES[1] * 1000:3.0f} ms, up to {IN_FLIGHT} in flight", use, "99%, none")
    print(f"  {cpu * 1000:.2f} ms CPU/call, all told (wanted: at most 1)")


if __name__ == "__main__":
    main()
