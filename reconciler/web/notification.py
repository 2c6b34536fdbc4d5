"""What Intercom sends, cut down to an `Event`: ids and nothing else.

The envelope and the items are Intercom's (https://developers.intercom.com/docs/references/webhooks/webhook-models).
Read leniently, as they come in the shapes of several API versions: what is not where it is looked for is not there.
No address found in a body is ever fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from reconciler.web.events import TAG_TOPIC, TOPICS, Event

DEPTH = 32
"""Levels of a body, at most. Intercom's own have fewer than ten."""

AGE = 24 * 60 * 60
"""Seconds that the time in a body may be off. A throttled notification comes up to two hours late."""

Kind: TypeAlias = Literal["event", "ping", "unknown_topic", "no_ids"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
"""Of everything: it goes into URLs, logs and keys. No path can be made of it, as it begins with a letter or digit."""

_PEOPLE = ("user", "lead", "contact")
"""The types of an author who is a contact; others are admins, teams and bots."""

_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
"""A text, or one that never ends: nothing is tried twice, so hostile texts take no longer than others."""

_BRACKETS = re.compile(rb"[\[\]{}]")


class Malformed(ValueError):
    """A body that is no notification. Its text is ours: nothing of the body is in it."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A body, read. `event` is there where `kind` says so."""

    kind: Kind
    topic: str
    """One of TOPICS, `ping` or `other`: never a text from outside, so that it can be a label."""
    app: str | None
    """The id of the workspace it came from."""
    event: Event | None = None


def read(body: bytes) -> Notification:
    """Read a body whose signature is right. Raises Malformed."""
    if deeper_than(DEPTH, body):
        raise Malformed(f"the body has more than {DEPTH} levels")
    try:
        envelope = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("the body is not JSON") from error
    if not isinstance(envelope, dict) or not isinstance(envelope.get("topic"), str):
        raise Malformed("the body is not a notification")
    topic, app = envelope["topic"], _id(envelope.get("app_id"))
    if topic == "ping":
        return Notification("ping", topic, app)
    if topic not in TOPICS:
        return Notification("unknown_topic", "other", app)
    identity, created_at = _id(envelope.get("id")), envelope.get("created_at")
    if identity is None or type(created_at) is not int:
        raise Malformed("the notification has no id or no time")
    item = _at(envelope, "data", "item")
    conversation, contact, tag = _ids_of(topic, item)
    # A tag can only be acted on in its conversation, a message also by its contact alone.
    if conversation is None and (topic == TAG_TOPIC or contact is None):
        return Notification("no_ids", topic, app)
    event = Event(
        id=identity,
        topic=topic,
        created_at=created_at,
        contact=contact or "",
        conversation=conversation or "",
        tag=tag,
    )
    return Notification("event", topic, app, event)


def is_in_time(event: Event, *, now: float) -> bool:
    """Whether the time in the signed body is near enough to `now` (unix seconds): an old one is a replay."""
    return now - AGE <= event.created_at <= now + AGE  # compared, not subtracted: an int may be too large for a float


def deeper_than(levels: int, body: bytes) -> bool:
    """Whether brackets outside of texts are nested deeper; nothing is decoded for it."""
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", body)):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > levels:
            return True
    return False


def _ids_of(topic: str, item: Any) -> tuple[str | None, str | None, str | None]:
    """Conversation, contact and tag of an item: a conversation, or a part that names its conversation."""
    if topic == TAG_TOPIC and _is_part(item):
        named = _at(item, "conversation")
        conversation = _id(_at(named, "id")) or _id(named) or _id(_at(item, "conversation_id"))
    else:
        conversation = _id(_at(item, "id"))
    return conversation, _contact_of(item), _tag_of(item) if topic == TAG_TOPIC else None


def _is_part(item: Any) -> bool:
    kind = _at(item, "type")
    if kind in ("conversation", "conversation_part"):
        return bool(kind == "conversation_part")
    return _at(item, "conversation") is not None or _at(item, "conversation_id") is not None


def _contact_of(item: Any) -> str | None:
    """The one contact of the conversation; of several, the one who wrote last where that can be told."""
    contacts = list(_ids_in(_at(item, "contacts", "contacts")))
    if len(contacts) == 1:
        return contacts[0]
    authors = [author for author in _authors(item) if author in contacts or not contacts]
    return next(iter((*authors, *contacts)), None)


def _authors(item: Any) -> Iterator[str]:
    """The people who wrote it, the last first."""
    parts = _at(item, "conversation_parts", "conversation_parts")
    for part in reversed(parts if isinstance(parts, list) else []):
        yield from _person(_at(part, "author"))
    yield from _person(_at(item, "author"))
    yield from _person(_at(item, "source", "author"))
    yield from _person(_at(item, "user"))


def _person(author: Any) -> Iterator[str]:
    identity = _id(_at(author, "id"))
    if identity is not None and _at(author, "type") in _PEOPLE:
        yield identity


def _tag_of(item: Any) -> str | None:
    """The tag that was added: named as such, or the only one there is."""
    for tags in (_at(item, "tags_added"), _at(item, "tags")):
        found = list(_ids_in(tags if isinstance(tags, list) else _at(tags, "tags")))
        if len(found) == 1:
            return found[0]
    return None


def _ids_in(things: Any) -> Iterator[str]:
    for one in things if isinstance(things, list) else []:
        identity = _id(_at(one, "id"))
        if identity is not None:
            yield identity


def _at(value: Any, *path: str) -> Any:
    """What is at that place; None where there is nothing."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _id(value: Any) -> str | None:
    """An id that can be trusted to be one; older API versions write some as numbers."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and _ID.fullmatch(text) else None
