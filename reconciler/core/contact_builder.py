"""What each owned field of a contact is made from: `fields` of contacts.yaml, compiled, then called for each member."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from string import Formatter

import msgspec

from reconciler.core.model import MAX_TEXT, DesiredContact, Member, Oddity, Position
from reconciler.core.phones import Phone
from reconciler.core.rules import FieldRule, Rules

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

    whole = around(*[True] * len(names))

    def make(member: Member, _extras: _Extras) -> str | None:
        values = tuple([getattr(member, name) for name in names])
        if None not in values:
            return whole % values if values else None
        given = tuple(value for value in values if value is not None)
        return around(*(value is not None for value in values)) % given if given else None

    return make
