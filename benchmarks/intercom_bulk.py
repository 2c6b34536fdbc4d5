"""Updates in bulk through the Preview API, and one by one: calls, and the seconds that limit and latency make of them.

In virtual time, client and stand-in in one process. All contacts are read back by list, as nothing is verified by
search: what is wanted for bulk holds only where nearly all contacts change. Run from the repository's root:
`python -m benchmarks.intercom_bulk`.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import dataclass

import httpx

from reconciler.core.actions import Action
from reconciler.simulator import Options, Simulator, build_app
from reconciler.targets.intercom import IntercomTarget
from tests.targets.support import clock, run

CONTACTS = 20_000
CHANGED = (20_000, 2_000, 100)
LATENCY = 0.2


@dataclass(frozen=True, slots=True)
class Cost:
    """What one apply took. seconds: by the clock of the stand-in."""

    calls: int
    seconds: float


def update(place: int) -> Action:
    """One contact gets another region."""
    return Action(id=f"u{place}", do="update", contact=f"c{place}", set={"custom_attributes.region": "NWP"})


def apply(changed: int, *, in_bulk: bool) -> Cost:
    """Update so many of CONTACTS contacts."""
    stand_in = Simulator(Options(limit=1667, latency=(LATENCY, 0.0)), clock=time.time)
    stand_in.seed(json.dumps({"id": f"c{place}", "external_id": str(place)}) for place in range(CONTACTS))
    stand_in.clock = stand_in.world.clock = clock
    actions = [update(place * (CONTACTS // changed)) for place in range(changed)]

    async def main() -> float:
        transport = httpx.ASGITransport(app=build_app(stand_in))
        async with IntercomTarget(
            token="bench", base_url="http://bench", owned=frozenset({"region"}), transport=transport, clock=clock
        ) as target:
            begun = asyncio.get_running_loop().time()
            if in_bulk:
                outcomes = list(await target.execute_bulk(actions, reread=False, contacts=CONTACTS))
            else:
                outcomes = await asyncio.gather(*(target.execute(action, reread=False) for action in actions))
            if {outcome.outcome for outcome in outcomes} != {"done"}:
                raise AssertionError("not every update was done")
            return asyncio.get_running_loop().time() - begun

    seconds = run(main)
    return Cost(len(stand_in.calls), seconds)


def main() -> None:
    """Measure and print."""
    print(f"\nUpdates in a workspace of {CONTACTS:,} contacts, {LATENCY * 1000:.0f} ms a call, in virtual time")
    for changed in CHANGED:
        single, bulk = (apply(changed, in_bulk=in_bulk) for in_bulk in (False, True))
        wanted = math.ceil(changed / 100) + math.ceil(changed / 150) + 10
        name = f"{changed:6,} changed"
        print(f"  {name + ', one by one':44} {single.calls:6} calls {single.seconds:7.1f} s  (wanted: {changed})")
        print(f"  {name + ', in bulk':44} {bulk.calls:6} calls {bulk.seconds:7.1f} s  (wanted: {wanted})")


if __name__ == "__main__":
    main()
