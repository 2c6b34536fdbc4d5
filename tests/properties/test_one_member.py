"""The plan for one contact is what the plan for everybody says about its member (issue 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.controller import ask_about_conversations
from reconciler.core.actions import Action
from reconciler.core.model import Finding, Member, silent
from reconciler.core.planner import Scope, decide
from reconciler.core.snapshot import index
from reconciler.core.whom import Whom, named_by
from reconciler.core.world import World, build_world
from reconciler.member import Around, gather_around
from tests.properties.found import FOUND
from tests.properties.night import Desk, open_desk, run
from tests.properties.strategies import Union, unions
from tests.support.asked import Asked
from tests.support.builders import default_rules
from tests.support.campaign import WORLDS


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all worlds."""
    with asyncio.Runner() as running:
        yield running


@given(union=unions(), data=st.data())
@settings(max_examples=WORLDS // 4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_the_plan_for_one_contact_is_the_slice(runner: asyncio.Runner, union: Union, data: st.DataObject) -> None:
    """For a random contact of a random world, by its e-mail as a message brings it, and for a random member."""
    union = searchable(union)
    numbers = sorted({one.number for one in union.members})
    contacts = [line["id"] for line in union.contacts]
    contact = data.draw(st.sampled_from([None, *contacts]), label="contact")
    number = data.draw(st.sampled_from(numbers), label="member")
    check(runner, union, contact, number)


@pytest.mark.parametrize("union", FOUND.values(), ids=FOUND.keys())
def test_worlds_that_were_found(runner: asyncio.Runner, union: Union) -> None:
    """Each member of each world that once went wrong, alone."""
    for number in sorted({one.number for one in union.members}):
        check(runner, searchable(union), None, number)


def searchable(union: Union) -> Union:
    """The same world without blanks around external ids, by which Intercom's search would find nobody, and rows in the
    order and with the names that sources give them.
    """
    contacts = tuple(
        line | ({"external_id": line["external_id"].strip()} if "external_id" in line else {})
        for line in union.contacts
    )
    positions = tuple(
        msgspec.structs.replace(one, row=f"{one.row}#{place}") for place, one in enumerate(union.positions)
    )
    members = tuple(sorted(union.members, key=by_value))
    return Union(members, positions, contacts, union.rules)


def by_value(member: Member) -> tuple[str, ...]:
    """The order in which sources give rows."""
    return tuple(value or "" for value in msgspec.structs.astuple(member))


def check(runner: asyncio.Runner, union: Union, contact: str | None, number: str) -> None:
    """Gather around one, decide, and hold it against the whole."""
    with open_desk(union) as desk:
        whole, part, numbers = run(runner, both(desk, contact, number))
    slice_ = decide(whole, Scope(only=numbers))
    alone = decide(part, Scope(only=numbers))
    assert alone.actions == slice_.actions
    assert about(alone.findings, numbers) == about(slice_.findings, numbers)
    if not union.rules.mappings:
        everybody = decide(whole, Scope())
        assert alone.actions == of(everybody.actions, numbers)


def about(findings: tuple[Finding, ...], numbers: frozenset[str]) -> list[Finding]:
    """Those of these members, but for what is counted over the whole union."""
    return [one for one in findings if one.member in numbers and one.rule != "unknown-position-code"]


def of(actions: tuple[Action, ...], numbers: frozenset[str]) -> tuple[Action, ...]:
    """Those of these members."""
    return tuple(action for action in actions if action.member in numbers)


async def both(desk: Desk, contact: str | None, number: str) -> tuple[World, World, frozenset[str]]:
    """The whole world, and the part around a contact (by the members of its e-mail) or a member."""
    union, reader = desk.union, desk.target.reader
    async with desk.target:
        contacts = await reader.snapshot(silent)
        whole = build_world(union.source, index(contacts), union.rules)
        whole = await ask_about_conversations(whole, reader, silent)
        around = Around(Asked(union.source), reader, union.rules)
        numbers = frozenset({number})
        found = await reader.contact(contact) if contact is not None else None
        if found is not None:
            around.add(found)
        if found is not None and found.email:
            await around.ask(Whom(emails=(found.email,)))
            numbers = frozenset(around.numbers()) or numbers
        named = named_by([found] if found is not None else [], union.rules)
        await around.ask(Whom(numbers=tuple(numbers)).joined(named))
        return whole, await gather_around(around, numbers), numbers


def test_phones_are_read_as_the_rules_say(runner: asyncio.Runner) -> None:
    """Two of one name share a phone, written without its country: that of contacts.yaml says so, whoever asks."""
    rules = default_rules()
    phone = msgspec.structs.replace(rules.contacts.fields["phone"], region="GB")
    contacts = msgspec.structs.replace(rules.contacts, fields={**rules.contacts.fields, "phone": phone})
    rules = msgspec.structs.replace(rules, contacts=contacts)
    members = tuple(
        Member(number, "Ann", "Lee", f"{number}@example.org", "020 7946 0958", "Active", row=f"members/{number}")
        for number in ("1001", "1002")
    )
    line = {"id": "c1", "role": "lead", "name": "Ann Lee", "phone": "+442079460958"}
    check(runner, Union(members, (), (line,), rules), "c1", "1001")
