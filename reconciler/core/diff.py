"""What differs between a contact and what it should be: owned fields only, and each change with the rule that
speaks for it.

The fields are a flat mapping of texts, so the whole diff is one comparison a field. What counts as equal is decided
in `same`, once, for planning, for the check before a write, and for the check after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from reconciler.core.model import Contact, DesiredContact, Scalar
from reconciler.core.phones import parse_phone
from reconciler.core.text import clean, fold_email

FIX_PHONE = "fix-phone"
MISSING_POSITIONS = "missing-positions"
PROMOTE_LEAD = "promote-lead"
REPLACE_UUID = "replace-uuid-external-id"
UPDATE_ATTRIBUTES = "update-attributes"

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class Change(msgspec.Struct, frozen=True, gc=False):
    """One field of one contact that is not as it should be."""

    field: str
    found: Scalar
    wanted: str | None
    rule: str


def as_text(value: Scalar) -> str | None:
    """A value as text; blank is None. Numbers and booleans are what a typed custom attribute may hold; 7.0 is `7`, as
    in a source.
    """
    if isinstance(value, str):
        return clean(value)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_compared(field: str, value: Scalar) -> str | None:
    """A value in the form in which `same` compares it; blank is None."""
    text = as_text(value)
    return fold_email(text) if text is not None and field == "email" else text


def same(field: str, found: Scalar, wanted: Scalar) -> bool:
    """Whether a field holds what is wanted.

    Blank text, null and a missing field are one and the same nothing. E-mails are equal without regard to case
    (design §4.1), other texts to the letter, in NFC and without white space around them.
    """
    if found == wanted and isinstance(found, bool) is isinstance(wanted, bool):
        return True
    return as_compared(field, found) == as_compared(field, wanted)


def changes(contact: Contact, desired: DesiredContact, *, region: str, forms_phone: bool = True) -> tuple[Change, ...]:
    """All differences of one contact, in the order of contacts.yaml; its own phone, to be put in form, comes last.

    `forms_phone`: whether contacts.yaml owns the phone, in E.164.
    """
    found = tuple(
        Change(field, value, wanted, _speaker(field, contact, wanted, region))
        for field, wanted in desired.fields.items()
        if (value := contact.get(field)) != wanted and not same(field, value, wanted)
    )
    if forms_phone and _keeps_own_phone(contact, desired):
        return (*found, *_own_phone(contact, region))
    return found


def own_phone_problem(contact: Contact, desired: DesiredContact, *, region: str) -> str | None:
    """Why the contact's phone is no number, where the source knows none to put in its place; None where it is one."""
    return parse_phone(contact.phone or "", region).problem if _keeps_own_phone(contact, desired) else None


def is_uuid(text: str | None) -> bool:
    """Whether an external id is a UUID, as the WordPress site once wrote them."""
    return text is not None and _UUID.fullmatch(text.strip()) is not None


def _keeps_own_phone(contact: Contact, desired: DesiredContact) -> bool:
    return bool(contact.phone) and "phone" not in desired.fields and not desired.member.phone


def _own_phone(contact: Contact, region: str) -> Iterator[Change]:
    """The source knows no phone: the contact's own stays, in E.164 where it can be read as a number."""
    phone = parse_phone(contact.phone or "", region).e164
    if phone is not None and phone != contact.phone:
        yield Change("phone", contact.phone, phone, FIX_PHONE)


def _speaker(field: str, contact: Contact, wanted: str | None, region: str) -> str:
    """The rule that speaks for a change of this field: the narrowest one that knows it."""
    match field:
        case "role":
            return PROMOTE_LEAD
        case "external_id" if contact.role == "lead":
            return PROMOTE_LEAD
        case "external_id" if is_uuid(contact.external_id):
            return REPLACE_UUID
        case "phone" if contact.phone and parse_phone(contact.phone, region).e164 in {None, wanted}:
            return FIX_PHONE
        case "custom_attributes.positions" if wanted is None:
            return MISSING_POSITIONS
        case _:
            return UPDATE_ATTRIBUTES
