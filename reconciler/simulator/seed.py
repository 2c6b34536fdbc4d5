"""Filling the world from JSON lines, and writing it out as lines that fill another one to the same bytes.

One contact a line, in the shape of Intercom's own contact body; nothing is required and what is missing gets a
default. Besides: `_archived`, `_blocked` (true), `_merged_into` (a contact id), `_open_conversations` (how many to
make), and the lines
`{"_attribute": {"name", "data_type", ...}}`, `{"_conversation_attribute": {"name"}}`, `{"_conversation": {"contacts":
[id], ...}}`,
`{"_tag": {"id", "name"}}`, `{"_note": {"id", "contact_id", "body"}}`. Seeding bypasses Intercom's rules of identity
(historical duplicates exist) but not its types: the first wrong line is named, and nothing is loaded past it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec

from reconciler.simulator.attributes import STORED_AS
from reconciler.simulator.records import (
    DEVICE_FIELDS,
    MAX_NUMBER,
    Attribute,
    Contact,
    Conversation,
    ConversationAttribute,
    Note,
    Part,
    Place,
    Role,
    Scalar,
    State,
    Tag,
    Tagging,
)
from reconciler.simulator.world import ADMIN, World


class SeedError(ValueError):
    """A seed line that cannot be loaded; the message names its number, counted from 1."""


_Moment = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
"""Unix seconds."""


class _Tag(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None
    applied_at: _Moment | None = None
    admin_id: str | None = None


class _TagList(msgspec.Struct, frozen=True):
    data: list[_Tag] = []
    tags: list[_Tag] = []


class _Avatar(msgspec.Struct, frozen=True):
    image_url: str | None = None


_UNDERSCORED = (
    *("archived", "blocked", "deleted_at", "merged_into", "merged_at", "open_conversations", "taggings", "note_ids"),
)


class _Contact(msgspec.Struct, kw_only=True, rename={name: f"_{name}" for name in _UNDERSCORED}):
    """A contact line; the fields of Contact, all optional, and those with an underscore."""

    id: str | None = None
    role: Role = "user"
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    avatar: _Avatar | str | None = None
    owner_id: str | None = None
    created_at: _Moment | None = None
    updated_at: _Moment | None = None
    signed_up_at: _Moment | None = None
    last_seen_at: _Moment | None = None
    last_replied_at: _Moment | None = None
    last_contacted_at: _Moment | None = None
    last_email_opened_at: _Moment | None = None
    last_email_clicked_at: _Moment | None = None
    language_override: str | None = None
    has_hard_bounced: bool = False
    marked_email_as_spam: bool = False
    unsubscribed_from_emails: bool = False
    location: Place | None = None
    custom_attributes: dict[str, Scalar] | None = None
    tags: _TagList | None = None
    archived: bool = False
    blocked: bool = False
    deleted_at: _Moment | None = None
    merged_into: str | None = None
    merged_at: _Moment | None = None
    open_conversations: int = 0
    taggings: list[_Tag] | None = None
    note_ids: list[str] = []


class _Attribute(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    data_type: str = "string"
    id: int | None = None
    model: Literal["contact", "company"] = "contact"
    description: str = ""
    options: list[str] = []
    messenger_writable: bool = False
    archived: bool = False
    created_at: _Moment | None = None
    updated_at: _Moment | None = None
    dependants: bool = False


class _ConversationAttribute(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    data_type: str = "string"
    id: int | None = None
    created_at: _Moment | None = None
    updated_at: _Moment | None = None


class _Reference(msgspec.Struct):
    id: str


class _ContactList(msgspec.Struct):
    contacts: list[_Reference] = []


class _Conversation(msgspec.Struct, kw_only=True):
    id: str | None = None
    created_at: _Moment | None = None
    updated_at: _Moment | None = None
    state: Literal["open", "closed", "snoozed"] = "open"
    read: bool = False
    priority: Literal["none", "low", "medium", "high", "urgent"] = "none"
    title: str | None = None
    contacts: list[str] | _ContactList = []
    tags: list[_Tag] | _TagList = []
    custom_attributes: dict[str, Scalar] = {}
    parts: tuple[Part, ...] = ()
    source: dict[str, Any] = {}
    admin_assignee_id: int | None = None
    team_assignee_id: int | None = None
    archived: bool = False


class _Note(msgspec.Struct, forbid_unknown_fields=True):
    contact_id: str
    body: str
    id: str | None = None
    author_id: str | None = None
    created_at: _Moment | None = None


def load(world: World, lines: Iterable[bytes | str]) -> int:
    """Add the lines to the world; blank ones are skipped. The number of contacts added."""
    before = len(world.people)
    merged: list[tuple[int, str]] = []
    with _no_garbage_collection():
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                target = _load_line(world, line)
            except (msgspec.DecodeError, msgspec.ValidationError, ValueError, RecursionError) as cause:
                raise SeedError(f"seed line {number}: {cause}") from cause
            if target is not None:
                merged.append((number, target))
    for number, target in merged:
        if world.people.get(target) is None:
            raise SeedError(f"seed line {number}: _merged_into names {target!r}, which is no contact of this seed")
    return len(world.people) - before


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Loading makes hundreds of thousands of objects and drops none: collecting meanwhile costs half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _load_line(world: World, line: bytes | str) -> str | None:
    """Load one line; the id it was merged into, if any."""
    raw = msgspec.json.decode(line)
    if not isinstance(raw, dict):
        raise SeedError("not a JSON object")
    if "_attribute" in raw:
        _load_attribute(world, msgspec.convert(raw["_attribute"], _Attribute))
    elif "_conversation_attribute" in raw:
        _load_conversation_attribute(world, msgspec.convert(raw["_conversation_attribute"], _ConversationAttribute))
    elif "_conversation" in raw:
        _load_conversation(world, msgspec.convert(raw["_conversation"], _Conversation))
    elif "_tag" in raw:
        tag = msgspec.convert(raw["_tag"], Tag)
        world.tags[tag.id] = tag
    elif "_note" in raw:
        _load_note(world, msgspec.convert(raw["_note"], _Note))
    else:
        return _load_contact(world, raw)
    world.writes += 1
    return None


def _load_contact(world: World, raw: dict[str, Any]) -> str | None:
    seed = msgspec.convert(raw, _Contact)
    contact_id = world.new_contact_id() if seed.id is None else seed.id
    if not contact_id.isascii() or not contact_id.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"id {contact_id!r} is not letters, digits, - and _")
    if world.people.get(contact_id) is not None:
        raise ValueError(f"id {contact_id!r} was given before")
    created_at = world.now() if seed.created_at is None else seed.created_at
    updated_at = created_at if seed.updated_at is None else seed.updated_at
    taggings = seed.taggings if seed.taggings is not None else (seed.tags.data if seed.tags else [])
    contact = Contact(
        id=contact_id,
        role=seed.role,
        external_id=seed.external_id,
        email=seed.email,
        phone=seed.phone,
        name=seed.name,
        avatar=seed.avatar.image_url if isinstance(seed.avatar, _Avatar) else seed.avatar,
        owner_id=seed.owner_id,
        created_at=created_at,
        updated_at=updated_at,
        signed_up_at=seed.signed_up_at,
        last_seen_at=seed.last_seen_at,
        last_replied_at=seed.last_replied_at,
        last_contacted_at=seed.last_contacted_at,
        last_email_opened_at=seed.last_email_opened_at,
        last_email_clicked_at=seed.last_email_clicked_at,
        language_override=seed.language_override,
        has_hard_bounced=seed.has_hard_bounced,
        marked_email_as_spam=seed.marked_email_as_spam,
        unsubscribed_from_emails=seed.unsubscribed_from_emails,
        location=seed.location or Place(),
        device={name: raw[name] for name in DEVICE_FIELDS if raw.get(name) is not None},
        custom_attributes=_custom_attributes(world, seed.custom_attributes or {}),
        tags=tuple(_tagging(world, one, updated_at) for one in taggings),
        notes=tuple(seed.note_ids),
        state=_state(seed),
        merged_into=seed.merged_into,
        merged_at=updated_at if seed.merged_into is not None and seed.merged_at is None else seed.merged_at,
        deleted_at=seed.deleted_at,
    )
    world.people.add(contact, at=None)
    for _ in range(seed.open_conversations):
        _load_conversation(world, _Conversation(contacts=[contact_id], created_at=updated_at))
    return seed.merged_into


def _state(seed: _Contact) -> State:
    """At most one of the flags."""
    flags: dict[State, bool] = {
        "archived": seed.archived,
        "blocked": seed.blocked,
        "merged": seed.merged_into is not None,
        "deleted": seed.deleted_at is not None,
    }
    given = [state for state, flag in flags.items() if flag]
    if len(given) > 1:
        raise ValueError(f"a contact cannot be {' and '.join(given)}")
    return given[0] if given else "live"


def _custom_attributes(world: World, values: dict[str, Scalar]) -> dict[str, Scalar]:
    """Attributes must be known; nulls are none."""
    kept: dict[str, Scalar] = {name: value for name, value in values.items() if value is not None}
    for name, value in kept.items():
        if name not in world.attributes_by_name:
            hint = f'{{"_attribute": {{"name": "{name}", "data_type": "string"}}}}'
            raise ValueError(f"custom attribute {name!r} is not defined; put the line {hint} before it")
        _in_range(name, value)
    return kept


def _in_range(name: str, value: Scalar) -> None:
    if isinstance(value, (int, float)) and abs(value) > MAX_NUMBER:
        raise ValueError(f"custom attribute {name!r} is too large a number")


def _tagging(world: World, seed: _Tag, at: int) -> Tagging:
    """A tag nobody defined is defined now: a contact's own body names tags by id alone."""
    if seed.id not in world.tags:
        world.tags[seed.id] = Tag(seed.id, seed.name or f"Tag {seed.id}")
    return Tagging(seed.id, at if seed.applied_at is None else seed.applied_at, seed.admin_id or ADMIN.id)


def _load_attribute(world: World, seed: _Attribute) -> None:
    if seed.data_type not in STORED_AS:
        raise ValueError(f"data_type {seed.data_type!r} is none of {', '.join(STORED_AS)}")
    known = world.attributes_by_name.get(seed.name) if seed.model == "contact" else None
    created_at = world.workspace.created_at if seed.created_at is None else seed.created_at
    own_id = world.new_attribute_id() if known is None else known.id
    attribute = Attribute(
        id=own_id if seed.id is None else seed.id,
        name=seed.name,
        model=seed.model,
        data_type=STORED_AS[seed.data_type],
        description=seed.description,
        options=tuple(seed.options),
        messenger_writable=seed.messenger_writable,
        archived=seed.archived,
        created_at=created_at,
        updated_at=created_at if seed.updated_at is None else seed.updated_at,
        dependants=seed.dependants,
    )
    taken = world.attributes.get(attribute.id)
    if taken is not None and taken.name != attribute.name:
        raise ValueError(f"attribute id {attribute.id} belongs to {taken.name!r}")
    if known is not None and known.id != attribute.id:
        del world.attributes[known.id]
    world.put_attribute(attribute)


def _load_conversation_attribute(world: World, seed: _ConversationAttribute) -> None:
    created_at = world.workspace.created_at if seed.created_at is None else seed.created_at
    world.conversation_attributes[seed.name] = ConversationAttribute(
        id=len(world.conversation_attributes) + 1 if seed.id is None else seed.id,
        name=seed.name,
        data_type=seed.data_type,
        created_at=created_at,
        updated_at=created_at if seed.updated_at is None else seed.updated_at,
    )


def _load_conversation(world: World, seed: _Conversation) -> None:
    contacts = seed.contacts if isinstance(seed.contacts, list) else [one.id for one in seed.contacts.contacts]
    for one in contacts:
        if world.people.get(one) is None:
            raise ValueError(f"the conversation names contact {one!r}, which no line before it has")
    conversation_id = world.new_conversation_id() if seed.id is None else seed.id
    if conversation_id in world.conversations:
        raise ValueError(f"conversation id {conversation_id!r} was given before")
    created_at = world.now() if seed.created_at is None else seed.created_at
    updated_at = created_at if seed.updated_at is None else seed.updated_at
    for name, value in seed.custom_attributes.items():
        _in_range(name, value)
    tags = seed.tags if isinstance(seed.tags, list) else seed.tags.tags
    world.put_conversation(
        Conversation(
            id=conversation_id,
            created_at=created_at,
            updated_at=updated_at,
            state=seed.state,
            read=seed.read,
            priority=seed.priority,
            title=seed.title,
            contacts=tuple(contacts),
            tags=tuple(_tagging(world, one, updated_at) for one in tags),
            custom_attributes={name: value for name, value in seed.custom_attributes.items() if value is not None},
            parts=seed.parts,
            source=seed.source,
            admin_assignee_id=seed.admin_assignee_id or 0,
            team_assignee_id=seed.team_assignee_id or 0,
            archived=seed.archived,
        )
    )


def _load_note(world: World, seed: _Note) -> None:
    """A note; its contact lists it too, unless the contact's own line did."""
    contact = world.people.get(seed.contact_id)
    if contact is None:
        raise ValueError(f"the note names contact {seed.contact_id!r}, which no line before it has")
    note_id = world.new_note_id() if seed.id is None else seed.id
    created_at = contact.updated_at if seed.created_at is None else seed.created_at
    world.notes[note_id] = Note(note_id, contact.id, seed.author_id, seed.body, created_at)
    if note_id not in contact.notes:
        listed = msgspec.structs.replace(contact, notes=(note_id, *contact.notes))
        world.people.put(listed, at=None)


# --- writing it out -------------------------------------------------------------------------------------------------


def dump(world: World) -> Iterator[bytes]:
    """Lines that, loaded into an empty world of the same options, rebuild this one: same state, same ids to come."""
    for attribute in sorted(world.attributes.values(), key=lambda one: one.id):
        yield msgspec.json.encode({"_attribute": attribute})
    for conversation_attribute in world.conversation_attributes.values():
        yield msgspec.json.encode({"_conversation_attribute": conversation_attribute})
    for tag in world.tags.values():
        yield msgspec.json.encode({"_tag": tag})
    for contact in world.people:
        yield msgspec.json.encode(_contact_line(contact))
    for note in world.notes.values():
        yield msgspec.json.encode({"_note": note})
    for conversation in world.conversations.values():
        yield msgspec.json.encode({"_conversation": conversation})


def _contact_line(contact: Contact) -> dict[str, object]:
    """Only what differs from a default."""
    every: dict[str, Any] = msgspec.to_builtins(contact)
    device, state = every.pop("device"), every.pop("state")
    every["_taggings"], every["_note_ids"] = every.pop("tags"), every.pop("notes")
    for name in ("merged_into", "merged_at", "deleted_at"):
        every[f"_{name}"] = every.pop(name)
    every["location"] = {name: value for name, value in every["location"].items() if value is not None}
    every |= device
    every |= {f"_{state}": True} if state in ("archived", "blocked") else {}
    return {
        name: value
        for name, value in every.items()
        if value is not None and value is not False and value not in ([], {})
    }
