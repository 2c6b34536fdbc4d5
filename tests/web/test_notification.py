"""Notifications of every shape, cut down to ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.web.events import Event
from reconciler.web.notification import AGE, DEPTH, Malformed, deeper_than, is_in_time, read
from tests.web.world import APP, CREATED, REPLIED, TAGGED, conversation, encoded, notification, part

PERSON = {"type": "user", "id": "c2"}
TAGS = {"type": "tag.list", "tags": [{"type": "tag", "id": "t1", "name": "mynatca-sync"}]}
TWO_TAGS = {"type": "tag.list", "tags": [{"id": "t1"}, {"id": "t2"}]}
TWO_CONTACTS = {"contacts": [{"id": "c1"}, {"id": "c2"}]}

SHAPES: dict[str, tuple[str, dict[str, Any], tuple[str, str, str | None]]] = {
    "a conversation with one contact": (CREATED, conversation(), ("123", "c1", None)),
    "a reply": (REPLIED, conversation(), ("123", "c1", None)),
    "ids written as numbers": (
        REPLIED,
        conversation(contact=None) | {"id": 5, "user": {"type": "lead", "id": 6}},
        ("5", "6", None),
    ),
    "nobody but the author of the source": (
        CREATED,
        conversation(contact=None, source={"author": PERSON}),
        ("123", "c2", None),
    ),
    "several contacts: the one who wrote last": (
        REPLIED,
        conversation(contacts=TWO_CONTACTS, conversation_parts={"conversation_parts": [{"author": PERSON}]}),
        ("123", "c2", None),
    ),
    "several contacts and an author who is none of them: the first": (
        REPLIED,
        conversation(contacts=TWO_CONTACTS, source={"author": {"type": "user", "id": "c9"}}),
        ("123", "c1", None),
    ),
    "no contact: the conversation is enough": (CREATED, conversation(contact=None), ("123", "", None)),
    "a tag on a conversation": (TAGGED, conversation(tags_added=TAGS), ("123", "c1", "t1")),
    "a tag among those that were there": (TAGGED, conversation(tags=TWO_TAGS), ("123", "c1", None)),
    "added tags come before all tags": (TAGGED, conversation(tags_added=TAGS, tags=TWO_TAGS), ("123", "c1", "t1")),
    "a tag on a part": (TAGGED, part(tags=TAGS["tags"]), ("123", "", "t1")),
    "a tag on a part of a person": (TAGGED, part(author=PERSON, tags=TAGS), ("123", "c2", "t1")),
    "a part of an admin": (TAGGED, part(author={"type": "admin", "id": "9"}), ("123", "", None)),
    "a part with conversation_id": (
        TAGGED,
        {"type": "conversation_part", "id": "7", "conversation_id": 123},
        ("123", "", None),
    ),
    "a part with the bare id": (
        TAGGED,
        {"type": "conversation_part", "id": "7", "conversation": "123"},
        ("123", "", None),
    ),
    "a part that forgets to say so": (TAGGED, {"id": "7", "conversation": {"id": "123"}}, ("123", "", None)),
}
"""Topic and item → conversation, contact and tag."""


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str) -> None:
    """What is taken from an item of each shape, and that it is ids alone."""
    topic, item, (conversation_id, contact, tag) = SHAPES[shape]
    sent = notification(topic, item, created_at=1_700_000_000)
    event = Event(
        id="notif_1",
        topic=topic,
        created_at=1_700_000_000,
        contact=contact,
        conversation=conversation_id,
        tag=tag,
    )
    assert read(encoded(sent)).event == event


NOTHING_TO_DO: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "ping, whose id is null": (notification("ping", {"type": "ping"}, identity=None), ("ping", "ping")),
    "another topic": (notification("contact.archived", {"id": "c1"}), ("unknown_topic", "other")),
    "a part that names no conversation": (
        notification(TAGGED, {"type": "conversation_part", "id": "7"}),
        ("no_ids", TAGGED),
    ),
    "an item that is no object": (notification(CREATED, ["x"]), ("no_ids", CREATED)),
    "an id that is a path": (notification(TAGGED, conversation("../../admins")), ("no_ids", TAGGED)),
    "an id with a line break": (notification(TAGGED, conversation("1\r\nX: 1")), ("no_ids", TAGGED)),
    "an id that is endless": (notification(TAGGED, conversation("1" * 101)), ("no_ids", TAGGED)),
}


@pytest.mark.parametrize("case", NOTHING_TO_DO)
def test_nothing_to_do(case: str) -> None:
    """What is answered and dropped, and the label it is counted under: never a text of the body."""
    sent, (kind, topic) = NOTHING_TO_DO[case]
    notice = read(encoded(sent))
    assert (notice.kind, notice.topic, notice.app, notice.event) == (kind, topic, APP, None)


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"topic=ping",
    "cut": encoded(notification(CREATED, conversation()))[:-1],
    "a list": b"[]",
    "a number": b"1",
    "no topic": b"{}",
    "a topic that is no text": b'{"topic": 1}',
    "not UTF-8": b'{"topic": "\xff"}',
    "a lone surrogate": b'{"topic": "\\ud800"}',
    "two documents": b"{}{}",
    "no id": encoded(notification(CREATED, conversation(), identity=None)),
    "an id that is a path": encoded(notification(CREATED, conversation(), identity="../1")),
    "no time": encoded(notification(CREATED, conversation(), created_at=None)),
    "a time that is a text": encoded(notification(CREATED, conversation(), created_at="1700000000")),
    "a time that is true": encoded(notification(CREATED, conversation(), created_at=True)),
    "too deep": b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1),
    "far too deep": b'{"a":' * 40_000,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str) -> None:
    """What is no notification is refused, and the error holds nothing of it."""
    with pytest.raises(Malformed) as caught:
        read(MALFORMED[case])
    assert str(caught.value).startswith(("the body ", "the notification "))


@given(
    st.recursive(
        st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
    )
)
def test_depth_is_counted_outside_of_texts(value: Any) -> None:
    """As deep as the value is, whatever brackets and quotes its texts hold."""
    depth = _depth(value)
    assert not deeper_than(depth, encoded(value))
    assert depth == 0 or deeper_than(depth - 1, encoded(value))


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max((_depth(one) for one in inside), default=0)


@pytest.mark.parametrize(("off", "is_in"), [(0, True), (AGE, True), (AGE + 1, False), (-AGE, True), (-AGE - 1, False)])
def test_the_time_of_an_event(off: int, is_in: bool) -> None:
    """A day, to the second, on either side: Intercom's clock may be ahead, and no notification is good for ever."""
    event = Event(id="notif_1", topic=CREATED, created_at=1_700_000_000, contact="c1", conversation="123")
    assert is_in_time(event, now=event.created_at + off) is is_in
