"""Some people, by what they may be known by, and what a contact or a member may be known by.

Whoever plans for one contact needs no more of the world than what is tied to it: the members its identifiers point to,
the contacts that point to those, and so on (`reconciler/member.py`). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from reconciler.core.desired import phone_region
from reconciler.core.diff import as_text
from reconciler.core.model import Contact, Member
from reconciler.core.phones import parse_phone
from reconciler.core.rules import Identifier, Rules
from reconciler.core.text import clean, fold_email


class Whom(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has any of these values. The default is nobody."""

    numbers: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    """In any spelling."""
    phones: tuple[str, ...] = ()
    """In E.164."""
    region: str = "US"
    """The country of numbers written without one."""

    def __bool__(self) -> bool:
        return bool(self.numbers or self.emails or self.phones)

    def cleaned(self) -> Whom:
        """The same people, each value once and as it is compared; blanks mean nobody."""
        return msgspec.structs.replace(
            self,
            numbers=_each(clean(number) for number in self.numbers),
            emails=_each(fold_email(email) for email in self.emails),
            phones=_each(self.phones),
        )

    def without(self, known: Whom) -> Whom:
        """Those of these values that are not among the known ones. Both cleaned."""
        return msgspec.structs.replace(
            self,
            numbers=tuple(one for one in self.numbers if one not in known.numbers),
            emails=tuple(one for one in self.emails if one not in known.emails),
            phones=tuple(one for one in self.phones if one not in known.phones),
        )

    def joined(self, other: Whom) -> Whom:
        """Both."""
        return msgspec.structs.replace(
            self,
            numbers=(*self.numbers, *other.numbers),
            emails=(*self.emails, *other.emails),
            phones=(*self.phones, *other.phones),
        ).cleaned()

    def is_meant(self, member: Member) -> bool:
        """Whether a member is one of them. To be asked of what `cleaned` returns."""
        if member.number in self.numbers or (member.email is not None and fold_email(member.email) in self.emails):
            return True
        return bool(self.phones) and member.phone is not None and self.has_phone(member.phone)

    def has_phone(self, phone: str) -> bool:
        """Whether a phone in any spelling is one of theirs."""
        return parse_phone(phone, self.region).e164 in self.phones


def _each(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))


def named_by(contacts: Iterable[Contact], rules: Rules) -> Whom:
    """The members whom these contacts may be, or whose identifiers they hold."""
    numbers: list[str | None] = []
    emails: list[str] = []
    phones: list[str | None] = []
    region = phone_region(rules)
    for contact in contacts:
        numbers.append(rules.mappings.get(contact.id))
        for field, kind in _identifiers(rules):
            value = as_text(contact.get(field))
            if value is None:
                continue
            match kind:
                case "member_number":
                    numbers.append(value)
                case "email":
                    emails.append(value)
                case _:
                    phones.append(parse_phone(value, region).e164)
    return Whom(numbers=_each(numbers), emails=tuple(emails), phones=_each(phones), region=region).cleaned()


def held_by(contacts: Iterable[Contact]) -> Whom:
    """Whoever has an identifier of these users that Intercom keeps unique among users."""
    users = [contact for contact in contacts if contact.role == "user"]
    return Whom(
        numbers=tuple(contact.external_id for contact in users if contact.external_id),
        emails=tuple(contact.email for contact in users if contact.email),
    ).cleaned()


def known_by(members: Iterable[Member], rules: Rules) -> Whom:
    """What contacts of these members, and members who share something with them, may be found by."""
    region = phone_region(rules)
    rows = [member for member in members if member.number]
    return Whom(
        numbers=tuple(member.number for member in rows),
        emails=tuple(member.email for member in rows if member.email),
        phones=_each(parse_phone(member.phone, region).e164 for member in rows if member.phone),
        region=region,
    ).cleaned()


def clues(whom: Whom, rules: Rules) -> tuple[tuple[str, str], ...]:
    """What to look for among contacts: field and value, for each field that may tie a contact to one of these."""
    values = {"member_number": whom.numbers, "email": whom.emails, "phone": whom.phones}
    return tuple((field, value) for field, kind in _identifiers(rules) for value in values[kind])


def is_neighbour(contact: Contact, whom: Whom, rules: Rules) -> bool:
    """Whether any identifier of a contact points to one of these. A search may have found it by less."""
    named = named_by((contact,), rules)
    return named.without(whom) != named


def mapped_to(whom: Whom, rules: Rules) -> tuple[str, ...]:
    """The contacts that a person has mapped to one of these, by id."""
    return tuple(contact for contact, number in sorted(rules.mappings.items()) if number in whom.numbers)


def _identifiers(rules: Rules) -> Iterator[tuple[str, str]]:
    """The fields that matching.yaml looks at, and those that Intercom keeps unique, each with what it is."""
    asked: dict[str, str] = {one.by: one.is_ for one in rules.matching.identifiers if _is_field(one)}
    yield from (asked | {"external_id": "member_number", "email": "email"}).items()


def _is_field(identifier: Identifier) -> bool:
    return identifier.by != "mapping"
