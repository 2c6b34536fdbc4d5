"""The tag flow and both message flows: a real MariaDB, the stand-in on a socket, and the handler that settings open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.errors import SourceUnreachable
from reconciler.runs.store import PlanStore
from reconciler.settings import Settings, load_settings
from reconciler.simulator import Options, RunningSimulator, Simulator
from reconciler.web.events import Event, Handler
from reconciler.web.handling import open_handler
from tests.services.worlds import Rows, write_mysql
from tests.web.handling.desk import ANNS, LEAD, TAG_ID, conversation, message, tag

ROOT = Path(__file__).parents[3]
TOKEN = "end-to-end-token"
DULL = {"status": "Active", "membertypeid": 6, "region": "NEA", "facility": "ZNY"}
MEMBERS: Rows = [
    DULL
    | {"membernumber": "1001", "firstname": "Ann", "lastname": "Lee", "phone": "(617) 555-0123"}
    | {"emails": [("old@example.org", 0), ("Ann@Example.org", 1)]},
    DULL | {"membernumber": "1002", "firstname": "Ren\u00e9e", "lastname": "Ray", "email": "ren\u00e9e@example.org"},
    DULL | {"membernumber": "1003", "firstname": "Renee", "lastname": "Roy", "email": "renee@example.org"},
    DULL
    | {"membernumber": "1004", "firstname": "Di", "lastname": "Far", "email": "d@example.org", "status": "Resigned"},
]
POSITIONS: Rows = [{"membernumber": "1001", "positioncode": "facrep"}]


def settings_of(url: str, base_url: str, folder: Path) -> Settings:
    """As the environment of the service has them."""
    return load_settings(
        {
            "INTERCOM_ACCESS_TOKEN": TOKEN,
            "INTERCOM_BASE_URL": base_url,
            "INTERCOM_CLIENT_SECRET": "s" * 32,
            "MYSQL_URL": url,
            "RECONCILER_RULES": str(ROOT / "rules"),
            "RECONCILER_PLANS": str(folder / "plans"),
        },
        dotenv=None,
    )


def session(settings: Settings, work: Callable[[Handler], Awaitable[Any]]) -> Any:
    """One life of the service's handler."""

    async def main() -> Any:
        async with open_handler(settings) as handler:
            return await work(handler)

    return asyncio.run(main())


def handle(settings: Settings, *events: Event) -> list[str]:
    """What became of the events."""

    async def work(handler: Handler) -> list[str]:
        return [(await handler.handle(event)).result for event in events]

    results: list[str] = session(settings, work)
    return results


def simulator_with(*lines: dict[str, Any]) -> Simulator:
    """A workspace that wants the token."""
    simulator = Simulator(Options(token=TOKEN))
    simulator.seed([msgspec.json.encode(line) for line in ({"_tag": {"id": TAG_ID, "name": "mynatca-sync"}}, *lines)])
    return simulator


def state_of(simulator: Simulator) -> dict[str, Any]:
    """Live contacts by id."""
    return {one["id"]: one for one in msgspec.json.decode(simulator.state_json())["live"]}


def test_both_messages(mariadb_url: str, tmp_path: Path) -> None:
    """Started and answered: found by the e-mail in any case, and by no e-mail that only looks alike."""
    write_mysql(mariadb_url, MEMBERS, POSITIONS)
    renee = ANNS | {"id": "r1", "external_id": "1003", "email": "RENEE@example.org", "name": "R", "phone": None}
    renee["custom_attributes"] = {"member_number": "1003"}
    simulator = simulator_with(ANNS | {"phone": "(617) 555-0123"}, renee)
    with RunningSimulator(simulator) as server:
        settings = settings_of(mariadb_url, server.base_url, tmp_path)
        created = msgspec.structs.replace(message("a1"), topic="conversation.user.created")
        assert handle(settings, created, message("r1"), message("a1")) == ["reconciled", "reconciled", "nothing"]
    live = state_of(simulator)
    assert live["a1"]["phone"] == "+16175550123"
    assert live["a1"]["custom_attributes"]["positions"] == "Facility President"
    assert live["r1"]["name"] == "Renee Roy"
    store = PlanStore(settings.plans)
    assert [store.get_outcome(one).summary.done for one in store.list_ids()] == [1, 1]
    assert not list(Path(settings.plans).glob("*.html")), "an event's plan is applied before anybody could read a page"


def test_the_whole_tag_flow(mariadb_url: str, tmp_path: Path) -> None:
    """An agent tags too early and reads why not, fills in the number, tags again: the lead is the member."""
    write_mysql(mariadb_url, MEMBERS, POSITIONS)
    simulator = simulator_with(LEAD, conversation("l1"), conversation("l1", number="1004", conversation_id="52"))
    simulator.seed([b'{"_conversation_attribute": {"name": "member_number_verification"}}'])
    with RunningSimulator(simulator) as server:
        settings = settings_of(mariadb_url, server.base_url, tmp_path)
        assert handle(settings, tag(), tag(conversation_id="52")) == ["refused", "refused"]
        world = simulator.world
        early = world.conversations["51"]
        assert "no verified member number" in early.parts[0].body
        assert "neither active nor retired" in world.conversations["52"].parts[0].body
        world.put_conversation(msgspec.structs.replace(early, custom_attributes={"member_number_verification": "1001"}))
        assert handle(settings, tag(), tag()) == ["reconciled", "nothing"]
    lead = state_of(simulator)["l1"]
    assert (lead["role"], lead["external_id"], lead["email"]) == ("user", "1001", "Ann@Example.org")
    assert lead["custom_attributes"]["positions"] == "Facility President"
    assert simulator.world.conversations["51"].tags == ()
    assert len(simulator.world.conversations["52"].tags) == 1


def test_a_database_that_is_down(tmp_path: Path) -> None:
    """The event is tried again later; the last word is a note with the reference."""
    simulator = simulator_with(LEAD, conversation("l1", number="1001"))
    with RunningSimulator(simulator) as server:
        settings = settings_of("mysql://u:p@127.0.0.1:1/none", server.base_url, tmp_path)
        with pytest.raises(SourceUnreachable):
            handle(settings, tag())
        session(settings, lambda handler: handler.give_up(tag(), reference="REF-12"))
    assert "REF-12" in simulator.world.conversations["51"].parts[0].body
