"""The service as a process of its own, over a handler that writes down what it is told to do; and its caller.

Run as `python -m tests.web.served ORDER`, where ORDER is an `Order` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import msgspec

from reconciler.cli import terminal
from reconciler.errors import Paused, ReconcilerError
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase
from reconciler.web.events import Event, Handled
from reconciler.web.service import Service
from tests.support.silence import overheard
from tests.web.asgi import Members, NoPlans
from tests.web.world import API_TOKEN, APP, SECRET, WEBHOOK, signed, until

ROOT = Path(__file__).parents[2]
Line: TypeAlias = dict[str, Any]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is to run. journal: the file of what its handler was told. seconds: what handling takes."""

    state_url: str
    journal: str
    seconds: float = 0.0
    delays: tuple[float, ...] = (0.01, 0.01, 0.01, 0.01)
    max_waiting: int = 20_000
    at_once: int = 16
    read_seconds: float = 1.0


# In the process of the service


@dataclass
class Journal:
    """A Handler that writes a line at each begin and each end, so that a killed process leaves what it knew.

    The contact says how it goes: `poison…` always fails, `crash…` fails with an error of somebody else, `flaky…` fails
    three times, `silent…` fails in its last word too. Others are handled. Nothing is while writing is paused.
    """

    path: Path
    seconds: float
    pause: PauseSwitch
    tries: dict[str, int] = field(default_factory=dict)

    async def handle(self, event: Event) -> Handled:
        """Write down that it began and that it ended."""
        if await asyncio.to_thread(self.pause.reason) is not None:
            raise Paused("writing is paused")
        self.write("begin", event)
        await asyncio.sleep(self.seconds)
        tries = self.tries[event.id] = self.tries.get(event.id, 0) + 1
        if event.contact.startswith(("poison", "silent")) or (event.contact.startswith("flaky") and tries <= 3):
            raise ReconcilerError("Intercom does not answer")
        if event.contact.startswith("crash"):
            raise KeyError("Ann Canary <ann@example.org>")
        self.write("end", event)
        return Handled("nothing", "the contact is as it should be")

    async def give_up(self, event: Event, *, reference: str) -> None:
        """Write it down."""
        if event.contact.startswith("silent"):
            raise ReconcilerError("Intercom still does not answer")
        self.write("give up", event, reference=reference)

    def write(self, did: str, event: Event, **more: Any) -> None:
        """One line, in one piece."""
        line = {"did": did, "id": event.id, "contact": event.contact, "at": time.time(), **more}
        with self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")


def main(order: Order) -> int:
    """Serve until a signal."""
    terminal.set_up_logging()
    database = StateDatabase(order.state_url)

    @asynccontextmanager
    async def open_handler() -> AsyncIterator[Journal]:
        yield Journal(Path(order.journal), order.seconds, PauseSwitch(database))

    async def workspace() -> str:
        return APP

    service = Service(
        database=database,
        open_handler=open_handler,
        look_up=Members(),
        plans=NoPlans(),
        workspace=workspace,
        secrets=(SECRET,),
        api_token=API_TOKEN,
        delays=order.delays,
        max_waiting=order.max_waiting,
        at_once=order.at_once,
        read_seconds=order.read_seconds,
    )
    return service.run(host="127.0.0.1", port=0, ready=_say_where)


def _say_where(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


# In the process of the tests


@dataclass
class Served:
    """A running service. url: where it is. journal: what its handler was told, and the handlers before it."""

    process: subprocess.Popen[bytes]
    url: str
    journal_file: Path
    log_file: Path

    def post(self, body: bytes, client: httpx.Client | None = None) -> int:
        """One signed call of the webhook; the status of the answer."""
        call = client.post if client is not None else httpx.post
        return call(self.url + WEBHOOK, content=body, headers=signed(body), timeout=10).status_code

    def journal(self) -> list[Line]:
        """Every whole line so far."""
        text = self.journal_file.read_bytes() if self.journal_file.exists() else b""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def did(self, what: str) -> list[str]:
        """The ids of the events of which this is written, in order."""
        return [line["id"] for line in self.journal() if line["did"] == what]

    def metric(self, name: str) -> float:
        """One series."""
        headers = {"Authorization": f"Bearer {API_TOKEN.reveal()}"}
        text = overheard(httpx.get(self.url + "/metrics", headers=headers, timeout=10).text)
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        return float(lines[f"reconciler_{name}"])

    def wait_ready(self) -> None:
        """Until it knows whose workspace it serves."""
        until(lambda: httpx.get(f"{self.url}/api/ready", timeout=10).status_code == 200)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End it; returns the exit code."""
        self.process.send_signal(by)
        return self.process.wait(30)


@contextmanager
def served(order: Order, *, log: Path) -> Iterator[Served]:
    """A service, while the block lasts; one that the block has not ended is killed."""
    command = [sys.executable, "-m", "tests.web.served", msgspec.json.encode(order).decode()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    with (
        log.open("ab") as says,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=says) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().strip()
            assert url, log.read_text()
            one = Served(process, url, Path(order.journal), log)
            one.wait_ready()
            yield one
        finally:
            process.kill()
            overheard(log.read_text())


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1].encode(), type=Order)))
