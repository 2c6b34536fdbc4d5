"""What the web service does with a notification: the words that its receiving and its handling half share."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

MESSAGE_TOPICS = ("conversation.user.created", "conversation.user.replied")
TAG_TOPIC = "conversation_part.tag.created"
TOPICS = (*MESSAGE_TOPICS, TAG_TOPIC)
"""What is acted on. Every other topic is answered like these, and dropped."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that was accepted, cut down to ids: its text and its names are never kept."""

    id: str
    """Intercom's id of the notification: the same one twice is the same event."""
    topic: str
    created_at: int
    """Unix seconds, from the signed body."""
    contact: str
    """The contact it is about: events of one contact coalesce, and are handled one after another.

    Blank where the notification names none, as for a tag on a part of an admin's: then the conversation says who it is,
    and takes the contact's place in the queue.
    """
    conversation: str
    """Blank where a message names its contact alone; never for a tag."""
    tag: str | None = None
    """The id of the tag that was added, where the topic says so."""


class Handled(msgspec.Struct, frozen=True):
    """What became of an event."""

    result: Literal["reconciled", "nothing", "refused"]
    """Something was written · nothing had to be · a person must look (the note in the conversation says why)."""
    says: str
    """One sentence with ids only."""
    plan: str | None = None
    """The id of the stored plan, where one was made."""


class Handler(Protocol):
    """The half that acts. Every call may be repeated: it looks at what is, and writes what is missing."""

    async def handle(self, event: Event) -> Handled:
        """Do what the event asks for. Raises ReconcilerError where it should be tried again later."""
        ...

    async def give_up(self, event: Event, *, reference: str) -> None:
        """The last word after the last attempt: an agent who set a tag is told, with the reference to ask for."""
        ...
