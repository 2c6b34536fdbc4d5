"""Which contact is which member: by the identifiers of matching.yaml, with the evidence, and never by guessing.

Every identifier of a contact is asked, not only the strongest: where two of them point to different members, the
contact is left to a person (design §4.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from reconciler.core.desired import People, phone_region
from reconciler.core.diff import as_text, is_uuid
from reconciler.core.model import ATTRIBUTE_PREFIX, Contact, Evidence, Member, Scalar
from reconciler.core.phones import looks_e164, parse_phone
from reconciler.core.rules import Confirm, Identifier, Rules
from reconciler.core.snapshot import Snapshot
from reconciler.core.text import fold_email, fold_name

State: TypeAlias = Literal["tied", "none", "shared", "conflict"]
"""`tied`: to one member · `none`: to nobody · `shared`: to several members alike, who share what points to them ·
`conflict`: to different members, or to one without what must confirm it."""


class Tie(msgspec.Struct, frozen=True, gc=False):
    """One identifier of a contact, and the members it points to."""

    by: str
    value: Scalar
    numbers: tuple[str, ...]
    confirmed: bool = True


class Match(msgspec.Struct, frozen=True, gc=False):
    """What is known of one contact."""

    contact: Contact
    state: State
    number: str | None
    """The member number, where tied."""
    ties: tuple[Tie, ...]
    why: str = ""
    """Where shared or in conflict: what points where."""

    @property
    def by(self) -> str:
        """The strongest identifier that tied it."""
        return self.ties[0].by

    def claims(self) -> tuple[str, ...]:
        """Every member number that any identifier points to, each once, strongest first."""
        return tuple(dict.fromkeys(number for tie in self.ties for number in tie.numbers))


class Matches(msgspec.Struct, frozen=True, gc=False):
    """All contacts, matched."""

    tied: dict[str, tuple[Match, ...]]
    """Member number → its contacts, by contact id."""
    disputed: tuple[Match, ...]
    """Contacts in conflict or tied to members who share an identifier: no action may touch them."""
    claimed: dict[str, tuple[Match, ...]]
    """Member number → the disputed contacts that point to it."""
    strangers: tuple[Contact, ...]
    """Contacts that no identifier ties to anybody."""


def match_all(people: People, snapshot: Snapshot, rules: Rules) -> Matches:
    """Match every contact. Linear in the number of contacts."""
    matcher = Matcher(people, rules)
    tied: dict[str, tuple[Match, ...]] = {}
    disputed: list[Match] = []
    claimed: dict[str, tuple[Match, ...]] = {}
    strangers: list[Contact] = []
    for contact in snapshot.contacts:
        match = matcher.match(contact)
        if match.state == "none":
            strangers.append(contact)
        elif match.number is not None:
            tied[match.number] = (*tied.get(match.number, ()), match)
        else:
            disputed.append(match)
            for number in match.claims():
                claimed[number] = (*claimed.get(number, ()), match)
    return Matches(tied=tied, disputed=tuple(disputed), claimed=claimed, strangers=tuple(strangers))


class Matcher:
    """matching.yaml, applied to one contact at a time."""

    def __init__(self, people: People, rules: Rules) -> None:
        self._people = people
        self._identifiers = tuple(one for one in rules.matching.identifiers if one.by != "mapping")
        self._mappings = rules.mappings if len(self._identifiers) < len(rules.matching.identifiers) else {}
        self._region = phone_region(rules)

    def match(self, contact: Contact) -> Match:
        """Who this contact is. A mapping is a person's decision and ends the matter."""
        if (number := self._mappings.get(contact.id)) is not None:
            return self._mapped(contact, number)
        ties = tuple([tie for one in self._identifiers if (tie := self._tie(contact, one)) is not None])
        if not ties:
            return Match(contact, "none", None, ())
        number, *others = dict.fromkeys([number for tie in ties for number in tie.numbers])
        if others:
            # A father and a son of one name may share a phone: the member number then says which of them it is.
            agreed = tuple(one for one in (number, *others) if all(one in tie.numbers for tie in ties))
            if len(agreed) != 1 or not all(tie.confirmed for tie in ties):
                return _undecided(contact, ties, agreed)
            number = agreed[0]
        if not [tie for tie in ties if tie.confirmed]:
            why = f"{ties[0].by} points to member {number}, and nothing else about it agrees"
            return Match(contact, "conflict", None, ties, why)
        if (foreign := _foreign_external_id(contact, number)) is not None:
            why = f"it points to member {number} by {ties[0].by}, but its external_id is {foreign!r}"
            return Match(contact, "conflict", None, ties, why)
        return Match(contact, "tied", number, ties)

    def _mapped(self, contact: Contact, number: str) -> Match:
        tie = Tie("mapping", number, (number,))
        if number in self._people.by_number:
            return Match(contact, "tied", number, (tie,))
        why = f"mappings.yaml ties it to member {number}, whom the source does not have"
        return Match(contact, "conflict", None, (tie,), why)

    def _tie(self, contact: Contact, identifier: Identifier) -> Tie | None:
        value = contact.get(identifier.by)
        if value is None or value == "":
            return None
        numbers = self._lookup(identifier, value)
        if not numbers:
            return None
        if identifier.confirm is None:
            return Tie(identifier.by, value, numbers)
        if sure := self._confirmed(contact, numbers, identifier.confirm):
            return Tie(identifier.by, value, sure)
        return Tie(identifier.by, value, numbers, confirmed=False) if identifier.unconfirmed == "review" else None

    def _lookup(self, identifier: Identifier, value: Scalar) -> tuple[str, ...]:
        """The members who have this value."""
        text = as_text(value) or ""
        match identifier.is_:
            case "member_number":
                return (text,) if text in self._people.by_number else ()
            case "email":
                return self._people.by_email.get(fold_email(text), ())
            case "phone":
                found = self._people.by_phone.get(text)
                if found is None and not looks_e164(text):
                    found = self._people.by_phone.get(parse_phone(text, self._region).e164 or "")
                return found or ()

    def _confirmed(self, contact: Contact, numbers: tuple[str, ...], confirm: Confirm) -> tuple[str, ...]:
        """Those of the numbers of which a row agrees."""
        people, region = self._people, self._region
        sure = [
            number
            for number in numbers
            for member in people.by_number[number]
            if confirms(contact, member, confirm, people=people, region=region)
        ]
        return tuple(dict.fromkeys(sure))


def _undecided(contact: Contact, ties: tuple[Tie, ...], agreed: tuple[str, ...]) -> Match:
    """Identifiers that point to more than one member: all to the same ones, or each to others."""
    if agreed and all(tie.confirmed for tie in ties):
        why = f"it may be any of members {' and '.join(agreed)}, by {' and '.join(tie.by for tie in ties)}"
        return Match(contact, "shared", None, ties, why)
    points = "; ".join(f"{tie.by} to {' and '.join(tie.numbers)}" for tie in ties)
    return Match(contact, "conflict", None, ties, f"its identifiers point to different members: {points}")


def confirms(contact: Contact, member: Member, confirm: Confirm, *, people: People, region: str) -> bool:
    """Whether something else about the contact agrees that it is this member."""
    for by in confirm.any_of:
        if agrees(contact, member, by, people=people, region=region):
            return True
    return bool(confirm.or_when_blank) and all(as_text(contact.get(field)) is None for field in confirm.or_when_blank)


def agrees(contact: Contact, member: Member, by: str, *, people: People, region: str) -> bool:
    """Whether the contact's e-mail, phone or name (`by`) is the member's."""
    value = as_text(contact.get(by))
    if value is None:
        return False
    match by:
        case "email":
            return member.email is not None and (value == member.email or fold_email(value) == fold_email(member.email))
        case "phone":
            known = people.e164_of(member, region=region)
            return known is not None and parse_phone(value, region).e164 == known
        case _:
            name = member.full_name
            return name != "" and (value == name or fold_name(value) == fold_name(name))


def _foreign_external_id(contact: Contact, number: str) -> str | None:
    """An external id that is neither blank, nor this member's number, nor a UUID: somebody else's key."""
    text = as_text(contact.external_id)
    return None if text is None or text == number or is_uuid(text) else text


def evidence(match: Match, people: People, source: str) -> tuple[Evidence, ...]:
    """What ties a contact to members: each identifier on the contact, and the rows that hold the same value."""
    lines: list[Evidence] = []
    for tie in match.ties:
        if tie.by != "mapping":
            lines.append(Evidence(f"intercom contacts/{match.contact.id}", tie.by, tie.value))
        lines.extend(_rows(tie, people, source))
    return tuple(lines)


def _rows(tie: Tie, people: People, source: str) -> Iterable[Evidence]:
    field = tie.by.removeprefix(ATTRIBUTE_PREFIX)
    column = field if field in {"email", "phone"} else "member_number"
    for number in tie.numbers:
        for member in people.by_number.get(number, ()):
            value = member.number if column == "member_number" else getattr(member, column)
            yield Evidence(f"{source} {member.row}", column, value)
