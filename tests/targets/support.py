"""What the tests of Intercom's target share: a loop whose time costs nothing, and an Intercom of hand-made answers."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import msgspec

from reconciler.simulator import Simulator, build_app
from reconciler.targets.intercom import IntercomClient, IntercomTarget, Patience

T = TypeVar("T")

START = 1_800_000_003.0
"""Unix seconds at which every test begins: not at the start of a window."""

TOKEN = "canary-token-5e1f"
BASE_URL = "https://api.intercom.test"

CANARIES = (TOKEN, "jane.canary@example.org", "+17654657031", "(765) 465-7031", "Jane Canary")
"""A token, an e-mail, phones and a name that no text of ours may ever hold."""


class _Jump(selectors.DefaultSelector):
    """Where the loop would wait for time to pass, time passes at once."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Jump to the next timer. A loop that would wait for ever is a deadlock, as nothing here comes from outside."""
        if timeout is None:
            raise AssertionError("deadlock: everything waits, and no timer is set")
        self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which `asyncio.sleep` and `asyncio.timeout` take no time."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self.now


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def clock() -> float:
    """Unix seconds in virtual time."""
    return START + asyncio.get_running_loop().time()


def answer(status: int = 200, body: object = None, **headers: str) -> httpx.Response:
    """An answer as Intercom gives it; header names with underscores for dashes."""
    named = {"content-type": "application/json; charset=utf-8", "intercom-version": "2.16"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, content=msgspec.json.encode(body))


def refusal(status: int, code: str, message: str | None = None, **headers: str) -> httpx.Response:
    """An `error.list` of one entry."""
    entry = {"code": code, "message": message}
    return answer(status, {"type": "error.list", "request_id": "req-1", "errors": [entry]}, **headers)


def html(status: int = 200) -> httpx.Response:
    """What a proxy in between answers."""
    return httpx.Response(status, headers={"content-type": "text/html"}, content=b"<html>proxy</html>")


def contact(contact_id: str = "c1", **fields: Any) -> dict[str, Any]:
    """A contact's body with dull defaults."""
    body = {
        "type": "contact",
        "id": contact_id,
        "role": "user",
        "external_id": "12345",
        "email": "jane.canary@example.org",
        "phone": None,
        "name": "Jane Canary",
        "owner_id": None,
        "custom_attributes": {"region": "Eastern"},
        "created_at": 1_700_000_000,
        "updated_at": 1_700_000_001,
        "last_seen_at": None,
        "tags": {"type": "list", "data": []},
    }
    return body | fields


Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@dataclass
class Intercom:
    """Answers in the order given, the last one for ever, and remembers what it was asked."""

    replies: list[Reply]
    requests: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """One call."""
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return (
            reply(request)
            if callable(reply)
            else httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
        )

    @property
    def asked(self) -> list[str]:
        """Method and raw path of each call."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def bodies(self) -> list[Any]:
        """The JSON of each call that had any."""
        return [msgspec.json.decode(request.content) for request in self.requests if request.content]


def client_of(intercom: Callable[[httpx.Request], Any] | httpx.AsyncBaseTransport, **options: Any) -> IntercomClient:
    """A client of it, in virtual time."""
    transport = intercom if isinstance(intercom, httpx.AsyncBaseTransport) else httpx.MockTransport(intercom)
    defaults: dict[str, Any] = {
        "token": TOKEN,
        "base_url": BASE_URL,
        "transport": transport,
        "clock": clock,
        "random": lambda: 0.5,
        "patience": Patience(attempts=3),
    }
    return IntercomClient(**(defaults | options))


def texts_of(error: BaseException) -> str:
    """Everything of ours that an error could put into a log: itself, its notes, and the errors of ours below it."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        parts += [str(current), repr(current), *getattr(current, "__notes__", ())]
        current = current.__cause__
    return "\n".join(parts)


def target_over(simulator: Simulator, *, owned: frozenset[str] = frozenset(), **options: Any) -> IntercomTarget:
    """The target over a stand-in, in this process and in virtual time."""
    return IntercomTarget(
        token=TOKEN,
        base_url="http://intercom.test",
        owned=owned,
        transport=httpx.ASGITransport(app=build_app(simulator)),
        clock=clock,
        random=lambda: 0.5,
        **options,
    )
