"""A support team's desk: a workspace with conversations, a union to look people up in, and the handler between them.

No socket and no waiting: ASGI in-process, and a clock that only moves when somebody would sleep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from reconciler.core.model import Member, SourceData
from reconciler.core.rules import Rules
from reconciler.from_settings import owned_attributes
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.simulator import LoggedCall, Options, Simulator, build_app
from reconciler.sources import LookUp
from reconciler.targets.intercom import IntercomTarget, Patience
from reconciler.web.events import TAG_TOPIC, Event
from reconciler.web.handling import ContactHandler
from tests.properties.night import Clock
from tests.properties.strategies import START
from tests.support.asked import Asked
from tests.support.builders import default_rules, make_member

T = TypeVar("T")

ANN = make_member("1001", first_name="Ann", last_name="Lee", email="ann@example.org", phone="(617) 555-0123")
BOB = make_member("1002", first_name="Bob", last_name="Ray", email="bob@example.org")
CY = make_member("1003", first_name="Cy", last_name="Far", email="cy@example.org", status="Resigned")
MEMBERS = (ANN, BOB, CY)

ANNS: dict[str, Any] = {
    "id": "a1",
    "role": "user",
    "external_id": "1001",
    "email": "ann@example.org",
    "name": "Ann Lee",
    "phone": "+16175550123",
    "custom_attributes": {
        "member_number": "1001",
        "region": "NEA",
        "facility": "ZNY",
        "member_type": "Current Member",
    },
    "created_at": START - 1000,
}
BOBS = ANNS | {
    "id": "b1",
    "external_id": "1002",
    "email": "bob@example.org",
    "name": "Bob Ray",
    "phone": None,
    "custom_attributes": ANNS["custom_attributes"] | {"member_number": "1002"},
}
LEAD: dict[str, Any] = {"id": "l1", "role": "lead", "email": "lost@example.net", "created_at": START - 500}
TAG_ID = "7"


def conversation(
    contact: str | list[str], *, number: object = None, tagged: bool = True, conversation_id: str = "51"
) -> dict[str, Any]:
    """A seed line: a conversation of a contact (or several), with the verified number and the tag."""
    return {
        "_conversation": {
            "id": conversation_id,
            "contacts": [contact] if isinstance(contact, str) else contact,
            "custom_attributes": {} if number is None else {"member_number_verification": number},
            "tags": [{"id": TAG_ID}] if tagged else [],
        }
    }


_EVENTS = count(1)


def message(contact: str, *, event_id: str | None = None) -> Event:
    """A contact wrote."""
    return Event(
        id=event_id or f"notif-{next(_EVENTS)}",
        topic="conversation.user.replied",
        created_at=START,
        contact=contact,
        conversation="51",
    )


def tag(contact: str = "l1", *, event_id: str | None = None, conversation_id: str = "51") -> Event:
    """An agent tagged the conversation."""
    return Event(
        id=event_id or f"notif-{next(_EVENTS)}",
        topic=TAG_TOPIC,
        created_at=START,
        contact=contact,
        conversation=conversation_id,
        tag=TAG_ID,
    )


@dataclass
class Desk:
    """Everything that a test of the handler looks at."""

    simulator: Simulator
    clock: Clock
    folder: Path
    database: StateDatabase
    lookup: LookUp
    rules: Rules

    async def with_handler(
        self,
        work: Callable[[ContactHandler], Awaitable[T]],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        **options: Any,
    ) -> T:
        """Open a handler as a new process would, and use it."""
        target = IntercomTarget(
            token="t",
            base_url="http://intercom.test",
            owned=owned_attributes(self.rules),
            transport=transport or httpx.ASGITransport(app=build_app(self.simulator)),
            clock=self.clock,
            sleep=self.clock.sleep,
            random=lambda: 0.5,
            patience=Patience(attempts=2),
        )
        async with target:
            return await work(
                ContactHandler(
                    rules=self.rules,
                    lookup=self.lookup,
                    target=target,
                    store=self.store,
                    database=self.database,
                    now=self.clock.moment,
                    **({"sleep": self.clock.sleep} | options),
                )
            )

    def handle(self, *events: Event, **options: Any) -> list[Any]:
        """What became of these events, one after the other, in one process."""

        async def work(handler: ContactHandler) -> list[Any]:
            return [await handler.handle(event) for event in events]

        return asyncio.run(self.with_handler(work, **options))

    def give_up(self, event: Event, reference: str) -> None:
        """The last word."""
        asyncio.run(self.with_handler(lambda handler: handler.give_up(event, reference=reference)))

    @property
    def store(self) -> PlanStore:
        """Where plans and outcomes are."""
        return PlanStore(str(self.folder / "plans"))

    @property
    def pause(self) -> PauseSwitch:
        """The emergency stop."""
        return PauseSwitch(self.database)

    def state(self) -> dict[str, Any]:
        """The whole workspace."""
        state: dict[str, Any] = msgspec.json.decode(self.simulator.state_json())
        return state

    def contact(self, contact_id: str) -> dict[str, Any]:
        """One contact, with its state under `_state`."""
        found = self.state()
        for state in ("live", "archived", "merged"):
            for one in found[state]:
                if one["id"] == contact_id:
                    return {**one, "_state": state}
        raise AssertionError(f"there is no contact {contact_id}")

    def tags(self, conversation_id: str = "51") -> list[str]:
        """The tags of a conversation, by id."""
        return [one["id"] for one in self._conversation(conversation_id)["tags"]["tags"]]

    def notes(self, conversation_id: str = "51") -> list[str]:
        """The notes in a conversation."""
        parts = self._conversation(conversation_id)["conversation_parts"]["conversation_parts"]
        return [one["body"] for one in parts if one["part_type"] == "note"]

    def _conversation(self, conversation_id: str) -> Any:
        return next(one for one in self.state()["conversations"] if one["id"] == conversation_id)

    def writes(self) -> list[LoggedCall]:
        """The calls that changed something, in order."""
        return [call for call in self.simulator.calls if call.effect]


def open_desk(
    folder: Path,
    *lines: dict[str, Any],
    members: tuple[Member, ...] = MEMBERS,
    lookup: LookUp | None = None,
    rules: Rules | None = None,
    database: StateDatabase | None = None,
    **options: Any,
) -> Desk:
    """A desk with these seed lines in its workspace."""
    clock = Clock()
    simulator = Simulator(
        Options(**({"limit": 1_000_000} | options)),
        clock=clock,
        sleep=clock.sleep,
        reset_error=httpx.ReadError,
        timeout_error=httpx.ReadTimeout,
    )
    simulator.seed([msgspec.json.encode(line) for line in ({"_tag": {"id": TAG_ID, "name": "mynatca-sync"}}, *lines)])
    source = SourceData("sqlite", tuple(sorted(members, key=lambda one: (one.number, one.row))), ())
    return Desk(
        simulator,
        clock,
        folder,
        database or StateDatabase(f"sqlite:///{folder / 'state.sqlite'}"),
        lookup or Asked(source),
        rules or default_rules(),
    )
