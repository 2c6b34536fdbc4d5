"""A desk to call Intercom's stand-in from, in-process and without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from reconciler.simulator import Options, Simulator, build_app

START = 1_700_000_000.0
"""2023-11-14 22:13:20 UTC."""


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        """The time."""
        return self.now


class Desk:
    """A simulator and a client of it. slept: every wait it asked for, in seconds, none of them real."""

    def __init__(self, runner: asyncio.Runner, options: Options, lines: list[dict[str, Any]]) -> None:
        self.clock = Clock()
        self.slept: list[float] = []

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        self.simulator = Simulator(
            options, clock=self.clock, sleep=sleep, reset_error=httpx.ReadError, timeout_error=httpx.ReadTimeout
        )
        self.simulator.seed([msgspec.json.encode(line) for line in lines])
        self._runner = runner
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=build_app(self.simulator)),
            base_url="http://intercom.test",
            headers={"Intercom-Version": "2.16"},
        )

    def call(self, method: str, path: str, body: object = None, **more: Any) -> httpx.Response:
        """One call; `body` is sent as JSON."""
        if body is not None:
            more["content"] = msgspec.json.encode(body)
        return self._runner.run(self._client.request(method, path, **more))

    def ok(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of a call that must succeed."""
        answer = self.call(method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, method: str, path: str, body: object = None) -> tuple[int, str, str]:
        """Status, code and message of a call that must not succeed."""
        answer = self.call(method, path, body)
        assert answer.status_code != 200, answer.text
        error = answer.json()
        assert error["type"] == "error.list"
        return answer.status_code, error["errors"][0]["code"], error["errors"][0]["message"]

    def create(self, **fields: Any) -> str:
        """The id of a new contact."""
        return str(self.ok("POST", "/contacts", fields)["id"])

    def found(self, query: object, **more: Any) -> list[str]:
        """The ids a contact search finds on its first page."""
        body = {"query": query, "pagination": {"per_page": 150}, **more}
        return [one["id"] for one in self.ok("POST", "/contacts/search", body)["data"]]


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all desks."""
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="session")
def open_desk(runner: asyncio.Runner) -> Callable[..., Desk]:
    """Makes desks: `open_desk(seed line, ..., limit=5)`, where keywords are those of Options."""

    def make(*lines: dict[str, Any], **options: Any) -> Desk:
        return Desk(runner, Options(**options), list(lines))

    return make


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    """An empty workspace with everything at its default."""
    return open_desk()
