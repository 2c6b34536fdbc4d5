"""The workspace: everything the stand-in knows, and the ids and times it gives out. No HTTP here, and no rules.

What may be done to a contact is in `contacts.py`, to a conversation in `conversations.py`, to tags and notes in
`labels.py`, to data attributes in `attributes.py`; each of these takes the world first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from reconciler.simulator.people import People
from reconciler.simulator.records import Admin, Attribute, Conversation, ConversationAttribute, Note, Tag

ADMIN = Admin(id="991267459", name="Simulated Admin", email="admin@example.com")
"""Whose token it is."""

DEFAULT_ATTRIBUTES = ("member_number", "region", "facility", "positions", "member_type")
"""Contact attributes every simulated workspace starts with; all strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What /me tells of the workspace. id: its id_code.  timezone: an IANA name; search compares its days."""

    id: str = "simulated"
    name: str = "Simulated workspace"
    region: str = "US"
    timezone: str = "UTC"
    created_at: int = 1_577_836_800


class World:
    """clock: unix seconds.  seed: the ids.  lag: seconds search is behind.  deletion_hold: seconds a deleted contact
    keeps its identifiers.  blocked_as_archived: see `Options`.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Callable[[], float],
        seed: int,
        lag: float,
        deletion_hold: float,
        blocked_as_archived: bool = False,
    ) -> None:
        self.workspace = workspace
        self.zone = ZoneInfo(workspace.timezone)
        self.clock = clock
        self.deletion_hold = deletion_hold
        self.blocked_as_archived = blocked_as_archived
        self._seed = seed
        self.people = People(workspace_id=workspace.id, lag=lag)
        self.admins = {ADMIN.id: ADMIN}
        self.tags: dict[str, Tag] = {}
        self.notes: dict[str, Note] = {}
        self.conversations: dict[str, Conversation] = {}
        self.conversations_of: dict[str, list[str]] = {}
        self.attributes: dict[int, Attribute] = {}
        self.attributes_by_name: dict[str, Attribute] = {}
        self.conversation_attributes: dict[str, ConversationAttribute] = {}
        self.writes = 0
        for name in DEFAULT_ATTRIBUTES:
            since = workspace.created_at
            self.put_attribute(Attribute(id=self.new_attribute_id(), name=name, created_at=since, updated_at=since))
        self.writes = 0

    @property
    def version(self) -> int:
        """Grows with every write, so that a caller can tell whether something happened."""
        return self.people.version + self.writes

    def now(self) -> int:
        """The present, in whole unix seconds as Intercom stores them."""
        return int(self.clock())

    def token(self, *parts: object) -> str:
        """64 hex digits that depend only on the seed and on `parts`."""
        return hashlib.sha256(":".join(map(str, (self._seed, *parts))).encode()).hexdigest()

    def new_contact_id(self) -> str:
        """24 lower-case hex digits, by seed and number of contacts so far."""
        number = attempt = len(self.people)
        while True:
            contact_id = self.token("contact", number, attempt)[:24]
            if self.people.get(contact_id) is None:
                return contact_id
            attempt += 1

    def new_tag_id(self) -> str:
        """The next free number, as text."""
        return _next(self.tags, 101)

    def new_note_id(self) -> str:
        """The next free number, as text."""
        return _next(self.notes, 201)

    def new_conversation_id(self) -> str:
        """The next free number, as text."""
        return _next(self.conversations, 215_470_000_001)

    def new_attribute_id(self) -> int:
        """The next free number."""
        number = len(self.attributes) + 1
        while number in self.attributes:
            number += 1
        return number

    def put_attribute(self, attribute: Attribute) -> None:
        """Add or replace a data attribute; contact attributes are also found by name."""
        self.writes += 1
        self.attributes[attribute.id] = attribute
        if attribute.model == "contact":
            self.attributes_by_name[attribute.name] = attribute

    def put_conversation(self, conversation: Conversation) -> None:
        """Add or replace a conversation, and keep track of whose it is."""
        self.writes += 1
        known = self.conversations.get(conversation.id)
        self.conversations[conversation.id] = conversation
        before = () if known is None else known.contacts
        for contact_id in before:
            if contact_id not in conversation.contacts:
                self.conversations_of[contact_id].remove(conversation.id)
        for contact_id in conversation.contacts:
            if contact_id not in before:
                self.conversations_of.setdefault(contact_id, []).append(conversation.id)


def _next(taken: Collection[str], first: int) -> str:
    number = first + len(taken)
    while str(number) in taken:
        number += 1
    return str(number)
