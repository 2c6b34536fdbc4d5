"""Reading all contacts: by the list's one cursor, and by several of search.

In virtual time, client and stand-in in one process: what is counted is calls, and the seconds that Intercom's latency
makes of them. Run from the repository's root: `python -m benchmarks.intercom_snapshot`.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from reconciler.simulator import Options, Simulator, build_app
from reconciler.targets.intercom import IntercomClient
from reconciler.targets.intercom.cursors import CursorSnapshot
from reconciler.targets.intercom.snapshot import Strategy, read_by_list
from tests.targets.support import START, clock, run

CONTACTS = 20_000
LATENCY = 0.94
"""Seconds of a page of 150: measured by tap-intercom, pull request 9."""
YEARS = 8 * 365 * 86_400
IMPORT = CONTACTS // 2


@dataclass(frozen=True, slots=True)
class Cost:
    """What one reading took. seconds: by the clock of the stand-in."""

    calls: int
    seconds: float


def over_the_years(place: int) -> int:
    """Somebody new every few hours."""
    return int(START) - YEARS * (CONTACTS - place) // CONTACTS


def half_in_one_import(place: int) -> int:
    """Half of all came on one day, which no date can tell apart."""
    return int(START) - YEARS // 2 if place < IMPORT else over_the_years(place)


def reading(strategy: Strategy, born: Callable[[int], int]) -> Cost:
    """Read a workspace of CONTACTS whose contacts were created at these times."""
    stand_in = Simulator(Options(limit=1667, latency=(LATENCY, 0.0)), clock=time.time)
    stand_in.seed(
        json.dumps({"id": f"c{place}", "external_id": str(place), "created_at": born(place)})
        for place in range(CONTACTS)
    )
    stand_in.clock = stand_in.world.clock = clock

    async def main() -> float:
        transport = httpx.ASGITransport(app=build_app(stand_in))
        async with IntercomClient(token="bench", base_url="http://bench", transport=transport, clock=clock) as client:
            begun = asyncio.get_running_loop().time()
            found = await strategy(client, frozenset(), lambda *_: None)
            if len(found) != CONTACTS:
                raise AssertionError(f"{len(found)} contacts read, not {CONTACTS}")
            return asyncio.get_running_loop().time() - begun

    seconds = run(main)
    return Cost(len(stand_in.calls), seconds)


def main() -> None:
    """Measure and print."""
    print(f"\nA snapshot of {CONTACTS:,} contacts, {LATENCY * 1000:.0f} ms a call, in virtual time")
    by_list = reading(read_by_list, over_the_years)
    print(f"  {'by list':44} {by_list.calls:5} calls {by_list.seconds:7.1f} s", end="")
    print(f"  (wanted: {math.ceil(CONTACTS / 150)} calls)")
    for born in (over_the_years, half_in_one_import):
        cursors = CursorSnapshot(now=clock)
        cost = reading(cursors, born)
        name = f"by cursors, {born.__name__.replace('_', ' ')}"
        doubt = f"  given up: {cursors.doubt}" if cursors.doubt else f"  {by_list.seconds / cost.seconds:.1f} x as fast"
        print(f"  {name:44} {cost.calls:5} calls {cost.seconds:7.1f} s{doubt}")


if __name__ == "__main__":
    main()
