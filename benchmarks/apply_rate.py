"""How much of what Intercom permits a durable apply uses: full windows of a run over real sockets, 0.2 s of latency.

Run from the repository's root: `python -m benchmarks.apply_rate`.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.durable_cost import a_plan
from benchmarks.intercom_simulator import simulator
from reconciler.runs import durable
from reconciler.runs.claims import NIGHT, Claims
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.targets.intercom import IntercomTarget

ACTIONS = 6_000
WINDOW, LIMIT, LATENCY = 10.0, 1667, 0.2
"""Seconds, calls and seconds: 10,000 calls a minute, in Intercom's own windows."""


async def _apply(number: int) -> None:
    await durable.apply_durably(a_plan(number, count=ACTIONS, workspace="simulated"))


def main() -> None:
    """Apply, and count the calls that the stand-in saw in each full window."""
    contacts = [{"id": f"c{place}", "external_id": str(place), "name": "Old"} for place in range(ACTIONS)]
    options = ("--limit", str(LIMIT), "--window", str(WINDOW), "--latency", str(LATENCY))
    with (
        TemporaryDirectory(prefix="reconciler-bench-") as folder,
        simulator(*options, contacts=contacts) as base_url,
    ):
        database = StateDatabase(f"sqlite:///{Path(folder, 'state.sqlite')}")
        job = durable.Job(
            claims=Claims(database, holder=NIGHT),
            open_writer=lambda: IntercomTarget(token="bench", base_url=base_url, owned=frozenset()),
            store=PlanStore(str(Path(folder, "plans"))),
            now=lambda: datetime.now(UTC),
            progress=lambda _stage, _done, _total: None,
            stop=lambda: None,
            max_parallel=durable.BATCH,
            process="bench",
        )
        with durable.engine(database, job):
            asyncio.run(_apply(0))
        with urllib.request.urlopen(f"{base_url}/_simulator/calls") as answer:
            calls = json.load(answer)["calls"]
    windows = Counter(int(call["time"] // WINDOW) for call in calls)
    full = sorted(windows)[1:-1]
    refused = sum(1 for call in calls if call["status"] == 429)
    share = 100 * sum(windows[one] for one in full) / (LIMIT * len(full))
    print(f"\n{ACTIONS:,} updates, {LIMIT} calls in {WINDOW:g} s permitted, {LATENCY:g} s of latency")
    print(f"  {len(full)} full windows      {share:8.1f}% of the permitted calls (wanted: 99%), {refused} refused")


if __name__ == "__main__":
    main()
