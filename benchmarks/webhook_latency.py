"""From an event to the contact while a night is being applied: `reconcile apply` in a process of its own, 0.2 s of
latency, one window for both.

Run from the repository's root: `python -m benchmarks.webhook_latency [SECONDS]` (20 unless said otherwise).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from benchmarks import measure, union
from benchmarks.intercom_simulator import simulator
from reconciler.settings import load_settings
from reconciler.web.events import Event, Handled, Handler
from reconciler.web.handling import open_handler

HERE = Path(__file__).parent
RECONCILE = str(Path(sys.executable).with_name("reconcile"))
WINDOW, LIMIT, LATENCY = 10.0, 1667, 0.2
EVENTS_A_SECOND = 2
WANTED = 2.0
"""Seconds, at the 95th percentile."""


def drifted(size: int) -> list[dict[str, str]]:
    """Each member's contact, under an old name: all of them are written."""
    contacts = []
    for place in range(size):
        number, _, _, email, *_ = union.member(place)
        contacts.append({"id": f"c{place}", "external_id": str(number), "email": str(email), "name": "Old Name"})
    return contacts


def event(place: int) -> Event:
    """Somebody wrote."""
    return Event(
        id=f"notif-{place}",
        topic="conversation.user.replied",
        created_at=int(time.time()),
        contact=f"c{place}",
        conversation="1",
    )


async def serve(handler: Handler, places: list[int]) -> list[tuple[float, Handled]]:
    """One event after the other, each on time whatever became of those before. Seconds from each to its end."""

    async def one(number: int, place: int) -> tuple[float, Handled]:
        await asyncio.sleep(number / EVENTS_A_SECOND)
        began = time.monotonic()
        handled = await handler.handle(event(place))
        return time.monotonic() - began, handled

    return await asyncio.gather(*(one(number, place) for number, place in enumerate(places)))


@contextmanager
def night(env: dict[str, str], size: int) -> Iterator[None]:
    """A plan of everything being applied, from when it writes to the end of the block."""
    command = [RECONCILE, "apply", "--auto-approve", "--no-canary", "--accept", f"update={size}", "--reason", "bench"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _writes(env["INTERCOM_BASE_URL"]):
            if process.poll() is not None:
                raise RuntimeError(f"reconcile apply left with {process.returncode} before it wrote anything")
            time.sleep(0.2)
        yield
        at_work = process.poll() is None
        print(f"  the night              {'was at work all the time' if at_work else 'HAD ENDED: too few members'}")
    finally:
        process.terminate()
        process.wait()


def _calls(base_url: str) -> list[dict[str, object]]:
    with urllib.request.urlopen(f"{base_url}/_simulator/calls") as answer:
        calls: list[dict[str, object]] = json.load(answer)["calls"]
    return calls


def _writes(base_url: str) -> int:
    return sum(1 for call in _calls(base_url) if call["method"] == "PUT")


def main() -> None:
    """Measure and print."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    size = (seconds + 10) * 200
    options = ("--limit", str(LIMIT), "--window", str(WINDOW), "--latency", str(LATENCY))
    with TemporaryDirectory(prefix="reconciler-bench-") as folder, simulator(*options, contacts=drifted(size)) as url:
        union.write_database(Path(folder, "union.db"), size)
        env = measure.environment(
            INTERCOM_ACCESS_TOKEN="bench",
            INTERCOM_BASE_URL=url,
            INTERCOM_CLIENT_SECRET="bench",
            RECONCILER_SOURCE=f"sqlite:///{folder}/union.db",
            RECONCILER_RULES=str(HERE.parent / "rules"),
            RECONCILER_PLANS=str(Path(folder, "plans")),
        )
        # The last members of the plan: the night does not come to them in time.
        active = [place for place in range(size) if place % 10]
        places = active[: -seconds * EVENTS_A_SECOND - 1 : -1]
        print(
            f"\n{len(places)} events, {EVENTS_A_SECOND} a second; {LIMIT} calls in {WINDOW:g} s, latency {LATENCY:g} s"
        )
        with night(env, size):
            done = asyncio.run(_serve(env, places))
        calls = _calls(url)
    waits = sorted(wait for wait, _ in done)
    refused = Counter(int(float(str(call["time"])) // WINDOW) for call in calls if call["status"] == 429)
    results = Counter(handled.result for _, handled in done)
    p95 = quantiles(waits, n=20)[-1]
    print(f"  median                 {waits[len(waits) // 2]:8.2f} s")
    print(f"  95th percentile        {p95:8.2f} s (wanted: under {WANTED:g})")
    print(f"  longest                {waits[-1]:8.2f} s")
    print(f"  429 in one window      {max(refused.values(), default=0):8} at most (wanted: 2)")
    print(f"  what became of them    {dict(results)}")


async def _serve(env: dict[str, str], places: list[int]) -> list[tuple[float, Handled]]:
    async with open_handler(load_settings(env, dotenv=None)) as handler:
        return await serve(handler, places)


if __name__ == "__main__":
    main()
