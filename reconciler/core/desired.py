"""The desired side: who should be a contact, what that contact looks like, and which members cannot be told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from reconciler.core.contact_builder import ContactBuilder
from reconciler.core.model import DesiredContact, Member, Oddity, Position, SourceData
from reconciler.core.phones import Phone, parse_phone
from reconciler.core.rules import Rules
from reconciler.core.text import fold_email


class People(msgspec.Struct, frozen=True, gc=False):
    """Everything the source says about people, ready to be matched.

    Identity is kept for every member, whatever the status: a contact of somebody who left must not pass for
    somebody who stayed.
    """

    by_number: dict[str, tuple[Member, ...]]
    by_email: dict[str, tuple[str, ...]]
    """`fold_email` → numbers of the members who have it."""
    by_phone: dict[str, tuple[str, ...]]
    """E.164 → numbers of the members who have it."""
    phones: dict[str, Phone]
    """Member number → the member's phone as read: of several rows with one number, the first one's."""
    positions: dict[str, tuple[Position, ...]]
    wanted: dict[str, DesiredContact]
    """Member number → the contact that member should have, in the order of the numbers."""
    invalid: tuple[tuple[Member, tuple[Oddity, ...]], ...]
    """Members who should be a contact by their status and cannot be, each with the reasons."""
    duplicated: tuple[str, ...]
    """Numbers that more than one row holds."""
    shared: dict[str, tuple[str, ...]]
    """E-mails (folded) that more than one member has → their numbers."""
    sharing: frozenset[str]
    """Numbers of the members who share an e-mail. For look-ups only: never iterated."""
    unsure: frozenset[str] = frozenset()
    """Numbers of the members of whom a row is quarantined. For look-ups only: never iterated."""
    unnumbered: dict[str, tuple[Member, ...]] = {}
    """`fold_email` → rows that have this e-mail and no member number."""

    def e164_of(self, member: Member, *, region: str) -> str | None:
        """The phone of one row, in E.164; None where it has none that can be one."""
        return _e164(member, self.by_number, self.phones, region=region)

    def in_review(self, number: str) -> bool:
        """Whether a person has to look at this member before anything is done."""
        return number in self.sharing or number in self.unsure or len(self.by_number.get(number, ())) > 1


def gather_people(source: SourceData, rules: Rules) -> People:
    """Read members and positions into one picture. Pure; linear in the number of rows."""
    by_number: dict[str, tuple[Member, ...]] = {}
    unnumbered: dict[str, tuple[Member, ...]] = {}
    for member in source.members:
        if member.number:
            by_number[member.number] = (*by_number.get(member.number, ()), member)
        elif member.email:
            email = fold_email(member.email)
            unnumbered[email] = (*unnumbered.get(email, ()), member)
    phones = _phones(by_number, rules)
    by_email = _numbers_by(by_number, lambda member: fold_email(member.email) if member.email else None)
    region = phone_region(rules)
    by_phone = _numbers_by(by_number, lambda member: _e164(member, by_number, phones, region=region))
    shared = {email: numbers for email, numbers in by_email.items() if len(numbers) > 1}
    positions = _positions_by_member(source.positions)
    unsure = source.unsure()
    rows = frozenset(one.row for one in source.quarantined)
    sure = [member for member in source.members if member.number not in unsure and member.row not in rows]
    wanted, invalid = _wanted(sure, positions=positions, phones=phones, rules=rules)
    return People(
        by_number=by_number,
        by_email=by_email,
        by_phone=by_phone,
        phones=phones,
        positions=positions,
        wanted=wanted,
        invalid=invalid,
        duplicated=tuple(number for number, rows in by_number.items() if len(rows) > 1),
        shared=shared,
        sharing=frozenset(number for numbers in shared.values() for number in numbers),
        unsure=unsure,
        unnumbered=unnumbered,
    )


def phone_region(rules: Rules) -> str:
    """The country of numbers written without one."""
    phone = rules.contacts.fields.get("phone")
    return phone.region if phone is not None else "US"


def _phones(by_number: Mapping[str, tuple[Member, ...]], rules: Rules) -> dict[str, Phone]:
    region = phone_region(rules)
    return {
        number: parse_phone(rows[0].phone, region) for number, rows in by_number.items() if rows[0].phone is not None
    }


def _e164(
    member: Member, by_number: Mapping[str, tuple[Member, ...]], phones: Mapping[str, Phone], *, region: str
) -> str | None:
    """The phone of one row. Rows that share a number may each be the member, so none of their phones is passed over."""
    if member.phone is None:
        return None
    known = phones[member.number] if by_number[member.number][0] is member else parse_phone(member.phone, region)
    return known.e164


def _numbers_by(
    by_number: Mapping[str, tuple[Member, ...]], key_of: Callable[[Member], str | None]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for number, rows in by_number.items():
        for member in rows:
            key = key_of(member)
            if key is None:
                continue
            holders = found.setdefault(key, [])
            if not holders or holders[-1] != number:  # the rows of one number come one after the other
                holders.append(number)
    return {key: tuple(holders) for key, holders in found.items()}


def _positions_by_member(positions: Iterable[Position]) -> dict[str, tuple[Position, ...]]:
    found: dict[str, tuple[Position, ...]] = {}
    for position in positions:
        found[position.member_number] = (*found.get(position.member_number, ()), position)
    return found


def _wanted(
    members: Iterable[Member],
    *,
    positions: Mapping[str, tuple[Position, ...]],
    phones: Mapping[str, Phone],
    rules: Rules,
) -> tuple[dict[str, DesiredContact], tuple[tuple[Member, tuple[Oddity, ...]], ...]]:
    statuses = rules.contacts.who.status
    build = ContactBuilder(rules)
    wanted: dict[str, DesiredContact] = {}
    invalid: list[tuple[Member, tuple[Oddity, ...]]] = []
    for member in members:
        if member.status not in statuses:
            continue
        desired = build.contact(member, codes=positions.get(member.number, ()), phone=phones.get(member.number))
        reasons = tuple(build.reasons_against(member, desired))
        if reasons:
            invalid.append((member, reasons))
        else:
            wanted[member.number] = desired
    return wanted, tuple(invalid)
