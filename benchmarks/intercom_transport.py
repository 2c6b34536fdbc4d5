"""The connection: calls per second, and CPU per call, of httpx' own transport, of ours, and of our whole client.

Run from the repository's root: `python -m benchmarks.intercom_transport`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx

from benchmarks.intercom_simulator import simulator
from reconciler.targets.intercom import IntercomClient
from reconciler.targets.intercom.transport import open_transport

IN_FLIGHT = (32, 64)
LATENCY = 0.05
CALLS_PER_PLACE = 40
"""Calls that each of those in flight makes, one after the other."""

HEADERS = {"Authorization": "Bearer bench", "Intercom-Version": "2.16", "Accept-Encoding": "identity"}

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Speed:
    """rate: calls per second. cpu: seconds of this process per call."""

    rate: float
    cpu: float


async def measure(call: Call, in_flight: int) -> Speed:
    """So many callers side by side, once their connections are open."""
    await asyncio.gather(*(call() for _ in range(in_flight)))

    async def caller() -> None:
        for _ in range(CALLS_PER_PLACE):
            await call()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = in_flight * CALLS_PER_PLACE
    return Speed(rate=count / wall, cpu=cpu / count)


async def bare(transport: httpx.AsyncBaseTransport, url: str, in_flight: int) -> Speed:
    """An httpx client with nothing of ours but the transport."""
    async with httpx.AsyncClient(transport=transport, headers=HEADERS, trust_env=False) as client:

        async def call() -> None:
            while True:  # a server may hang up on a connection that waited; our own client retries that by itself
                with suppress(httpx.ReadError, httpx.RemoteProtocolError):
                    (await client.get(f"{url}/contacts/c1")).raise_for_status()
                    return

        return await measure(call, in_flight)


async def whole(url: str, in_flight: int) -> Speed:
    """Our client: pace, retries, errors, decoding."""
    async with IntercomClient(token="bench", base_url=url, max_in_flight=in_flight) as client:
        return await measure(lambda: client.get("c1"), in_flight)


def show(name: str, in_flight: int, speed: Speed, wanted: str = "") -> None:
    """One line."""
    print(f"  {name:22} {in_flight:3} in flight {speed.rate:8.0f} calls/s {speed.cpu * 1000:7.2f} ms CPU/call{wanted}")


def main() -> None:
    """Measure and print."""
    print(f"\nIntercom, {LATENCY * 1000:.0f} ms away: GET /contacts/{{id}}")
    with simulator("--latency", str(LATENCY), "--limit", "1000000") as url:
        for in_flight in IN_FLIGHT:
            limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
            httpx_own = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
            show("httpx' own transport", in_flight, asyncio.run(bare(httpx_own, url, in_flight)))
            ours = open_transport(max_connections=in_flight)
            show("our transport", in_flight, asyncio.run(bare(ours, url, in_flight)))
            show("the whole client", in_flight, asyncio.run(whole(url, in_flight)), "  (wanted: at most 1 ms)")


if __name__ == "__main__":
    main()
