"""The actual side, indexed. Each index gives a tuple, never one contact: two that share an e-mail are both there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

import msgspec

from reconciler.core.model import Contact
from reconciler.core.text import fold_email


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """All live contacts, ordered by id."""

    contacts: tuple[Contact, ...]
    by_id: dict[str, Contact]
    by_external_id: dict[str, tuple[Contact, ...]]
    by_email: dict[str, tuple[Contact, ...]]
    """Keyed by `fold_email`."""


def index(contacts: Iterable[Contact]) -> Snapshot:
    """Index contacts, each of which comes once."""
    ordered = tuple(sorted(contacts, key=lambda contact: contact.id))
    return Snapshot(
        contacts=ordered,
        by_id={contact.id: contact for contact in ordered},
        by_external_id=_group(ordered, lambda contact: contact.external_id),
        by_email=_group(ordered, lambda contact: fold_email(contact.email) if contact.email else None),
    )


def _group(contacts: Iterable[Contact], key_of: Callable[[Contact], str | None]) -> dict[str, tuple[Contact, ...]]:
    groups: dict[str, tuple[Contact, ...]] = {}
    for contact in contacts:
        key = key_of(contact)
        if key:
            groups[key] = (*groups[key], contact) if key in groups else (contact,)
    return groups


def digest(items: Iterable[msgspec.Struct]) -> str:
    """A digest over rows in the order given: hex of SHA-256 over one JSON line each."""
    total = sha256()
    encoder = msgspec.json.Encoder(order="deterministic")
    line = bytearray()
    for item in items:
        encoder.encode_into(item, line)
        total.update(line)
        total.update(b"\n")
    return total.hexdigest()
