"""What is done to a conversation: a tag taken off, and a note that only support staff see. Each once.

As with contacts, a write whose answer is lost is read back before it is sent again; and what is there already is not
written at all, so that whoever repeats an event repeats nothing else.
"""

from __future__ import annotations

from contextlib import suppress

from reconciler.errors import NotFound, Unreachable
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.wire import OneConversation


async def take_tag_off(client: IntercomClient, conversation_id: str, tag_id: str, *, admin: str) -> None:
    """Have the conversation be without the tag. One that is gone, or whose tag is, is as wanted.

    Raises TargetError.
    """
    with suppress(NotFound):
        try:
            await client.untag_conversation(conversation_id, tag_id, admin=admin)
        except Unreachable as error:
            if not error.sent:
                raise
            if _has_tag(await client.conversation(conversation_id), tag_id):
                await client.untag_conversation(conversation_id, tag_id, admin=admin)


async def write_note(client: IntercomClient, conversation_id: str, text: str, *, marker: str, admin: str) -> bool:
    """Have the conversation hold one note with this text; False where one with its marker was there.

    marker: a part of the text that no other note has, in letters, digits and dashes, which HTML leaves as they are.

    Raises TargetError.
    """
    if marker not in text:
        raise ValueError("a note must hold its marker")
    if (await client.conversation(conversation_id)).notes_with(marker):
        return False
    try:
        await client.note(conversation_id, text, admin=admin)
    except Unreachable as error:
        if not error.sent:
            raise
        if not (await client.conversation(conversation_id)).notes_with(marker):
            await client.note(conversation_id, text, admin=admin)
    return True


def _has_tag(conversation: OneConversation, tag_id: str) -> bool:
    tags = conversation.tags.tags if conversation.tags is not None else ()
    return any(tag.id == tag_id for tag in tags)
