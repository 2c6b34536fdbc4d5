"""The app called as a server calls it, without a server; and the two things behind it, which keep what they hear."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from reconciler.core.model import Member, SourceData
from reconciler.core.plan import Plan
from reconciler.core.whom import Whom
from reconciler.errors import PlanError, ReconcilerError
from reconciler.settings import Secret
from reconciler.web.app import Accepted, Web, build_app
from reconciler.web.events import Event
from reconciler.web.metrics import Metrics
from tests.web.world import API_TOKEN, APP, SECRET, WEBHOOK, signed

Headers = Sequence[tuple[bytes, bytes]]


@dataclass
class Box:
    """An inbox that keeps what it is given."""

    becomes: Accepted | ReconcilerError = "queued"
    events: list[Event] = field(default_factory=list)
    counted: int = 0
    count_fails: ReconcilerError | None = None

    async def accept(self, event: Event) -> Accepted:
        """As it was told to."""
        if isinstance(self.becomes, ReconcilerError):
            raise self.becomes
        self.events.append(event)
        return self.becomes

    async def count(self) -> None:
        """Count how often it was asked to."""
        self.counted += 1
        if self.count_fails is not None:
            raise self.count_fails


@dataclass
class Members:
    """A LookUp over a tuple of members."""

    members: tuple[Member, ...] = ()
    fails: Exception | None = None
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)

    name = "test"

    def find(self, whom: Whom) -> SourceData:
        """The service asks for e-mails alone."""
        raise AssertionError(whom)

    def members_by_number(self, number: str) -> SourceData:
        """As `find`."""
        raise AssertionError(number)

    def members_by_email(self, email: str) -> SourceData:
        """Those with this very e-mail."""
        self.asked.append(email)
        time.sleep(self.seconds)
        if self.fails is not None:
            raise self.fails
        found = tuple(member for member in self.members if (member.email or "").lower() == email.lower())
        return SourceData(self.name, found, ())


class NoPlans:
    """A store of plans without any."""

    def get_plan(self, ref: str) -> Plan:
        """There is none."""
        raise PlanError(f"there is no plan {ref}")

    def list_ids(self) -> list[str]:
        """None."""
        return []


@dataclass(frozen=True)
class Answer:
    """What the app answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass
class Face:
    """The app, and what is behind it."""

    box: Box = field(default_factory=Box)
    members: Members = field(default_factory=Members)
    metrics: Metrics = field(default_factory=Metrics)
    our_app: str | None = APP
    secrets: tuple[Secret, ...] = (SECRET,)
    api_token: Secret | None = API_TOKEN
    checks: dict[str, Callable[[], Awaitable[str | None]]] = field(default_factory=dict)
    paused: bool | ReconcilerError = False
    read_seconds: float = 0.2

    def __post_init__(self) -> None:
        """The app is made once: it may not depend on what came before."""
        self.app = build_app(
            Web(
                secrets=self.secrets,
                api_token=self.api_token,
                inbox=self.box,
                look_up=self.members,
                plans=NoPlans(),
                our_app=lambda: self.our_app,
                checks=self.checks,
                is_paused=self._is_paused,
                metrics=self.metrics,
                now=time.time,
                read_seconds=self.read_seconds,
            )
        )

    async def _is_paused(self) -> bool:
        if isinstance(self.paused, ReconcilerError):
            raise self.paused
        return self.paused

    def call(self, method: str, path: str, *, headers: Headers = (), body: bytes = b"") -> Answer:
        """One call, with its body in one piece."""
        return asyncio.run(call(self.app, method, path, headers=headers, chunks=[body]))

    def post(self, body: bytes, **headers: str) -> Answer:
        """A call of the webhook, signed unless other headers are named."""
        named = {name.replace("_", "-"): value for name, value in headers.items()} or signed(body)
        return self.call("POST", WEBHOOK, headers=raw(named), body=body)

    def counted(self, name: str) -> float:
        """One of the counts, by its name with labels."""
        lines = dict(line.rsplit(" ", 1) for line in self.metrics.text().decode().splitlines() if line[0] != "#")
        return float(lines[f"reconciler_{name}"])


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as a server hands them on."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def call(app: ASGIApp, method: str, path: str, *, headers: Headers, chunks: Sequence[bytes | None]) -> Answer:
    """One call; path: with its query. chunks: of the body; None is a client that goes silent for ever."""
    path, _, query = path.partition("?")
    sent: list[Message] = []
    left = list(chunks)

    async def receive() -> Message:
        if not left:
            return {"type": "http.disconnect"}
        chunk = left.pop(0)
        if chunk is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    start = sent[0]
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )
