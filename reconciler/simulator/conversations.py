"""What may happen to a conversation: attributes, tags, and what a merge or a block of its contact does to it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from msgspec.structs import replace

from reconciler.simulator import errors
from reconciler.simulator.records import MAX_NUMBER, Conversation, Part, Scalar, Tag, Tagging
from reconciler.simulator.wire import conversation_dict, part_dict, tag_dict
from reconciler.simulator.world import World


def show(world: World, conversation_id: str) -> Conversation:
    """A conversation (retrieveConversation); decided here: one archived by a block is not found."""
    conversation = world.conversations.get(conversation_id)
    if conversation is None or conversation.archived:
        raise errors.conversation_not_found()
    return conversation


def body(world: World, conversation: Conversation, *, with_parts: bool = False) -> dict[str, object]:
    """A conversation as JSON, with its contacts as they are called now. Its parts are shown where it is read alone."""
    people = [
        (one, contact.external_id) for one in conversation.contacts if (contact := world.people.get(one)) is not None
    ]
    tags = [tag_dict(world.tags[tagging.id], tagging) for tagging in conversation.tags]
    parts = [part_dict(part, world.admins.get(part.author_id)) for part in conversation.parts] if with_parts else []
    return conversation_dict(conversation, people, tags, parts)


def reply(world: World, conversation_id: str, body: dict[str, object]) -> Conversation:
    """The operation replyConversation, for an admin: a comment, or a note, which leaves the state as it is.

    Decided here: what a contact says, and quick replies, are refused.
    """
    conversation = show(world, conversation_id)
    kind, text = body.get("message_type"), body.get("body")
    if body.get("type") != "admin" or kind not in ("comment", "note"):
        raise errors.invalid("only comments and notes of admins are simulated")
    if not isinstance(text, str) or not text.strip():
        raise errors.missing("body")
    author = _admin(world, body)
    number = sum(len(one.parts) for one in world.conversations.values()) + 1
    shown = text if text.lstrip().startswith("<") else f"<p>{escape(text, quote=False)}</p>"
    part = Part(id=str(number), part_type=kind, body=shown, author_id=author, created_at=world.now())
    after = replace(conversation, parts=(*conversation.parts, part), updated_at=world.now())
    world.put_conversation(after)
    return after


def update(world: World, conversation_id: str, changes: dict[str, object]) -> Conversation:
    """updateConversation, as far as custom attributes go (`read` and `title` too); null clears an attribute."""
    conversation = show(world, conversation_id)
    merged = conversation.custom_attributes | _attributes(world, changes.get("custom_attributes"))
    kept = {name: value for name, value in merged.items() if value is not None}
    read, title = changes.get("read", conversation.read), changes.get("title", conversation.title)
    if not isinstance(read, bool):
        raise errors.invalid("read must be a boolean")
    if title is not None and not isinstance(title, str):
        raise errors.invalid("title must be a string")
    after = replace(conversation, custom_attributes=kept, read=read, title=title, updated_at=world.now())
    world.put_conversation(after)
    return after


def _attributes(world: World, value: object) -> dict[str, Scalar]:
    """Only attributes that exist; the wording is attested (intercom-node issue 349)."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.invalid("custom_attributes must be an object")
    for name, one in value.items():
        if name not in world.conversation_attributes:
            raise errors.invalid(f"Conversation attribute '{name}' does not exist")
        number = isinstance(one, (int, float)) and abs(one) <= MAX_NUMBER
        if one is not None and not isinstance(one, str) and not number:
            raise errors.invalid(f"Conversation attribute '{name}': not of type Numeric, String or Boolean")
    return dict(value)


def add_tag(world: World, conversation_id: str, body: dict[str, object]) -> tuple[Tag, Tagging]:
    """attachTagToConversation: id and admin_id are both required. Twice changes nothing."""
    conversation = show(world, conversation_id)
    tag_id, admin_id = required_id(body, "id"), _admin(world, body)
    tag = world.tags.get(tag_id)
    if tag is None:
        raise errors.tag_not_found()
    for tagging in conversation.tags:
        if tagging.id == tag_id:
            return tag, tagging
    tagging = Tagging(tag_id, world.now(), admin_id)
    _retag(world, conversation, (*conversation.tags, tagging))
    return tag, tagging


def remove_tag(world: World, conversation_id: str, tag_id: str, body: dict[str, object]) -> tuple[Tag, Tagging]:
    """detachTagFromConversation: a DELETE whose JSON body must name the admin."""
    conversation = show(world, conversation_id)
    _admin(world, body)
    gone = [tagging for tagging in conversation.tags if tagging.id == tag_id]
    if not gone:
        raise errors.tag_not_found()
    _retag(world, conversation, tuple(tagging for tagging in conversation.tags if tagging.id != tag_id))
    return world.tags[tag_id], gone[0]


def _retag(world: World, conversation: Conversation, tags: tuple[Tagging, ...]) -> None:
    world.put_conversation(replace(conversation, tags=tags, updated_at=world.now()))


def required_id(body: dict[str, object], name: str) -> str:
    """An id from a body. The description's examples send numbers where its schema says string, so both are read."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise errors.missing(name)
    return str(value)


def _admin(world: World, body: dict[str, object]) -> str:
    admin_id = required_id(body, "admin_id")
    if admin_id not in world.admins:
        raise errors.admin_not_found()
    return admin_id


def archive_conversations(world: World, contact_id: str) -> None:
    """What blocking does (BlockContact)."""
    for one in tuple(world.conversations_of.get(contact_id, ())):
        world.put_conversation(replace(world.conversations[one], archived=True))


def move_conversations(world: World, source: str, target: str) -> None:
    """What merging does: the conversations of `source` become those of `target`."""
    for one in tuple(world.conversations_of.get(source, ())):
        conversation = world.conversations[one]
        others: Sequence[str] = [held for held in conversation.contacts if held not in (source, target)]
        world.put_conversation(replace(conversation, contacts=(target, *others)))
