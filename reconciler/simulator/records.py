"""The things the stand-in remembers, as frozen values.

A change makes a new value and keeps the old one, so that a lagging search can show a contact as it was, and a body
encoded once stays right until its contact is replaced.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["user", "lead"]
State = Literal["live", "archived", "merged", "blocked", "deleted"]
Scalar = str | int | float | bool | None

MAX_NUMBER = 2**53
"""The largest number a value may be: what every JSON reader keeps exactly."""

STATES: tuple[State, ...] = ("live", "archived", "merged", "blocked", "deleted")

DEVICE_FIELDS = (
    *("browser", "browser_version", "browser_language", "os"),
    *("android_app_name", "android_app_version", "android_device", "android_os_version", "android_sdk_version"),
    *("android_last_seen_at", "ios_app_name", "ios_app_version", "ios_device", "ios_os_version", "ios_sdk_version"),
    "ios_last_seen_at",
)
"""What Intercom knows of a contact's browser and telephone: shown and searched, never written through the API."""


class Tagging(msgspec.Struct, frozen=True):
    """A tag on a contact or a conversation. applied_at: unix seconds; admin_id: who did it."""

    id: str
    applied_at: int
    admin_id: str


class Place(msgspec.Struct, frozen=True):
    """Where a contact was last seen, as Intercom guesses it."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    country_code: str | None = None
    continent_code: str | None = None


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a contact. All *_at fields are unix seconds.

    state: live, archived (invisible, can come back), merged (gone into `merged_into`), blocked, or deleted (waiting
    to be destroyed).
    """

    id: str
    role: Role = "user"
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    avatar: str | None = None
    owner_id: str | None = None
    created_at: int
    updated_at: int
    signed_up_at: int | None = None
    last_seen_at: int | None = None
    last_replied_at: int | None = None
    last_contacted_at: int | None = None
    last_email_opened_at: int | None = None
    last_email_clicked_at: int | None = None
    language_override: str | None = None
    has_hard_bounced: bool = False
    marked_email_as_spam: bool = False
    unsubscribed_from_emails: bool = False
    location: Place = Place()
    device: dict[str, str | int | None] = {}
    custom_attributes: dict[str, Scalar] = {}
    tags: tuple[Tagging, ...] = ()
    notes: tuple[str, ...] = ()
    state: State = "live"
    merged_into: str | None = None
    merged_at: int | None = None
    deleted_at: int | None = None


class Admin(msgspec.Struct, frozen=True):
    """A teammate of the workspace."""

    id: str
    name: str
    email: str


class Tag(msgspec.Struct, frozen=True):
    """A tag of the workspace; contacts and conversations refer to it by id."""

    id: str
    name: str


class Note(msgspec.Struct, frozen=True):
    """A note on a contact. created_at: unix seconds."""

    id: str
    contact_id: str
    author_id: str | None
    body: str
    created_at: int


DataType = Literal["string", "integer", "float", "boolean", "date"]


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """A custom data attribute. dependants: something uses it, so that archiving it is refused."""

    id: int
    name: str
    model: Literal["contact", "company"] = "contact"
    data_type: DataType = "string"
    description: str = ""
    options: tuple[str, ...] = ()
    messenger_writable: bool = False
    archived: bool = False
    created_at: int
    updated_at: int
    dependants: bool = False


class ConversationAttribute(msgspec.Struct, frozen=True, kw_only=True):
    """A custom attribute of conversations; they live apart from contact attributes since 2.16."""

    id: int
    name: str
    data_type: str = "string"
    created_at: int
    updated_at: int


class Part(msgspec.Struct, frozen=True):
    """What an admin said in a conversation: to the contact, or in a note to the other admins. created_at: unix
    seconds; body: HTML.
    """

    id: str
    part_type: Literal["comment", "note"]
    body: str
    author_id: str
    created_at: int


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a conversation. archived: its contact was blocked, and it can no longer be read."""

    id: str
    created_at: int
    updated_at: int
    state: Literal["open", "closed", "snoozed"] = "open"
    read: bool = False
    priority: Literal["none", "low", "medium", "high", "urgent"] = "none"
    title: str | None = None
    contacts: tuple[str, ...] = ()
    tags: tuple[Tagging, ...] = ()
    custom_attributes: dict[str, Scalar] = {}
    parts: tuple[Part, ...] = ()
    source: dict[str, object] = {}
    admin_assignee_id: int = 0
    team_assignee_id: int = 0
    archived: bool = False

    @property
    def open(self) -> bool:
        """Intercom reports a snoozed conversation as open: only a closed one is not."""
        return self.state != "closed"
