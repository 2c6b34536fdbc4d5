"""The desired side: who should be a contact, what that contact looks like, and which members cannot be told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from string import Formatter

import msgspec

from reconciler.core.model import MAX_TEXT, DesiredContact, Member, Oddity, Position, SourceData
from reconciler.core.phones import Phone, parse_phone
from reconciler.core.rules import FieldRule, Rules
from reconciler.core.text import fold_email

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

MEMBER_ATTRIBUTE = {
    name: ("number" if name == "member_number" else name)
    for name in (
        *("member_number", "first_name", "last_name", "email", "phone"),
        *("status", "member_type_id", "region", "facility"),
    )
}
"""The words of `from:` in contacts.yaml → attributes of Member."""


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


_Maker = Callable[[Member, "_Extras"], str | None]


class _Extras(msgspec.Struct, gc=False):
    """What a field may need besides the member's own row, and where it says what it found odd."""

    codes: tuple[Position, ...]
    phone: Phone | None
    oddities: list[Oddity]


class ContactBuilder:
    """The `fields` of contacts.yaml, compiled once and then called for every member."""

    def __init__(self, rules: Rules) -> None:
        self._required = rules.contacts.who.require
        self._makers: tuple[tuple[str, _Maker, bool], ...] = tuple(
            (path, _maker(field, rules), field.on_blank == "clear") for path, field in rules.contacts.fields.items()
        )

    def contact(self, member: Member, *, codes: tuple[Position, ...], phone: Phone | None) -> DesiredContact:
        """The contact that this member should have. A blank value is left out, or is None where it clears.

        A value that is there and cannot be used is no blank: it clears nothing.
        """
        extras = _Extras(codes, phone, [])
        oddities = extras.oddities
        fields: dict[str, str | None] = {}
        for path, make, clears in self._makers:
            known = len(oddities)
            value = make(member, extras)
            if value:
                fields[path] = value
            elif clears and len(oddities) == known:
                fields[path] = None
        return DesiredContact(member, fields, tuple(oddities))

    def reasons_against(self, member: Member, desired: DesiredContact) -> Iterable[Oddity]:
        """Why this member cannot be a contact at all, if so."""
        if not member.number:
            yield Oddity("invalid", "member_number", None, "has no member number")
        for field in self._required:
            if field != "member_number" and field in MEMBER_ATTRIBUTE and getattr(member, field) is None:
                yield Oddity("invalid", field, None, f"has no {field.replace('_', ' ')}")
        if member.email is not None and not _EMAIL.fullmatch(member.email):
            yield Oddity("invalid", "email", _shown(member.email), "has an e-mail that cannot be one")
        text = "".join(filter(None, desired.fields.values()))
        if len(text) <= MAX_TEXT and text.isascii() and text.isprintable():
            return  # then so is each value, as nearly always
        for path, value in desired.fields.items():
            if value is not None and (len(value) > MAX_TEXT or (not value.isascii() and _CONTROL.search(value))):
                yield Oddity("invalid", path, _shown(value), f"{path} is longer than {MAX_TEXT} characters or not text")
            elif value is not None and value.isascii() and not value.isprintable():
                yield Oddity("invalid", path, _shown(value), f"{path} holds control characters")


def _shown(value: str) -> str:
    """The beginning of a value that cannot be used, as text that can be written: half a character by its code."""
    return value[:80].encode(errors="backslashreplace").decode()


def _maker(field: FieldRule, rules: Rules) -> _Maker:
    """The function that makes one field of a contact from a member."""
    if field.is_ is not None:
        constant = field.is_
        return lambda _member, _extras: constant
    if field.as_ == "e164":
        return _phone
    if field.names == "positions.yaml":
        return _positions(rules.positions, field.join)
    if field.names == "member_types.yaml":
        return _member_type(rules)
    return _text(field.from_, field.join)


def _phone(member: Member, extras: _Extras) -> str | None:
    if extras.phone is None:
        return None
    if extras.phone.problem is not None:
        extras.oddities.append(Oddity("phone", "phone", member.phone, extras.phone.problem))
    return extras.phone.e164


def _positions(names: Mapping[str, str], join: str) -> _Maker:
    """Names joined in the order of positions.yaml, each once; codes without a name come last, as they are."""
    rank = {code: place for place, code in enumerate(names)}

    def make(_member: Member, extras: _Extras) -> str | None:
        if not extras.codes:
            return None
        codes = sorted({position.code for position in extras.codes}, key=lambda code: (rank.get(code, len(rank)), code))
        extras.oddities.extend(
            Oddity("position-code", "positions", code, _nameless(code)) for code in codes if code not in names
        )
        return join.join(dict.fromkeys(names.get(code, code) for code in codes if code))

    return make


def _nameless(code: str) -> str:
    return f"position code {code!r} has no name in positions.yaml" if code else "a position has no code"


def member_type(member: Member, rules: Rules) -> str | None:
    """The member's type by its name, or as `Active, 7` where it has none; None for a member without a type."""
    status, type_id = member.status or "", member.member_type_id or ""
    return rules.member_types.get((status, type_id)) or (f"{status}, {type_id}" if type_id else None)


def _member_type(rules: Rules) -> _Maker:
    def make(member: Member, extras: _Extras) -> str | None:
        shown = member_type(member, rules)
        if shown is None or (member.status or "", member.member_type_id or "") in rules.member_types:
            return shown
        extras.oddities.append(
            Oddity("member-type", "member_type_id", shown, f"member type {shown!r} has no name in member_types.yaml")
        )
        return shown

    return make


def _text(source: str | tuple[str, ...] | None, join: str) -> _Maker:
    """One member field, several joined, or a template such as `{first_name} {last_name}`."""
    if isinstance(source, str) and "{" not in source:
        attribute = MEMBER_ATTRIBUTE[source]
        return lambda member, _extras: getattr(member, attribute)
    if isinstance(source, tuple):
        attributes = [MEMBER_ATTRIBUTE[name] for name in source]
        return lambda member, _extras: join.join(filter(None, (getattr(member, name) for name in attributes))) or None
    return _template(source or "")


def _template(source: str) -> _Maker:
    """A text with member fields in braces, compiled: one text around the values for each set of fields that are given.

    The values themselves stay to the letter; white space that a blank field leaves behind is dropped.
    """
    pieces = [(text, name and MEMBER_ATTRIBUTE[name]) for text, name, _, _ in Formatter().parse(source)]
    names = [name for _, name in pieces if name]

    @cache
    def around(*given: bool) -> str:
        """Where `%s` stands for each value that is given."""
        left = iter(given)
        text = "".join(text.replace("%", "%%") + ("%s" if name and next(left) else "") for text, name in pieces)
        return text.strip() if all(given) else " ".join(text.split())

    def make(member: Member, _extras: _Extras) -> str | None:
        values = [getattr(member, name) for name in names]
        given = tuple(value for value in values if value is not None)
        return around(*(value is not None for value in values)) % given if given else None

    return make
