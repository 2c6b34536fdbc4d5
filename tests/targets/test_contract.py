"""Client and stand-in against Intercom's published descriptions: every body that one sends and the other answers.

One scenario goes through every method of the client, and through every refusal that it is told apart by.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from reconciler.errors import Refused
from reconciler.simulator import Options, Simulator, build_app
from reconciler.simulator.world import ADMIN
from reconciler.targets.intercom import IntercomClient
from reconciler.targets.intercom.cursors import start_ranges
from reconciler.targets.intercom.snapshot import count_open_conversations
from tests.support.openapi import description_of
from tests.targets.support import START, TOKEN, client_of, clock, run

SEED: list[dict[str, Any]] = [
    {"id": "a1", "external_id": "1", "email": "ann@example.org", "_open_conversations": 1},
    {"id": "a2", "external_id": "2", "email": "bob@example.org", "phone": "+15550001111", "_archived": True},
    {"id": "a3", "external_id": "3", "_blocked": True},
    {"id": "a4", "external_id": "4", "_merged_into": "a1"},
    {"id": "l1", "role": "lead", "email": "ann@example.org"},
    {"id": "d1", "external_id": "9"},
    {"_tag": {"id": "7", "name": "mynatca-sync"}},
    {"_conversation": {"id": "51", "contacts": ["a1"], "tags": [{"id": "7"}]}},
]
UNDECLARED_OPERATION = "/contacts/a3/unblock"
"""In no description; the client tries it for what it is worth."""
UNDECLARED_PARAMETERS = {"per_page", "starting_after"}
"""Of ListContacts; they work (pull request 639 of the description's repository)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call and its answer."""

    method: str
    path: str
    parameters: frozenset[str]
    version: str
    sent: bytes
    status: int
    answer: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class Recording(httpx.AsyncBaseTransport):
    """Passes calls on, and keeps them."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.kept: list[Exchange] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One call."""
        answer = await self._inner.handle_async_request(request)
        body = await answer.aread()
        self.kept.append(
            Exchange(
                request.method,
                request.url.path,
                frozenset(request.url.params),
                request.headers["intercom-version"],
                request.content,
                answer.status_code,
                body,
            )
        )
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


async def scenario(client: IntercomClient) -> None:
    """Everything that the client can ask and do, and be refused."""
    everything = {
        "role": "user",
        "external_id": "7",
        "email": "eve@example.org",
        "name": "Eve",
        "phone": "+15550002222",
        "custom_attributes.region": "NEA",
        "custom_attributes.positions": None,
    }
    await client.me()
    await client.list_contacts()
    for days in start_ranges(date(2027, 1, 15)):
        await client.search_contacts(days.query(ZoneInfo("America/New_York")))
    await client.search_conversations({"field": "contact_ids", "operator": "=", "value": "a1"})
    await count_open_conversations(client, ["a1", "a2"], lambda *_: None)
    await client.data_attributes()
    await client.find_by_external_id("1")
    created = await client.create(everything)
    await client.update(created.id, {"custom_attributes.region": None, "name": None, "phone": None})
    await client.update("l1", {"name": "Ann"})
    await client.merge(lead="l1", into="a1")
    await client.archive(created.id)
    await client.unarchive(created.id)
    await client.create_data_attribute("shoe_size")
    job = await client.bulk_update({"a1": {"name": "Ann", "custom_attributes.region": "NWP"}, "nobody": {"name": "x"}})
    await client.bulk_job(job.id)
    await client.block(created.id)
    await client.delete("d1")
    await client.conversation("51")
    await client.note("51", "<p>Look here.</p>", admin=ADMIN.id)
    await client.untag_conversation("51", "7", admin=ADMIN.id)
    for refused in (
        client.get("nobody"),
        client.get("l1"),
        client.find_by_external_id("4"),
        client.create({"external_id": "1"}),
        client.create({"external_id": "2"}),
        client.create({"external_id": "3"}),
        client.create({"external_id": "8", "custom_attributes.unknown": "x"}),
        client.update("a1", {"role": "lead"}),
        client.update("a1", {"external_id": "2"}),
        client.update("nobody", {"name": "x"}),
        client.merge(lead="a1", into="a1"),
        client.merge(lead="nobody", into="a1"),
        client.archive("nobody"),
        client.unarchive("a3"),
        client.unarchive("a4"),
        client.unarchive("d1"),
        client.unblock("a3"),
        client.block("nobody"),
        client.delete("nobody"),
        client.create_data_attribute("shoe_size"),
        client.list_contacts("no cursor"),
        client.search_contacts({"field": "nonsense", "operator": "=", "value": "x"}),
        client.conversation("99"),
        client.note("99", "x", admin=ADMIN.id),
        client.untag_conversation("51", "7", admin=ADMIN.id),
        client.bulk_update({}),
        client.bulk_job("job_v2_9"),
    ):
        with suppress(Refused):
            await refused


@cache
def recorded() -> tuple[Exchange, ...]:
    """The scenario, once."""
    simulator = Simulator(Options(token=TOKEN), clock=lambda: START)
    simulator.seed([msgspec.json.encode(line) for line in SEED])
    simulator.clock = clock
    recording = Recording(httpx.ASGITransport(app=build_app(simulator)))

    async def main() -> None:
        async with client_of(recording) as client:
            await scenario(client)

    run(main)
    return tuple(recording.kept)


def described() -> list[Exchange]:
    """What the descriptions know."""
    return [one for one in recorded() if one.path != UNDECLARED_OPERATION]


def test_the_scenario_misses_no_method_of_the_client() -> None:
    """A method that is added is added here, too: each makes its own kind of call."""
    methods = {
        name
        for name, _ in inspect.getmembers(IntercomClient, inspect.iscoroutinefunction)
        if not name.startswith("_") and name != "aclose"
    }
    source = inspect.getsource(scenario)
    assert not [name for name in methods if f"client.{name}(" not in source]
    assert len({(one.method, one.version, _operation(one)) for one in described()}) == len(methods - {"unblock"})


def _operation(one: Exchange) -> str:
    return description_of(one.version).operation(one.method, one.path).id


@pytest.mark.parametrize("place", range(len(recorded())), ids=[str(one) for one in recorded()])
def test_what_is_sent_and_what_is_answered_is_as_described(place: int) -> None:
    """Every body, by the schema of its own operation in its own version; and a refusal is an `error` everywhere."""
    one = recorded()[place]
    if one.path == UNDECLARED_OPERATION:
        assert one.status == 404
        return
    operation = description_of(one.version).operation(one.method, one.path)
    if one.sent:
        assert operation.takes_a_body, f"{operation.id} takes no body"
        operation.check_request(msgspec.json.decode(one.sent))
    operation.check_answer(one.status, msgspec.json.decode(one.answer))


def test_the_version_that_is_asked_for_is_described() -> None:
    """And Preview is asked for nothing but what only the Preview has."""
    for one in described():
        versions = description_of(one.version).document["components"]["schemas"]["intercom_version"]["enum"]
        assert one.version in versions
        assert (one.version == "Preview") == one.path.startswith("/contacts/bulk")


def test_the_parameters_of_the_url_are_described() -> None:
    """But for the two that everybody uses."""
    for one in described():
        operation = description_of(one.version).operation(one.method, one.path)
        assert one.parameters <= operation.parameters | UNDECLARED_PARAMETERS, str(one)


def test_every_kind_of_refusal_was_met() -> None:
    """The scenario goes wrong in all the ways that the client tells apart."""
    assert {one.status for one in recorded()} >= {200, 202, 400, 404, 409, 410}
