"""Single changes of contacts, of decisions about them, and of their past, for `core/explain/flips.py` to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from reconciler.core.explain.again import Setting
from reconciler.core.explain.trial import Trial
from reconciler.core.model import Contact, Member, Scalar
from reconciler.core.world import with_fields

MOST_MAPPED = 3
"""Members that a contact is tried to be mapped to."""

_IDENTIFYING = ("external_id", "custom_attributes.member_number", "email", "phone", "name")


def changes_of_contact(setting: Setting, contact: Contact, rows: tuple[Member, ...], *, kept: bool) -> Iterator[Trial]:
    """Another count of conversations, other identifying values, another role or age, or no such contact.

    `kept`: whether this is the contact that the member keeps.
    """
    yield _conversations(setting, contact)
    for row in rows:
        for field, value in _values_of(row).items():
            if value is not None and contact.get(field) != value:
                says = f", {field} were {value!r} (now {contact.get(field)!r})"
                yield _changed(setting, contact, {field: value}, says)
    for field in _IDENTIFYING:
        if contact.get(field):
            yield _changed(setting, contact, {field: None}, f", {field} were blank (now {contact.get(field)!r})")
    other = "user" if contact.role == "lead" else "lead"
    yield _changed(setting, contact, {"role": other}, f" were a {other} (now a {contact.role})")
    if kept:
        yield from _as_wanted(setting, contact, rows)
    else:
        yield _seen_last(setting, contact)
    yield Trial(f"contact {contact.id} were not there", _with(setting, contact, None))


def changes_of_holders(setting: Setting, contacts: Sequence[Contact], rows: tuple[Member, ...]) -> Iterator[Trial]:
    """Contacts that are not the member's and hold what it should have: without it."""
    wanted = {("external_id", row.number) for row in rows} | {("email", row.email) for row in rows if row.email}
    for holder in setting.contacts:
        for field in ("external_id", "email"):
            value = holder.get(field)
            if holder not in contacts and (field, value) in wanted:
                yield _changed(setting, holder, {field: None}, f" did not hold {field} {value!r}")


def changes_of_mappings(setting: Setting, member: str | None, contacts: Sequence[Contact]) -> Iterator[Trial]:
    """A person's decision that a contact is this or another member of the group, and the lack of one."""
    numbers = sorted({row.number for row in setting.source.members if row.number}, key=lambda one: (one != member, one))
    for contact in contacts:
        mappings = setting.rules.mappings
        mapped = mappings.get(contact.id)
        if mapped is not None:
            rest = {one: number for one, number in mappings.items() if one != contact.id}
            yield _mapped(setting, rest, f"mappings.yaml did not say that contact {contact.id} is member {mapped}")
        for number in [one for one in numbers if one != mapped][:MOST_MAPPED]:
            more = {**mappings, contact.id: number}
            yield _mapped(setting, more, f"mappings.yaml said that contact {contact.id} is member {number}")


def changes_of_past(setting: Setting, contacts: Sequence[Contact]) -> Iterator[Trial]:
    """Without the writes back and forth that froze a contact."""
    for contact in contacts:
        if contact.id in setting.history.flips:
            flips = {one: fields for one, fields in setting.history.flips.items() if one != contact.id}
            history = msgspec.structs.replace(setting.history, flips=flips)
            text = f"contact {contact.id} had not been written back and forth in the days before"
            yield Trial(text, msgspec.structs.replace(setting, history=history))


def _values_of(row: Member) -> dict[str, str | None]:
    return {
        "external_id": row.number,
        "custom_attributes.member_number": row.number,
        "email": row.email,
        "phone": row.phone,
        "name": row.full_name or None,
    }


def _conversations(setting: Setting, contact: Contact) -> Trial:
    open_now = setting.open_conversations.get(contact.id, 0)
    counts = {**setting.open_conversations, contact.id: 0 if open_now else 1}
    text = f"contact {contact.id} had {'no open conversation' if open_now else 'an open conversation'}"
    return Trial(text, msgspec.structs.replace(setting, open_conversations=counts))


def _as_wanted(setting: Setting, contact: Contact, rows: tuple[Member, ...]) -> Iterator[Trial]:
    wanted = setting.world().people.wanted
    for row in rows:
        if row.number in wanted:
            fields = dict(wanted[row.number].fields)
            yield _changed(setting, contact, fields, " had every value already that it should have")


def _seen_last(setting: Setting, contact: Contact) -> Trial:
    latest = max((one.last_seen_at or 0 for one in setting.contacts), default=0) + 1
    seen = msgspec.structs.replace(contact, last_seen_at=latest)
    text = f"contact {contact.id} had been seen later than every other"
    return Trial(text, _with(setting, contact, seen))


def _changed(setting: Setting, contact: Contact, fields: Mapping[str, Scalar], says: str) -> Trial:
    changed = _with(setting, contact, with_fields(contact, fields))
    return Trial(f"contact {contact.id}{says}", changed)


def _with(setting: Setting, old: Contact, new: Contact | None) -> Setting:
    """The setting with one contact replaced, or left out."""
    kept = (new if one is old else one for one in setting.contacts)
    return msgspec.structs.replace(setting, contacts=tuple(one for one in kept if one is not None))


def _mapped(setting: Setting, mappings: dict[str, str], text: str) -> Trial:
    rules = msgspec.structs.replace(setting.rules, mappings=mappings)
    return Trial(text, msgspec.structs.replace(setting, rules=rules))
