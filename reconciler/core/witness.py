"""Which members and contacts a plan keeps (`core/seen.py`): those that its actions and findings are about, and all who
have to do with them, so that deciding about them alone comes to the same.

Two have to do with each other where the one could stand in the way of the other: by a tie, by a number, e-mail or
external id that both have, or by a phone that they share under one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias, TypeVar

import msgspec

from reconciler.core.actions import Action
from reconciler.core.desired import phone_region
from reconciler.core.diff import as_text
from reconciler.core.history import History
from reconciler.core.model import MAX_TEXT, Contact, Finding, Member
from reconciler.core.phones import parse_phone
from reconciler.core.rules import Confirm, Findings, Rules
from reconciler.core.seen import Basis, Seen
from reconciler.core.text import fold_email, fold_name
from reconciler.core.world import World

_Value = TypeVar("_Value", int, str)

LONGEST = 2 * MAX_TEXT
"""Characters of a value that are kept: enough to see that it is too long."""


def basis_of(rules: Rules, *, only: Iterable[str], exclude: Iterable[str], limit: int | None) -> Basis:
    """What is decided under."""
    names = zip(Findings.__struct_fields__, Findings.__struct_encode_fields__, strict=True)
    return Basis(
        files=rules.files,
        off=tuple(rule for field, rule in names if getattr(rules.findings, field).then == "off"),
        only=tuple(sorted(only)),
        exclude=tuple(sorted(exclude)),
        limit=limit,
    )


def seen_of(
    world: World,
    *,
    history: History,
    actions: Iterable[Action] = (),
    findings: Iterable[Finding] = (),
    also: Iterable[str] = (),
) -> tuple[Seen, ...]:
    """The groups of those whom actions and findings are about, and of the members or contacts in `also`."""
    named = [name for one in actions for name in (one.member, one.contact, one.into)]
    named += [name for one in findings for name in (one.member, one.contact)]
    groupings = _Groupings(world)
    for name in sorted({*filter(None, named), *also}):
        groupings.add(name)
    return tuple(_seen(world, history, numbers, contacts) for numbers, contacts in groupings.groups())


_Key: TypeAlias = tuple[Literal["member", "contact"], str]


class _Groupings:
    """Finds who has to do with whom. Where a group meets an earlier one, the two are one.

    They may meet from one side only: a contact leads to the members who have its phone, and they not to it.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._disputed = {match.contact.id: match for match in world.matches.disputed}
        self._tied = {match.contact.id: match for matches in world.matches.tied.values() for match in matches}
        self._region = phone_region(world.rules)
        self._names_tell = _names_tell(world.rules)
        self._group_of: dict[_Key, set[_Key]] = {}

    def add(self, name: str) -> None:
        """See that this member number or contact id is in a group."""
        waiting = [key for key in self._keys(name) if key not in self._group_of]
        if not waiting:
            return
        group: set[_Key] = set()
        while waiting:
            kind, one = key = waiting.pop()
            if key in group:
                continue
            if (earlier := self._group_of.get(key)) is not None:
                group |= earlier
                continue
            group.add(key)
            waiting.extend(
                self._near_member(one) if kind == "member" else self._near_contact(self._world.snapshot.by_id[one])
            )
        self._group_of.update(dict.fromkeys(sorted(group), group))

    def groups(self) -> Iterator[tuple[list[str], list[str]]]:
        """Member numbers and contact ids of each group, in the order in which the first of it was added."""
        for group in {id(group): group for group in self._group_of.values()}.values():
            yield (
                sorted(one for kind, one in group if kind == "member"),
                sorted(one for kind, one in group if kind == "contact"),
            )

    def _keys(self, name: str) -> Iterator[_Key]:
        if name in self._world.people.by_number:
            yield "member", name
        if name in self._world.snapshot.by_id:
            yield "contact", name

    def _near_member(self, number: str) -> Iterator[_Key]:
        world = self._world
        near = [*world.matches.tied.get(number, ()), *world.matches.claimed.get(number, ())]
        yield from (("contact", match.contact.id) for match in near)
        yield from (("contact", one.id) for one in world.snapshot.by_external_id.get(number, ()))
        for member in world.people.by_number[number]:
            yield from self._of_email(member.email)
            phone = world.people.e164_of(member, region=self._region)
            yield from self._of_phone(phone, {number})

    def _near_contact(self, contact: Contact) -> Iterator[_Key]:
        world = self._world
        match = self._disputed.get(contact.id) or self._tied.get(contact.id)
        numbers = [*_numbers_on(contact), world.rules.mappings.get(contact.id), *(match.claims() if match else ())]
        known = [one for one in numbers if one is not None and one in world.people.by_number]
        yield from (("member", one) for one in known)
        if contact.external_id:
            yield from (("contact", one.id) for one in world.snapshot.by_external_id.get(contact.external_id, ()))
        yield from self._of_email(contact.email)
        phone = parse_phone(contact.phone, self._region).e164 if contact.phone else None
        yield from self._of_phone(phone, set(known), name=contact.name or "")

    def _of_email(self, email: str | None) -> Iterator[_Key]:
        if email:
            folded = fold_email(email)
            yield from (("member", one) for one in self._world.people.by_email.get(folded, ()))
            yield from (("contact", one.id) for one in self._world.snapshot.by_email.get(folded, ()))

    def _of_phone(self, phone: str | None, known: set[str], *, name: str | None = None) -> Iterator[_Key]:
        """Members who have this phone beside those known to be near, and this name or one of theirs where nobody is
        known by a phone without the name: colleagues of one office have nothing to do here then.
        """
        people = self._world.people
        others = [number for number in people.by_phone.get(phone or "", ()) if number not in known]
        if not others:
            return
        names = {_name_of(member) for number in known for member in people.by_number[number]}
        if name is not None:
            names.add(fold_name(name))
        for number in others:
            if not self._names_tell or any(_name_of(member) in names for member in people.by_number[number]):
                yield "member", number


def _names_tell(rules: Rules) -> bool:
    """Whether a phone says nothing of anybody unless the name agrees."""
    return all(
        one.confirm == Confirm(any_of=("name",)) and one.unconfirmed == "ignore"
        for one in rules.matching.identifiers
        if one.is_ == "phone"
    )


def _numbers_on(contact: Contact) -> tuple[str | None, str | None]:
    return as_text(contact.external_id), as_text(contact.custom_attributes.get("member_number"))


def _name_of(member: Member) -> str:
    return fold_name(member.full_name)


def _seen(world: World, history: History, numbers: list[str], contacts: list[str]) -> Seen:
    people = world.people
    emails = dict.fromkeys(fold_email(email) for one in contacts if (email := world.snapshot.by_id[one].email))
    unnumbered = (member for email in emails for member in people.unnumbered.get(email, ()))
    numbered = (member for number in numbers for member in people.by_number[number])
    return Seen(
        members=tuple(_cut(member) for rows in (unnumbered, numbered) for member in rows),
        positions=tuple(position for number in numbers for position in people.positions.get(number, ())),
        quarantined=tuple(one for one in world.source.quarantined if one.number in numbers),
        contacts=tuple(_in_order(world.snapshot.by_id[one]) for one in contacts),
        open_conversations=_of(world.open_conversations, contacts),
        mappings=_of(world.rules.mappings, contacts),
        flips={one: dict(frozen) for one in contacts if (frozen := history.frozen(one))},
    )


def _of(values: Mapping[str, _Value], contacts: list[str]) -> dict[str, _Value]:
    return {one: values[one] for one in contacts if one in values}


def _cut(member: Member) -> Member:
    """The row with values that nobody could use cut short: a name of a megabyte is still too long at 510 characters."""
    long = {
        name: value[:LONGEST]
        for name in member.__struct_fields__
        if isinstance(value := getattr(member, name), str) and len(value) > LONGEST
    }
    return msgspec.structs.replace(member, **long) if long else member


def _in_order(contact: Contact) -> Contact:
    """The contact with its attributes by name: Intercom promises no order, and a plan has one."""
    return msgspec.structs.replace(contact, custom_attributes=dict(sorted(contact.custom_attributes.items())))
