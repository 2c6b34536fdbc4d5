"""Answers that are lost, processes that die, events that come twice, late or in another order: all ends well."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ReconcilerError
from reconciler.runs.claims import Claims
from reconciler.simulator import Call, build_app
from reconciler.simulator.faults import Fault
from reconciler.web.events import TAG_TOPIC, Event
from tests.support.campaign import NIGHTLY
from tests.targets.support import texts_of
from tests.web.handling.desk import ANNS, BOBS, LEAD, Desk, conversation, message, open_desk, tag

SCENES: dict[str, tuple[tuple[dict[str, Any], ...], Event]] = {
    "tag": ((LEAD, conversation("l1", number="1001")), tag(event_id="notif-t")),
    "note": ((LEAD, conversation("l1")), tag(event_id="notif-n")),
    "message": ((ANNS | {"phone": "(617) 555-0123"},), message("a1", event_id="notif-m")),
    "twins": ((ANNS, LEAD | {"email": "ann@example.org"}), message("l1", event_id="notif-w")),
}
FAULTS = (Fault.ERROR_AFTER, Fault.RESET_BEFORE, *((Fault.TIMEOUT_AFTER, Fault.TORN_AFTER) if NIGHTLY else ()))


def end(desk: Desk) -> bytes:
    """The whole workspace, without times."""
    return re.sub(rb'"(\w+_at)":[0-9]+', rb'"\1":0', desk.simulator.state_json())


def quiet(scene: str, folder: Path) -> Desk:
    """The scene without trouble."""
    lines, event = SCENES[scene]
    desk = open_desk(folder / "quiet", *lines)
    desk.handle(event)
    return desk


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scene", SCENES)
def test_a_lost_answer_at_any_call(scene: str, fault: Fault, tmp_path: Path) -> None:
    """Whatever call it hits: the event, tried again at most once, ends as without it, and no write is doubled."""
    lines, event = SCENES[scene]
    calm = quiet(scene, tmp_path)
    wanted = Counter((call.method, call.path) for call in calm.writes())
    for number in range(1, len(calm.simulator.calls) + 1):
        desk = open_desk(tmp_path / str(number), *lines)
        desk.simulator.hook = _fault_at(number, fault)
        with suppress(ReconcilerError):
            desk.handle(event)
        desk.simulator.hook = None
        desk.clock.now += 60
        desk.handle(event)
        assert end(desk) == end(calm), number
        assert Counter((call.method, call.path) for call in desk.writes()) == wanted, number


def _fault_at(number: int, fault: Fault) -> Any:
    return lambda call, _phase: fault if call.number == number else None


class Died(BaseException):
    """The process is gone."""


class Dying(httpx.AsyncBaseTransport):
    """Passes calls on, and dies before or after the effect of one of them."""

    def __init__(self, inner: httpx.AsyncBaseTransport, at: int) -> None:
        self._inner = inner
        self._at = at
        self.passed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One call, between two moments of death."""
        self._moment()
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        self._moment()
        return answer

    def _moment(self) -> None:
        self.passed += 1
        if self.passed >= self._at:
            raise Died


@pytest.mark.parametrize("scene", SCENES)
def test_a_process_that_dies_at_any_moment(scene: str, tmp_path: Path) -> None:
    """Before or after the effect of any call: whoever takes the event up again ends it, and doubles nothing.

    The dead give up no claim; the same event has it all the same.
    """
    lines, event = SCENES[scene]
    calm = quiet(scene, tmp_path)
    wanted = Counter((call.method, call.path) for call in calm.writes())
    for at in count(1):
        desk = open_desk(tmp_path / str(at), *lines)
        dying = Dying(httpx.ASGITransport(app=build_app(desk.simulator)), at)
        died = _die(desk, event, dying)
        Claims(desk.database, holder=f"event {event.id}", touches=True).take(["a1", "l1", "member 1001"])
        desk.clock.now += 1
        desk.handle(event)
        assert end(desk) == end(calm), at
        assert Counter((call.method, call.path) for call in desk.writes()) == wanted, at
        if not died:
            break
    assert at > 6


def _die(desk: Desk, event: Event, transport: httpx.AsyncBaseTransport) -> bool:
    try:
        asyncio.run(desk.with_handler(lambda handler: handler.handle(event), transport=transport))
    except BaseException as error:
        if not _is_death(error):
            raise
        return True
    return False


def _is_death(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_death(one) for one in error.exceptions)
    return isinstance(error, Died)


WORLD = (
    ANNS | {"phone": "(617) 555-0123"},
    BOBS | {"name": "Bob Old"},
    LEAD,
    LEAD | {"id": "l2", "email": "bob@example.org"},
    conversation("l1", number="1003"),
    conversation("a1", number="1001", conversation_id="52"),
)
EVENTS = (
    message("a1", event_id="e1"),
    message("b1", event_id="e2"),
    message("l2", event_id="e3"),
    tag("l1", event_id="e4"),
    tag("a1", event_id="e5", conversation_id="52"),
    message("gone", event_id="e6"),
)


@given(data=st.data())
@settings(max_examples=500 if NIGHTLY else 10)
def test_replays_reordering_duplicates_and_delays_write_nothing_wrong(data: st.DataObject) -> None:
    """However the events come, and between edits by people: the end is the same, and what was right is not touched."""
    shuffled = data.draw(st.permutations(EVENTS), label="order")
    replayed = data.draw(st.lists(st.sampled_from(EVENTS), max_size=4), label="replays")
    late = data.draw(st.sampled_from(EVENTS), label="late")
    with TemporaryDirectory() as folder:
        calm = open_desk(Path(folder, "calm"), *WORLD)
        calm.handle(*EVENTS)
        desk = open_desk(Path(folder, "desk"), *WORLD)
        desk.handle(*shuffled, *replayed)
        assert _without_parts(desk) == _without_parts(calm)
        assert sorted(desk.notes()) == sorted(calm.notes())
        desk.clock.now += 3 * 86_400
        before = len(desk.writes())
        desk.handle(late)
        assert len(desk.writes()) == before


def _without_parts(desk: Desk) -> Any:
    state = msgspec.json.decode(end(desk))
    for one in state["conversations"]:
        one["conversation_parts"] = None
    return state


CANARIES = ("example.org", "example.net", "Ann Lee", "Bob", "555")
"""E-mails, names and phones of the scenes."""


@pytest.mark.parametrize("scene", SCENES)
def test_nothing_personal_is_said(scene: str, tmp_path: Path) -> None:
    """Neither of what became of an event, nor in an error, nor in a note: ids and numbers only."""
    lines, event = SCENES[scene]
    calls = len(quiet(scene, tmp_path).simulator.calls)
    said: list[str] = []
    for number in range(calls + 1):
        desk = open_desk(tmp_path / str(number), *lines)
        desk.simulator.hook = _fault_at(number, Fault.ERROR_AFTER)
        try:
            said.extend(one.says for one in desk.handle(event))
        except ReconcilerError as error:
            said.append(texts_of(error))
        said.extend(desk.notes() if event.topic == TAG_TOPIC else [])
    assert not [text for text in said for canary in CANARIES if canary in text]


def test_a_contact_edited_in_between_is_looked_at_anew(tmp_path: Path) -> None:
    """Somebody renames the lead right before it is promoted: what is not ours to decide on is decided again."""
    desk = open_desk(tmp_path, LEAD | {"email": None, "phone": "+16175550123", "name": "Ann Lee"}, *_tagged())

    def edit(call: Call, phase: object) -> None:
        if call.path == "/contacts/search" and phase == "after":
            contact = desk.simulator.world.people.get("l1")
            assert contact is not None
            if contact.email is None:
                changed = msgspec.structs.replace(contact, email="bob@example.org")
                desk.simulator.world.people.put(changed, at=desk.clock())

    desk.simulator.hook = edit
    [handled] = desk.handle(tag())
    assert handled.result == "refused"
    assert "belongs-to-another" in desk.notes()[0]
    assert desk.contact("l1")["role"] == "lead"


def _tagged() -> tuple[dict[str, Any], ...]:
    return (conversation("l1", number="1001"),)
