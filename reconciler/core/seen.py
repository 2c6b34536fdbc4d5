"""What a plan keeps of what it was decided on, so that it can be explained when databases and rules have moved on.

Kept are the rule files as they stood, and the members and contacts that an action or finding is about, with everybody
who has to do with them: enough to decide the same again, without the thousands about whom there is nothing to say.
"""

from __future__ import annotations

import msgspec

from reconciler.core.model import Contact, Member, Position, Quarantined


class Basis(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was decided under: the rules and the scope."""

    files: dict[str, str]
    """Rule file → its text; mappings.yaml is left out, as its entries stand beside the contacts they are about."""
    off: tuple[str, ...] = ()
    """Rules that were switched off, by the file or by `--rule`."""
    only: tuple[str, ...] = ()
    """Member numbers of `--only`."""
    exclude: tuple[str, ...] = ()
    """Member numbers of `--exclude`."""
    limit: int | None = None
    """The number of `--limit`."""


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Members and contacts that have to do with each other, and with nobody else: a world of its own."""

    members: tuple[Member, ...] = ()
    """Their rows, text trimmed and in NFC, each by its words in contacts.yaml."""
    positions: tuple[Position, ...] = ()
    """Their positions."""
    quarantined: tuple[Quarantined, ...] = ()
    """Rows of theirs that cannot be used, without what is in them."""
    contacts: tuple[Contact, ...] = ()
    """The contacts, owned fields and dates only."""
    open_conversations: dict[str, int] = {}
    """Contact id → open conversations, where they were counted."""
    mappings: dict[str, str] = {}
    """Contact id → member number, decided by a person."""
    flips: dict[str, dict[str, int]] = {}
    """Contact id → field → how often it was written back and forth lately, where that freezes the contact."""

    def holds(self, ref: str) -> bool:
        """Whether this member number or contact id is among them."""
        return any(one.number == ref for one in self.members) or any(one.id == ref for one in self.contacts)
