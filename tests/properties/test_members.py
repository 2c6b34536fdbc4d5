"""Generated worlds, looked at from each member's side: what a plan may not do to somebody, whatever the rules say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import given, settings

from reconciler.core.actions import Action
from reconciler.core.assembly import Decision
from reconciler.core.diff import changes
from reconciler.core.model import Contact, Member
from reconciler.core.planner import Scope, archive_candidates, decide
from reconciler.core.snapshot import index
from reconciler.core.world import World, build_world, with_fields
from tests.properties.strategies import Union, unions
from tests.support.campaign import WORLDS

NEWCOMER = Member("9009", "Zed", "Zulu", "zed@zulu.example.org", "+13125550142", "Active", "6", row="members/9009")
"""Has nothing in common with anybody of a generated union."""


def world_of(union: Union, contacts: Iterable[Contact], *more: Member) -> World:
    """Both sides, with the open conversations that whoever gathers would ask about."""
    source = msgspec.structs.replace(union.source, members=(*union.members, *more))
    world = build_world(source, index(contacts), union.rules)
    open_now = {line["id"]: line.get("_open_conversations", 0) for line in union.contacts}
    asked = {one: open_now[one] for one in archive_candidates(world) if open_now.get(one)}
    return msgspec.structs.replace(world, open_conversations=asked)


def contacts_of(union: Union) -> tuple[Contact, ...]:
    """The seed lines as contacts, with all their attributes."""
    return tuple(msgspec.convert(without_talk(line), Contact) for line in union.contacts)


def without_talk(line: dict[str, Any]) -> dict[str, Any]:
    """A seed line but for what the simulator alone knows."""
    return {key: value for key, value in line.items() if not key.startswith("_")}


def applied(contacts: Iterable[Contact], actions: Iterable[Action]) -> tuple[Contact, ...]:
    """The contacts once every action is done."""
    live = {contact.id: contact for contact in contacts}
    for action in actions:
        if action.do in {"archive", "merge"}:
            del live[action.contact or ""]
        else:
            contact = live.get(action.contact or "", Contact(id=f"new-{action.member}", role="user"))
            live[contact.id] = with_fields(contact, action.set)
    return tuple(live.values())


def users_of(world: World, number: str) -> list[Contact]:
    """The users that are this member."""
    return [match.contact for match in world.matches.tied.get(number, ()) if match.contact.role == "user"]


@given(union=unions())
@settings(max_examples=WORLDS // 5)
def test_whoever_had_a_user_has_one_afterwards(union: Union) -> None:
    """Whichever contact `keep` prefers and whichever rules act: nobody's last user is archived, nor turned away."""
    before = world_of(union, contacts_of(union))
    actions = decide(before, Scope()).actions
    after = world_of(union, applied(before.snapshot.contacts, actions))
    for number in before.people.wanted:
        assert users_of(after, number) or not users_of(before, number), number


@given(union=unions())
@settings(max_examples=WORLDS // 5)
def test_nobody_is_left_behind_in_silence(union: Union) -> None:
    """Afterwards each member has one user, and it is as it should be; for anything else a finding names who it is."""
    if any(getattr(union.rules.findings, name).then == "off" for name in union.rules.findings.__struct_fields__):
        return  # off is to say nothing
    before = world_of(union, contacts_of(union))
    after = world_of(union, applied(before.snapshot.contacts, decide(before, Scope()).actions))
    said = named_by(decide(after, Scope()))
    for number, desired in after.people.wanted.items():
        near = {number, *(match.contact.id for match in after.matches.claimed.get(number, ()))}
        users = users_of(after, number)
        if near & said or said & {match.contact.id for match in after.matches.tied.get(number, ())}:
            continue
        assert len(users) == 1, number
        assert changes(users[0], desired, region="US") == (), number


def named_by(decision: Decision) -> set[str | None]:
    """Members and contacts of which something is said for a person."""
    reviews = [finding for finding in decision.findings if finding.severity == "review"]
    return {finding.member for finding in reviews} | {finding.contact for finding in reviews}


@given(union=unions())
@settings(max_examples=WORLDS // 5)
def test_somebody_unrelated_changes_nothing_for_anybody(union: Union) -> None:
    """A member who joins gets a contact; what is done about all others is the same to the letter."""
    contacts = contacts_of(union)
    alone = decide(world_of(union, contacts), Scope())
    joined = decide(world_of(union, contacts, NEWCOMER), Scope())
    assert [one for one in joined.actions if one.member != NEWCOMER.number] == list(alone.actions)
    assert [
        one for one in joined.findings if one.member != NEWCOMER.number and one.rule != "unknown-position-code"
    ] == [one for one in alone.findings if one.rule != "unknown-position-code"]
