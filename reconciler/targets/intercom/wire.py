"""Intercom's bodies, version 2.16: what we read of them, and how our fields become theirs.

Each Struct names only the fields that somebody here looks at. A field that Intercom adds is skipped by the decoder
without ever becoming an object, which is also why a page of 150 contacts costs so little; a required field that is
missing is an error. A new API version starts in this file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from reconciler.core.model import ATTRIBUTE_PREFIX, MAX_TEXT, Contact, Scalar, Workspace
from reconciler.errors import TargetError

VERSION = "2.16"
"""Sent as `Intercom-Version`; without that header the app's own default applies, or 1.0."""

PREVIEW = "Preview"
"""Sent instead for what only the Preview has: updates in bulk."""

PER_PAGE = 150
"""The most that ListContacts, SearchContacts and searchConversations give at a time."""

MAX_FILTERS = 15
"""The most filters of one AND or OR group (SearchContacts, searchConversations)."""

Id = Annotated[str, msgspec.Meta(min_length=1)]


class WireContact(msgspec.Struct, frozen=True, gc=False):
    """A contact (schema `contact`). It has no field for archived or blocked: such contacts cannot be read at all.

    Times are unix seconds. `owner_id` is a string since 2.16. `custom_attributes` is Any-valued because references to
    custom objects stand among the scalars as JSON objects.
    """

    id: Id
    role: Id
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    owner_id: str | None = None
    custom_attributes: dict[str, Any] = {}
    created_at: int | None = None
    updated_at: int | None = None
    last_seen_at: int | None = None

    def get(self, field: str) -> Scalar:
        """The value at one of our paths; None where there is none, or where it is nothing that we could write."""
        if field.startswith(ATTRIBUTE_PREFIX):
            return _scalar(self.custom_attributes.get(field[len(ATTRIBUTE_PREFIX) :]))
        return _scalar(getattr(self, field)) if field in self.__struct_fields__ else None


class Next(msgspec.Struct, frozen=True, gc=False):
    """Where the next page starts (schema `starting_after_paging`)."""

    starting_after: str | None = None


class Pages(msgspec.Struct, frozen=True, gc=False):
    """Schema `cursor_pages`; `next` is null on the last page."""

    next: Next | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What every paged list has."""

    total_count: int
    pages: Pages | None = None

    @property
    def cursor(self) -> str | None:
        """What to ask the next page with; None on the last one."""
        return self.pages.next.starting_after if self.pages and self.pages.next else None


class ContactPage(Page, frozen=True, kw_only=True):
    """One page of ListContacts or SearchContacts (schema `contact_list`)."""

    data: list[WireContact]

    @property
    def items(self) -> list[WireContact]:
        """The contacts of this page."""
        return self.data


class ContactRef(msgspec.Struct, frozen=True, gc=False):
    """A contact as a conversation names it."""

    id: Id


class ContactRefs(msgspec.Struct, frozen=True):
    """Schema `conversation_contacts`."""

    contacts: list[ContactRef] = []


class WireConversation(msgspec.Struct, frozen=True):
    """A conversation (schema `conversation_list_item`), cut down to who takes part."""

    id: Id
    contacts: ContactRefs | None = None


class ConversationPage(Page, frozen=True, kw_only=True):
    """One page of searchConversations (schema `conversation_list`)."""

    conversations: list[WireConversation]

    @property
    def items(self) -> list[WireConversation]:
        """The conversations of this page."""
        return self.conversations


class Tag(msgspec.Struct, frozen=True):
    """Schema `tag`."""

    id: Id
    name: str = ""


class Tags(msgspec.Struct, frozen=True):
    """Schema `tags`, as a conversation shows them: all of them."""

    tags: tuple[Tag, ...] = ()


class Part(msgspec.Struct, frozen=True):
    """Schema `conversation_part`. body: HTML; of a note, what an admin or a program of theirs wrote."""

    part_type: str = ""
    body: str | None = None


class Parts(msgspec.Struct, frozen=True):
    """Schema `conversation_parts`: the 500 most recent ones."""

    conversation_parts: tuple[Part, ...] = ()


class OneConversation(msgspec.Struct, frozen=True):
    """A conversation that was read alone (schema `conversation`)."""

    id: Id
    contacts: ContactRefs | None = None
    tags: Tags | None = None
    custom_attributes: dict[str, Any] = {}
    conversation_parts: Parts | None = None

    def attribute(self, name: str) -> Scalar:
        """The value of one of its attributes; None where it has none, or where it is no text and no number."""
        return _scalar(self.custom_attributes.get(name))

    def tag(self, name: str) -> str | None:
        """The id of its tag of this name; None where it has none. Intercom's names do not differ by case alone."""
        tags = self.tags.tags if self.tags is not None else ()
        return next((tag.id for tag in tags if tag.name.strip().casefold() == name.casefold()), None)

    def notes_with(self, text: str) -> int:
        """How many notes hold a text."""
        parts = self.conversation_parts.conversation_parts if self.conversation_parts is not None else ()
        return sum(1 for part in parts if part.part_type == "note" and text in (part.body or ""))


class WireApp(msgspec.Struct, frozen=True):
    """The workspace inside /me; `timezone` is an IANA name in which search cuts its days (SearchContacts)."""

    id_code: Id
    timezone: str
    name: str = ""


class Me(msgspec.Struct, frozen=True):
    """GET /me (identifyAdmin, schema `admin_with_app`)."""

    id: Id
    app: WireApp

    def workspace(self) -> Workspace:
        """As the rest of the project names it."""
        return Workspace(id=self.app.id_code, name=self.app.name, timezone=self.app.timezone, admin_id=self.id)


class DataAttribute(msgspec.Struct, frozen=True):
    """One data attribute (schema `data_attribute`). Only custom ones have an id."""

    name: str
    full_name: str = ""
    data_type: str = ""
    id: int | None = None
    custom: bool = False
    archived: bool = False
    api_writable: bool = True


class DataAttributeList(msgspec.Struct, frozen=True):
    """Schema `data_attribute_list`: one answer, not paged."""

    data: tuple[DataAttribute, ...]


class Flagged(msgspec.Struct, frozen=True):
    """The short answer of ArchiveContact, UnarchiveContact, BlockContact and DeleteContact."""

    id: Id
    archived: bool | None = None
    blocked: bool | None = None
    deleted: bool | None = None


class BulkJob(msgspec.Struct, frozen=True):
    """Schema `contacts_bulk_job` of the Preview: it tells of no item what became of it."""

    id: Id
    state: Id

    @property
    def ended(self) -> bool:
        """Whether nothing more of it will happen."""
        return self.state in ("completed", "completed_with_errors")


class ErrorEntry(msgspec.Struct, frozen=True):
    """One entry of an `error.list`."""

    code: str
    message: str | None = None


class ErrorList(msgspec.Struct, frozen=True):
    """Schema `error`: the body of every refusal."""

    errors: tuple[ErrorEntry, ...]
    request_id: str | None = None


CONTACT = msgspec.json.Decoder(WireContact)
CONTACT_PAGE = msgspec.json.Decoder(ContactPage)
CONVERSATION_PAGE = msgspec.json.Decoder(ConversationPage)
ONE_CONVERSATION = msgspec.json.Decoder(OneConversation)
TAG = msgspec.json.Decoder(Tag)
ME = msgspec.json.Decoder(Me)
DATA_ATTRIBUTE = msgspec.json.Decoder(DataAttribute)
DATA_ATTRIBUTES = msgspec.json.Decoder(DataAttributeList)
BULK_JOB = msgspec.json.Decoder(BulkJob)
FLAGGED = msgspec.json.Decoder(Flagged)
ERRORS = msgspec.json.Decoder(ErrorList)


def to_contact(wire: WireContact, owned: frozenset[str]) -> Contact:
    """The contact that the rules see.

    Of the custom attributes only the `owned` ones are kept (names without `custom_attributes.`). A blank e-mail,
    phone, name or external id becomes None, since Intercom shows an absent one either way; a blank custom attribute
    stays the blank text it is.
    """
    attributes = wire.custom_attributes
    return Contact(
        id=wire.id,
        role=wire.role,
        external_id=wire.external_id or None,
        email=wire.email or None,
        phone=wire.phone or None,
        name=wire.name or None,
        custom_attributes={name: _scalar(value) for name, value in attributes.items() if name in owned},
        created_at=wire.created_at,
        updated_at=wire.updated_at,
        last_seen_at=wire.last_seen_at,
    )


class Unsendable(TargetError):
    """A value that Intercom cannot keep. It never left, as Intercom might cut it or clear the field without a word."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(
            f"The value of {field} cannot be sent: {why}.",
            next_step="Correct it where it comes from, or have rules/contacts.yaml leave this field alone.",
        )


def to_body(fields: Mapping[str, Scalar]) -> dict[str, Any]:
    """Our flat paths as the nested JSON of CreateContact and UpdateContact. Raises Unsendable."""
    body: dict[str, Any] = {}
    for path, value in fields.items():
        _check(path, value)
        if path.startswith(ATTRIBUTE_PREFIX):
            body.setdefault("custom_attributes", {})[path[len(ATTRIBUTE_PREFIX) :]] = value
        else:
            body[path] = value
    return body


def _check(field: str, value: object) -> None:
    """Lists and objects cannot come out of our own types, but out of a plan's JSON or a new rule they could."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise Unsendable(field, f"it has {len(value)} characters, and {MAX_TEXT} is the most")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unsendable(field, "it is no finite number, which JSON would turn into null")
    if value is not None and not isinstance(value, str | int | float):
        raise Unsendable(field, f"it is a {type(value).__name__}, and only texts, numbers and booleans can be kept")


_CONFLICT = re.compile(r"(A|An archived) contact matching those details already exists with id=(\w+)")


def parse_conflict(message: str | None) -> tuple[str | None, bool]:
    """The contact that a 409 names, and whether it is archived: (None, False) for any other text.

    The live text stands in the reference of create-contact, the archived one in pull request 543 of the description's
    repository. Code and status are the same for both, so the text is the only way to tell, and the only way to an
    archived contact's id.
    """
    found = _CONFLICT.match(message or "")
    return (found[2], found[1] == "An archived") if found else (None, False)


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, str | int | float) else None
