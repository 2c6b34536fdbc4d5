"""The nouns of the project (design §2): what a source says, what Intercom says, and what we say about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

Scalar: TypeAlias = str | int | float | bool | None
"""A value of a contact's field. Intercom keeps custom attributes as strings, numbers, booleans or dates."""

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""How a long read reports: what is being read, how many so far, of how many (None where nobody knows yet)."""


def silent(stage: str, done: int, total: int | None) -> None:
    """A Progress for whoever does not want to know."""


Severity: TypeAlias = Literal["fixable", "review", "info"]
"""`fixable`: an action of the plan mends it · `review`: a person has to decide · `info`: worth knowing."""

Target: TypeAlias = Literal["contacts", "positions"]
"""Where the state lives that a plan changes (design §2): Intercom's contacts, or the Supabase positions table."""

PLACES: Mapping[Target, str] = {"contacts": "Intercom", "positions": "Supabase"}
"""Whom each target is asked of and written to."""

MAX_TEXT = 255
"""Characters of a text attribute, at most (blog.nbostech.com, quoting Intercom's documentation). For name, e-mail,
phone and external id no limit is published; nothing sound is longer than this.
"""

ATTRIBUTE_PREFIX = "custom_attributes."


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One row of the members table: text trimmed and in NFC, blank text as None, nothing else changed."""

    number: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    status: str | None = None
    member_type_id: str | None = None
    region: str | None = None
    facility: str | None = None
    row: str = ""
    """Where it was read: table and key, in the words of rules/sources.yaml, e.g. `members/12345`."""

    @property
    def full_name(self) -> str:
        """First and last name, as far as the row has them; `""` where it has neither."""
        return " ".join(filter(None, (self.first_name, self.last_name)))


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One elected position of one member."""

    member_number: str
    code: str
    row: str = ""


class Quarantined(msgspec.Struct, frozen=True, gc=False):
    """One row of the source that cannot be used as it is (core/poison.py): nothing is done to its member's contact."""

    table: Literal["members", "positions"]
    number: str
    """The member number, without what may not stand in one; `""` where it is not known."""
    row: str
    reasons: tuple[tuple[str, str], ...]
    """Field and what is wrong with it, never its value."""


class PositionRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the Supabase positions table, as it is written there: nothing trimmed, null as None."""

    member_number: str | None
    code: str | None
    id: str | None = None
    """The row's own id, where rules/sources.yaml names a column that holds one."""


class SourceData(msgspec.Struct, frozen=True, gc=False):
    """Everything one source said in one read, ordered by member number (positions: then by code)."""

    name: str
    """`sqlite`, `mysql`, `supabase`: the word that stands in evidence and in the plan's inputs."""
    members: tuple[Member, ...]
    positions: tuple[Position, ...]
    page_size: int | None = None
    """Where it was read in pages: how many rows a full one has."""
    quarantined: tuple[Quarantined, ...] = ()
    """Rows that cannot be used. A member's is among `members` too, with what is sane of it; a position's is not."""
    changed_at: str | None = None
    """The latest time of change of any member, ISO 8601 in UTC, where rules/sources.yaml names a column for it."""

    def unsure(self) -> frozenset[str]:
        """Numbers of the members of whom a row is quarantined. For look-ups only: never iterated."""
        return frozenset(one.number for one in self.quarantined if one.number)


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """A contact as Intercom returned it, cut down to what the rules may look at.

    Times are unix seconds. `custom_attributes` holds only the attributes that we own.
    """

    id: str
    role: str
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    custom_attributes: dict[str, Scalar] = {}
    created_at: int | None = None
    updated_at: int | None = None
    last_seen_at: int | None = None

    def get(self, field: str) -> Scalar:
        """The value of an owned field by its path, e.g. `phone` or `custom_attributes.region`."""
        attribute = _attribute(field)
        if attribute is not None:
            return self.custom_attributes.get(attribute)
        value: Scalar = getattr(self, field)
        return value


@lru_cache(maxsize=256)
def _attribute(field: str) -> str | None:
    """The name of the custom attribute that a path leads to; None for a field of the contact itself."""
    return field[len(ATTRIBUTE_PREFIX) :] if field.startswith(ATTRIBUTE_PREFIX) else None


class Oddity(msgspec.Struct, frozen=True, gc=False):
    """Something about a member that keeps one field, or the whole contact, from being as the rules want it."""

    kind: Literal["invalid", "phone", "position-code", "member-type", "place-code"]
    field: str
    """The member field it is about, in the words of `from:` in contacts.yaml."""
    value: str | None
    says: str


class DesiredContact(msgspec.Struct, frozen=True, gc=False):
    """What the contact of one member must look like: owned fields only.

    A field that is not in `fields` is left as it is; a field that is None is cleared.
    """

    member: Member
    fields: Mapping[str, str | None]
    oddities: tuple[Oddity, ...] = ()


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, rename={"origin": "from"}):
    """One value, and where it stands."""

    origin: str
    """Source and row, e.g. `supabase members/12345` or `intercom contacts/5ba682d2`."""
    field: str
    value: Scalar = None


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """Something true and worth saying, with or without an action."""

    id: str
    rule: str
    severity: Severity
    contact: str | None = None
    member: str | None = None
    says: str = ""
    evidence: tuple[Evidence, ...] = ()


class Workspace(msgspec.Struct, frozen=True):
    """What a plan is for: the Intercom workspace that a token opens (GET /me), or the Supabase project of a table."""

    id: str
    name: str
    timezone: str = ""
    admin_id: str = ""
