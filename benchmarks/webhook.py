"""How soon the webhook answers: 200 signed events a second on loopback, while they are being handled.

Run from the repository's root: `python -m benchmarks.webhook [SECONDS [STATE_URL]]`. Every event is of a contact of its
own, so none stands for another; handling one takes what a few calls to Intercom take. The answer is timed from when
its call was due, so that a late call is not taken for a quick one.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from reconciler.cli import terminal
from reconciler.core.model import SourceData
from reconciler.core.whom import Whom
from reconciler.errors import ReconcilerError
from reconciler.runs.state import StateDatabase
from reconciler.settings import Secret
from reconciler.web.events import Event, Handled
from reconciler.web.service import Service
from reconciler.web.signature import HEADER, sign
from tests.web.asgi import NoPlans

HERE = Path(__file__).parent
RATE = 200
SECONDS = 60
HANDLING_SECONDS = 0.4
APP, SECRET, TOKEN = "bench", Secret("bench-secret"), Secret("bench-token")


class Handler:
    """Takes its time, and finds nothing to do."""

    async def handle(self, event: Event) -> Handled:
        """Wait."""
        await asyncio.sleep(HANDLING_SECONDS)
        return Handled("nothing", event.contact)

    async def give_up(self, event: Event, *, reference: str) -> None:
        """Never asked."""
        raise AssertionError(event.id, reference)


class Nobody:
    """A union without members."""

    name = "nobody"

    def find(self, whom: Whom) -> SourceData:
        """None."""
        del whom
        return SourceData(self.name, (), ())

    def members_by_email(self, email: str) -> SourceData:
        """None."""
        del email
        return SourceData(self.name, (), ())

    members_by_number = members_by_email


def serve(state_url: str) -> None:
    """The service, in the process that is measured."""
    terminal.set_up_logging()  # to stderr: the pipe of stdout is read once

    @asynccontextmanager
    async def open_handler() -> AsyncIterator[Handler]:
        yield Handler()

    async def workspace() -> str:
        return APP

    Service(
        database=StateDatabase(state_url),
        open_handler=open_handler,
        look_up=Nobody(),
        plans=NoPlans(),
        workspace=workspace,
        secrets=(SECRET,),
        api_token=TOKEN,
    ).run(host="127.0.0.1", port=0, ready=lambda url: print(url, flush=True))


def body_of(number: int) -> bytes:
    """One message of one contact."""
    item = {"type": "conversation", "id": f"{number}", "contacts": {"contacts": [{"id": f"c{number}"}]}}
    envelope = {
        "type": "notification_event",
        "id": f"notif_{number}",
        "topic": "conversation.user.replied",
        "app_id": APP,
        "created_at": int(time.time()),
        "data": {"item": item},
    }
    return msgspec.json.encode(envelope)


async def load(url: str, seconds: float) -> list[float]:
    """Seconds from when each call was due to its answer; raises where one is refused."""
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(10)) as session:
        for _ in range(100):
            if await _get(session, f"{url}/api/ready") == 200:
                break
            await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time() + 0.5
        calls = [
            asyncio.create_task(_call(session, url, number, began + number / RATE))
            for number in range(int(RATE * seconds))
        ]
        return await asyncio.gather(*calls)


async def _get(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as answer:
        return answer.status


async def _call(session: aiohttp.ClientSession, url: str, number: int, due: float) -> float:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, due - loop.time()))
    body = body_of(number)
    headers = {HEADER: sign(body, SECRET).decode()}
    async with session.post(f"{url}/api/intercom/webhook", data=body, headers=headers) as answer:
        if answer.status != 200:
            raise ReconcilerError(f"the service answered {answer.status}")
        await answer.read()
    return loop.time() - due


def measure(state_url: str, seconds: float) -> None:
    """Serve, call, print."""
    command = [sys.executable, "-m", "benchmarks.webhook", "--serve", state_url]
    with subprocess.Popen(
        command, cwd=HERE.parent, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            if process.stdout is None:
                raise AssertionError("a pipe was asked for")
            url = process.stdout.readline().decode().strip()
            times = sorted(asyncio.run(load(url, seconds)))
        finally:
            process.terminate()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    print(f"\nwebhook: {len(times):,} events, {RATE} a second, {state_url.split(':', 1)[0]}")
    cpu = 1000 * (usage.ru_utime + usage.ru_stime) / len(times)
    print(f"  answering and handling  {cpu:8.2f} ms CPU an event, starting and stopping included")
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        wanted = "  (wanted: under 50 ms)" if name == "p99" else ""
        print(f"  {name} of the answer       {1000 * times[int(len(times) * share)]:8.1f} ms{wanted}")


def main(arguments: list[str]) -> None:
    """Measure, by default as long as the design says."""
    if arguments[:1] == ["--serve"]:
        serve(arguments[1])
        return
    seconds = float(arguments[0]) if arguments else SECONDS
    with TemporaryDirectory(prefix="reconciler-bench-") as folder:
        measure(arguments[1] if len(arguments) > 1 else f"sqlite:///{folder}/state.sqlite", seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
