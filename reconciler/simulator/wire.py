"""JSON in and out: the shapes of Intercom's bodies, cursors and errors.

Field order and names follow the examples of the published description (ShowContact, ListContacts, searchConversations
...).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

import msgspec

from reconciler.simulator import errors
from reconciler.simulator.errors import ApiError
from reconciler.simulator.records import (
    DEVICE_FIELDS,
    Admin,
    Attribute,
    Contact,
    Conversation,
    ConversationAttribute,
    Note,
    Part,
    Tag,
    Tagging,
)

SHOWN = 10
"""How many tags or notes a contact's body shows (contact_tags in the description); more need a GET of their own."""

_encode = msgspec.json.Encoder().encode


def encode(value: object) -> bytes:
    """Compact JSON."""
    return _encode(value)


def decode_object(body: bytes) -> dict[str, object]:
    """The JSON object a caller sent; an empty body is an empty object. Refuses everything else (wording decided
    here).
    """
    if not body.strip():
        return {}
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as cause:
        raise ApiError(400, "bad_request", "The request body is not valid JSON") from cause
    if not isinstance(value, dict):
        raise errors.invalid("The request body must be a JSON object")
    return value


def error_body(error: ApiError, request_id: str) -> bytes:
    """An `error.list`. A 429 carries no request_id in Intercom's documentation, everything else does."""
    entry = {"code": error.code, "message": error.message}
    if error.status == errors.rate_limited(0, 0).status:
        return encode({"type": "error.list", "errors": [entry]})
    return encode({"type": "error.list", "request_id": request_id, "errors": [entry]})


# --- contacts -------------------------------------------------------------------------------------------------------


def contact_dict(contact: Contact, workspace_id: str) -> dict[str, object]:
    """A contact as ShowContact returns it. There is no field for archived or blocked."""
    url = f"/contacts/{contact.id}"
    place = msgspec.structs.asdict(contact.location)
    device = contact.device
    avatar = None if contact.avatar is None else {"type": "avatar", "image_url": contact.avatar}
    body: dict[str, object] = {
        "type": "contact",
        "id": contact.id,
        "workspace_id": workspace_id,
        "external_id": contact.external_id,
        "role": contact.role,
        "email": contact.email,
        "email_domain": email_domain(contact.email),
        "phone": contact.phone,
        "name": contact.name,
        "avatar": avatar,
        "owner_id": contact.owner_id,
        "social_profiles": {"type": "list", "data": []},
        "has_hard_bounced": contact.has_hard_bounced,
        "marked_email_as_spam": contact.marked_email_as_spam,
        "unsubscribed_from_emails": contact.unsubscribed_from_emails,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at,
        "signed_up_at": contact.signed_up_at,
        "last_seen_at": contact.last_seen_at,
        "last_replied_at": contact.last_replied_at,
        "last_contacted_at": contact.last_contacted_at,
        "last_email_opened_at": contact.last_email_opened_at,
        "last_email_clicked_at": contact.last_email_clicked_at,
        "language_override": contact.language_override,
        "location": {"type": "location", **place},
    }
    for name in DEVICE_FIELDS:
        body[name] = device.get(name)
    body["custom_attributes"] = contact.custom_attributes
    body["tags"] = _references("tag", [tagging.id for tagging in contact.tags], f"{url}/tags")
    body["notes"] = _references("note", contact.notes, f"{url}/notes")
    body["companies"] = _references("company", (), f"{url}/companies")
    body["opted_out_subscription_types"] = _references("subscription", (), f"{url}/subscriptions")
    body["opted_in_subscription_types"] = _references("subscription", (), f"{url}/subscriptions")
    for name in ("utm_campaign", "utm_content", "utm_medium", "utm_source", "utm_term", "referrer"):
        body[name] = None
    return body


def contact_bytes(contact: Contact, workspace_id: str) -> bytes:
    """A contact's body, encoded."""
    return encode(contact_dict(contact, workspace_id))


def email_domain(email: str | None) -> str | None:
    """What follows the last @, if there is one."""
    return None if email is None or "@" not in email else email.rpartition("@")[2]


def contact_reference(contact: Contact, **outcome: bool) -> bytes:
    """What archive, unarchive, block and delete answer (contact_reference in the description)."""
    return encode({"type": "contact", "id": contact.id, "external_id": contact.external_id, **outcome})


def merge_history(sources: Iterable[Contact], *, after: int, size: int) -> bytes:
    """ListContactMergeHistory: a page of merged contacts, `after` of them already shown."""
    rows = [
        {
            "type": "merge_history",
            "source_contact_id": one.id,
            "source_contact_role": one.role,
            "merged_at": one.merged_at,
        }
        for one in sources
    ]
    more = after + size < len(rows)
    page = {"type": "list", "data": rows[after : after + size]}
    return encode({**page, "next_cursor": write_cursor("merge", after + size) if more else None, "has_more": more})


def _references(kind: str, ids: Sequence[str], url: str) -> dict[str, object]:
    """An addressable list: at most ten references, and how many there are."""
    path = {"tag": "/tags/", "note": "/notes/"}.get(kind, "/")
    shown = [{"type": kind, "id": one, "url": f"{path}{one}"} for one in ids[:SHOWN]]
    return {"type": "list", "data": shown, "url": url, "total_count": len(ids), "has_more": len(ids) > SHOWN}


# --- pages and cursors ----------------------------------------------------------------------------------------------


def page_bytes(
    bodies: Iterable[bytes],
    *,
    total: int,
    page: int,
    size: int,
    cursor: str | None,
    kind: str = "list",
    key: str = "data",
) -> bytes:
    """One page of already encoded bodies. page: from 1.  cursor: where the next one starts, None on the last."""
    following = None if cursor is None else {"page": page + 1, "per_page": size, "starting_after": cursor}
    pages = {"type": "pages", "next": following, "page": page, "per_page": size, "total_pages": -(-total // size)}
    head = b'{"type":"' + kind.encode() + b'","' + key.encode() + b'":['
    tail = b'],"total_count":' + str(total).encode() + b',"pages":' + encode(pages) + b"}"
    return head + b",".join(bodies) + tail


def write_cursor(kind: str, *position: object) -> str:
    """An opaque cursor. kind: the listing it belongs to, so that no other one accepts it."""
    return base64.urlsafe_b64encode(encode([kind, *position])).decode()


def read_cursor(kind: str, cursor: object, *types: type | tuple[type, ...]) -> list[object]:
    """The position a cursor of this listing holds, or the 400 that Intercom answers to a made-up one."""
    if not isinstance(cursor, str):
        raise errors.bad_cursor()
    try:
        value = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()))
    except (msgspec.DecodeError, ValueError, RecursionError) as cause:
        raise errors.bad_cursor() from cause
    if not isinstance(value, list) or len(value) != len(types) + 1 or value[0] != kind:
        raise errors.bad_cursor()
    if not all(isinstance(one, wanted) for one, wanted in zip(value[1:], types, strict=True)):
        raise errors.bad_cursor()
    return value[1:]


# --- everything else ------------------------------------------------------------------------------------------------


def list_bytes(data: Sequence[object]) -> bytes:
    """A whole list, without pages (listTags, lisDataAttributes)."""
    return encode({"type": "list", "data": data})


def tag_dict(tag: Tag, tagging: Tagging | None = None) -> dict[str, object]:
    """A tag; on something, also when and by whom it was put there (attachTagToContact)."""
    body: dict[str, object] = {"type": "tag", "id": tag.id, "name": tag.name}
    if tagging is not None:
        body |= {"applied_at": tagging.applied_at, "applied_by": {"type": "admin", "id": tagging.admin_id}}
    return body


def note_dict(note: Note, author: Admin | None) -> dict[str, object]:
    """A note (listNotes)."""
    who: dict[str, object] | None = None
    if author is not None:
        who = {"type": "admin", "id": author.id, "name": author.name, "email": author.email}
        who |= {"away_mode_enabled": False, "away_mode_reassign": False}
    contact = {"type": "contact", "id": note.contact_id}
    return {
        "type": "note",
        "id": note.id,
        "created_at": note.created_at,
        "contact": contact,
        "author": who,
        "body": note.body,
    }


def notes_bytes(notes: Sequence[dict[str, object]], *, page: int, size: int) -> bytes:
    """A page of notes, youngest first."""
    total = len(notes)
    pages = {"type": "pages", "next": None, "page": page, "per_page": size, "total_pages": max(1, -(-total // size))}
    shown = notes[(page - 1) * size : page * size]
    return encode({"type": "list", "data": shown, "total_count": total, "pages": pages})


def attribute_dict(attribute: Attribute, admin_id: str) -> dict[str, object]:
    """A custom data attribute (data_attribute in the description)."""
    body: dict[str, object] = {
        "id": attribute.id,
        "type": "data_attribute",
        "name": attribute.name,
        "full_name": f"custom_attributes.{attribute.name}",
        "label": attribute.name,
        "description": attribute.description,
        "data_type": attribute.data_type,
    }
    if attribute.options:
        body["options"] = attribute.options
    return body | {
        "api_writable": True,
        "ui_writable": False,
        "messenger_writable": attribute.messenger_writable,
        "custom": True,
        "archived": attribute.archived,
        "admin_id": admin_id,
        "created_at": attribute.created_at,
        "updated_at": attribute.updated_at,
        "model": attribute.model,
    }


def standard_attribute_dict(name: str, data_type: str, model: str, *, writable: bool) -> dict[str, object]:
    """An attribute every workspace has: no id, not custom."""
    return {
        "type": "data_attribute",
        "name": name,
        "full_name": name,
        "label": name.replace("_", " ").capitalize(),
        "description": "",
        "data_type": data_type,
        "api_writable": writable,
        "ui_writable": False,
        "messenger_writable": False,
        "custom": False,
        "archived": False,
        "model": model,
    }


def conversation_attribute_dict(attribute: ConversationAttribute, admin_id: str) -> dict[str, object]:
    """A conversation attribute (listConversationAttributes)."""
    return {
        "type": "conversation_attribute",
        "id": attribute.id,
        "name": attribute.name,
        "description": "",
        "data_type": attribute.data_type,
        "required": False,
        "visible_to_team_ids": [],
        "archived": False,
        "created_at": attribute.created_at,
        "updated_at": attribute.updated_at,
        "admin_id": admin_id,
        "multiline": False,
    }


MAX_PARTS = 500
"""The parts that a conversation shows, the most recent ones (retrieveConversation)."""


def part_dict(part: Part, author: Admin | None) -> dict[str, object]:
    """A part of a conversation, with its author as they are called now."""
    said_by = (
        {"id": part.author_id} if author is None else {"id": author.id, "name": author.name, "email": author.email}
    )
    return {
        "type": "conversation_part",
        "id": part.id,
        "part_type": part.part_type,
        "body": part.body,
        "created_at": part.created_at,
        "updated_at": part.created_at,
        "notified_at": part.created_at,
        "assigned_to": None,
        "author": {"type": "admin", **said_by},
        "attachments": [],
        "external_id": None,
        "redacted": False,
        "metadata": {},
        "email_message_metadata": None,
        "app_package_code": None,
    }


def conversation_dict(
    conversation: Conversation,
    contacts: Sequence[tuple[str, str | None]],
    tags: Sequence[dict[str, object]],
    parts: Sequence[dict[str, object]] = (),
) -> dict[str, object]:
    """A conversation. contacts: (id, external_id) references only.  tags, parts: as `tag_dict` and `part_dict` give
    them; a list of conversations shows no parts.
    """
    people = [{"type": "contact", "id": one, "external_id": external_id} for one, external_id in contacts]
    return {
        "type": "conversation",
        "id": conversation.id,
        "title": conversation.title,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "waiting_since": None,
        "snoozed_until": None,
        "source": conversation.source,
        "contacts": {"type": "contact.list", "contacts": people},
        "admin_assignee_id": conversation.admin_assignee_id,
        "team_assignee_id": conversation.team_assignee_id,
        "open": conversation.open,
        "state": conversation.state,
        "read": conversation.read,
        "priority": conversation.priority,
        "tags": {"type": "tag.list", "tags": list(tags)},
        "custom_attributes": conversation.custom_attributes,
        "conversation_parts": {
            "type": "conversation_part.list",
            "conversation_parts": list(parts[-MAX_PARTS:]),
            "total_count": len(parts),
        },
    }
