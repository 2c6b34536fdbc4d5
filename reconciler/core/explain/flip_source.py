"""Single changes of the source, for `core/explain/flips.py` to try."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from reconciler.core.explain.again import Setting
from reconciler.core.explain.trial import Trial
from reconciler.core.model import Contact, Member

_COMPARED = (
    ("email", "email"),
    ("phone", "phone"),
    ("region", "custom_attributes.region"),
    ("facility", "custom_attributes.facility"),
)


def changes_of_row(setting: Setting, row: Member, contacts: Sequence[Contact]) -> Iterator[Trial]:
    """Other values in one row of the member: another status, what a contact has, another value, or no row."""
    yield from _statuses(setting, row)
    yield from _as_on_contacts(setting, row, contacts)
    yield from _emails(setting, row)
    for field in ("region", "facility", "last_name", "phone"):
        value = getattr(row, field)
        if value is not None:
            yield _changed(setting, row, field, f"{value} (other)", f"another one (now {value!r})")
    yield Trial(f"{_where(setting, row)} were not there", _with(setting, row, None))


def changes_of_positions(setting: Setting, member: str | None) -> Iterator[Trial]:
    """Without one of the member's positions."""
    for position in setting.source.positions:
        if position.member_number == member:
            rest = tuple(one for one in setting.source.positions if one is not position)
            source = msgspec.structs.replace(setting.source, positions=rest)
            text = f"{setting.source.name} {position.row} ({position.code}) were not there"
            yield Trial(text, msgspec.structs.replace(setting, source=source))


def changes_of_others(setting: Setting, rows: tuple[Member, ...]) -> Iterator[Trial]:
    """Other members of the group: without the e-mail or phone that this one has, too; or not there."""
    numbers = {row.number for row in rows}
    others = [row for row in setting.source.members if row.number not in numbers]
    for other in others:
        for field in ("email", "phone"):
            value = getattr(other, field)
            if value is not None and any(getattr(row, field) == value for row in rows):
                yield _changed(setting, other, field, None, f"another than this one's (now {value!r})")
    for other in others:
        yield Trial(f"{_where(setting, other)} were not there", _with(setting, other, None))


def _statuses(setting: Setting, row: Member) -> Iterator[Trial]:
    statuses = setting.rules.contacts.who.status
    for status in statuses:
        if status != row.status:
            yield _changed(setting, row, "status", status, f"{status!r} (now {row.status!r})")
    if row.status in statuses:
        yield _changed(setting, row, "status", None, f"none of {', '.join(statuses)} (now {row.status!r})")


def _as_on_contacts(setting: Setting, row: Member, contacts: Sequence[Contact]) -> Iterator[Trial]:
    for contact in contacts:
        for field, path in _COMPARED:
            value, now = contact.get(path), getattr(row, field)
            if isinstance(value, str) and value != now:
                yield _changed(setting, row, field, value, f"{value!r}, as on contact {contact.id} (now {now!r})")
        if contact.name:
            named = msgspec.structs.replace(row, first_name=None, last_name=contact.name)
            text = f"{_where(setting, row)}, name were {contact.name!r}, as on contact {contact.id}"
            yield Trial(text, _with(setting, row, named))


def _emails(setting: Setting, row: Member) -> Iterator[Trial]:
    if row.email is not None:
        yield _changed(setting, row, "email", None, f"blank (now {row.email!r})")
    yield _changed(setting, row, "email", f"{row.number}@own.example", f"one that nobody else has (now {row.email!r})")


def _changed(setting: Setting, row: Member, field: str, value: str | None, says: str) -> Trial:
    new = msgspec.structs.replace(row, **{field: value})
    return Trial(f"{_where(setting, row)}, {field} were {says}", _with(setting, row, new))


def _where(setting: Setting, row: Member) -> str:
    return f"{setting.source.name} {row.row}"


def _with(setting: Setting, old: Member, new: Member | None) -> Setting:
    """The setting with one row replaced, or left out."""
    kept = (new if row is old else row for row in setting.source.members)
    rows = tuple(row for row in kept if row is not None)
    return msgspec.structs.replace(setting, source=msgspec.structs.replace(setting.source, members=rows))
