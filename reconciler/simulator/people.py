"""Where contacts are kept: by birth, by id, by identifier; with their past for as long as search lags.

No rules here: `contacts.py` decides what may happen, this file only remembers, and keeps every index right. Contacts
are numbered by birth and never move, so a page is found by number at once, and what is created or archived while
somebody pages can neither repeat nor hide another row.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reconciler.simulator.records import Contact, State
from reconciler.simulator.wire import contact_bytes


class Slot(msgspec.Struct):
    """One contact over time.

    birth: its number.  now: the current version.  encoded: its body as JSON, kept until it changes.
    past: (when it was replaced, what it was), oldest first; None means it did not exist yet.
    """

    birth: int
    now: Contact
    encoded: bytes | None = None
    past: list[tuple[float, Contact | None]] | None = None


class Index:
    """Which births hold a value, oldest first. A tuple and never a single one: Intercom has historical duplicates."""

    def __init__(self) -> None:
        self._births: dict[str, tuple[int, ...]] = {}

    def get(self, value: str) -> tuple[int, ...]:
        """The births holding `value`, oldest first."""
        return self._births.get(value, ())

    def move(self, birth: int, old: str | None, new: str | None) -> None:
        """`birth` held `old` and now holds `new`."""
        if old == new:
            return
        if old is not None:
            rest = tuple(other for other in self._births[old] if other != birth)
            if rest:
                self._births[old] = rest
            else:
                del self._births[old]
        if new is not None:
            held = self._births.get(new)
            self._births[new] = (birth,) if held is None else tuple(sorted((*held, birth)))


def email_key(email: str | None) -> str | None:
    """The form in which two e-mails are one: Intercom compares them without regard to case."""
    return None if email is None else email.strip().lower()


class People:
    """All contacts. lag: seconds for which search shows the past. workspace_id: printed in every contact."""

    def __init__(self, *, workspace_id: str, lag: float) -> None:
        self._workspace_id = workspace_id
        self._lag = lag
        self._slots: list[Slot] = []
        self._by_id: dict[str, Slot] = {}
        self._changed: dict[int, float] = {}
        self.by_external_id = Index()
        self.by_email = Index()
        self.absorbed: dict[str, list[str]] = {}
        self.counts: dict[State, int] = {"live": 0, "archived": 0, "merged": 0, "blocked": 0, "deleted": 0}
        self.version = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Contact]:
        """Every contact of every state, oldest birth first."""
        return (slot.now for slot in self._slots)

    def get(self, contact_id: str) -> Contact | None:
        """The current version, in whatever state."""
        slot = self._by_id.get(contact_id)
        return None if slot is None else slot.now

    def born(self, birth: int) -> Contact:
        """The contact with this number."""
        return self._slots[birth].now

    def add(self, contact: Contact, *, at: float | None) -> None:
        """A new contact. at: unix seconds of the call; None when seeding, which search shows at once."""
        slot = Slot(len(self._slots), contact)
        self._slots.append(slot)
        self._by_id[contact.id] = slot
        self._note(slot, None, contact, at)

    def put(self, contact: Contact, *, at: float | None) -> None:
        """A new version of a known contact. at: unix seconds of the call; None when seeding."""
        slot = self._by_id[contact.id]
        before, slot.now, slot.encoded = slot.now, contact, None
        self._note(slot, before, contact, at)

    def _note(self, slot: Slot, before: Contact | None, after: Contact, at: float | None) -> None:
        """Every index follows the change."""
        self.version += 1
        self.by_external_id.move(slot.birth, before.external_id if before else None, after.external_id)
        self.by_email.move(slot.birth, email_key(before.email) if before else None, email_key(after.email))
        if before is not None:
            self.counts[before.state] -= 1
        self.counts[after.state] += 1
        if after.merged_into is not None and (before is None or before.merged_into is None):
            self.absorbed.setdefault(after.merged_into, []).append(after.id)
        if at is not None and self._lag > 0:
            slot.past = [entry for entry in slot.past or () if entry[0] > at - self._lag]
            slot.past.append((at, before))
            self._changed[slot.birth] = at

    def body(self, contact: Contact) -> bytes:
        """The JSON of a contact; of its current version, encoded once."""
        slot = self._by_id[contact.id]
        if slot.now is not contact:
            return contact_bytes(contact, self._workspace_id)
        if slot.encoded is None:
            slot.encoded = contact_bytes(contact, self._workspace_id)
        return slot.encoded

    def page(self, *, below: int | None, size: int) -> tuple[list[Contact], int | None]:
        """Up to `size` live contacts, youngest birth first, born before number `below`; and where the next page
        starts, if any.
        """
        birth = len(self._slots) if below is None else min(below, len(self._slots))
        found: list[Contact] = []
        while birth > 0:
            birth -= 1
            contact = self._slots[birth].now
            if contact.state != "live":
                continue
            if len(found) == size:
                return found, birth + 1
            found.append(contact)
        return found, None

    # --- what search sees -------------------------------------------------------------------------------------------

    def settled(self, at: float) -> bool:
        """Whether search, at this unix second, sees the present everywhere."""
        self._forget(at)
        return not self._changed

    def seen(self, at: float) -> Iterator[Contact]:
        """The live contacts as search sees them at this unix second, oldest birth first."""
        self._forget(at)
        if not self._changed:
            return (slot.now for slot in self._slots if slot.now.state == "live")
        return self._seen(self._slots, at)

    def seen_among(self, births: tuple[int, ...], at: float) -> Iterator[Contact]:
        """As `seen`, but only of these births and of those whose past could still match."""
        self._forget(at)
        wanted = sorted({*births, *self._changed})
        return self._seen([self._slots[birth] for birth in wanted], at)

    def birth_of(self, contact_id: str) -> tuple[int, ...]:
        """The number of one contact, as a tuple that is empty when there is none."""
        slot = self._by_id.get(contact_id)
        return () if slot is None else (slot.birth,)

    def _seen(self, slots: list[Slot], at: float) -> Iterator[Contact]:
        for slot in slots:
            contact = self._as_of(slot, at - self._lag)
            if contact is not None and contact.state == "live":
                yield contact

    def _as_of(self, slot: Slot, moment: float) -> Contact | None:
        for replaced_at, before in slot.past or ():
            if replaced_at > moment:
                return before
        return slot.now

    def _forget(self, at: float) -> None:
        """Drop what search has caught up with."""
        horizon = at - self._lag
        caught_up = [birth for birth, changed_at in self._changed.items() if changed_at <= horizon]
        for birth in caught_up:
            del self._changed[birth]
            self._slots[birth].past = None
