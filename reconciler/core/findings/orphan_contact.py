"""A contact under a member number that nobody active or retired holds: reported, or archived, or relabelled."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.core.diff import as_text, same
from reconciler.core.model import Contact, Evidence
from reconciler.core.text import fold_email
from reconciler.core.world import Ask, Ruling, World, ruling

RULE = "orphan-contact"

TYPE_FIELD = "custom_attributes.member_type"


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each such contact, by contact id."""
    settings = world.rules.findings.orphan_contact
    if settings.then == "off":
        return
    for contact, number, tied_to in _orphans(world):
        says, asks = _verdict(world, contact, number, tied_to)
        members = world.people.by_number.get(number, ())
        yield ruling(
            RULE,
            "fixable" if asks else "review",
            says,
            contact=contact.id,
            member=number,
            evidence=(
                Evidence(f"intercom contacts/{contact.id}", "external_id", contact.external_id),
                *(world.member_evidence(member, "status") for member in members),
            ),
            asks=asks,
        )


def orphans(world: World) -> Iterator[Contact]:
    """The contacts, by id."""
    for contact, _, _ in _orphans(world):
        yield contact


def _orphans(world: World) -> Iterator[tuple[Contact, str, str]]:
    """The contacts, each with the number it shows and the one it is tied to, by contact id; a stranger's are one."""
    pattern = re.compile(world.rules.findings.orphan_contact.looks_like)
    held = _held(world)
    contacts: list[tuple[Contact, str | None]] = [(contact, None) for contact in world.matches.strangers]
    for tied_to, matches in world.matches.tied.items():
        if tied_to not in held:
            contacts.extend((match.contact, tied_to) for match in matches)
    for contact, whose in sorted(contacts, key=lambda pair: pair[0].id):
        texts = map(as_text, (contact.external_id, contact.custom_attributes.get("member_number")))
        number = next((text for text in texts if text is not None and pattern.fullmatch(text)), None)
        if number is not None and number not in held:
            yield contact, number, whose or number


def _held(world: World) -> frozenset[str]:
    """Numbers of those who should be a contact, or may have to: of a quarantined row nobody knows. Never iterated."""
    statuses = world.rules.contacts.who.status
    rows = world.people.by_number.items()
    return world.people.unsure.union([number for number, of in rows for member in of if member.status in statuses])


def _verdict(world: World, contact: Contact, number: str, tied_to: str) -> tuple[str, tuple[Ask, ...]]:
    says = f"member number {number} belongs to nobody who should be a contact"
    addition = ""
    asks: tuple[Ask, ...] = ()
    if world.people.in_review(number) or world.people.in_review(tied_to):
        addition = "left as it is until the source is clear about that member"
    elif (row := _row_of_its_email(world, contact)) is not None:
        addition = f"left as it is, for row {row} has its e-mail and no member number"
    elif world.rules.findings.orphan_contact.then == "archive":
        addition, asks = _archive(world, contact)
    elif world.rules.findings.orphan_contact.then == "relabel":
        addition, asks = _relabel(world, contact)
    return f"{says}; {addition}" if addition else says, asks


def _row_of_its_email(world: World, contact: Contact) -> str | None:
    """A row that has this contact's e-mail and lost its number: whoever that is should be a contact, this one maybe."""
    rows = world.people.unnumbered.get(fold_email(contact.email), ()) if contact.email else ()
    statuses = world.rules.contacts.who.status
    return next((member.row for member in rows if member.status in statuses), None)


def _archive(world: World, contact: Contact) -> tuple[str, tuple[Ask, ...]]:
    unless = world.rules.findings.orphan_contact.unless
    open_now = world.open_conversations.get(contact.id, 0) if unless == "open_conversation" else 0
    if open_now:
        return f"not archived, which would hide {open_now} open conversation{'s' if open_now > 1 else ''}", ()
    return "", (Ask("archive", contact),)


def _relabel(world: World, contact: Contact) -> tuple[str, tuple[Ask, ...]]:
    label = world.rules.findings.orphan_contact.label
    if TYPE_FIELD not in world.rules.contacts.fields:
        return f"not labelled, as contacts.yaml does not list {TYPE_FIELD}", ()
    if same(TYPE_FIELD, contact.get(TYPE_FIELD), label):
        return f"labelled {label!r}", ()
    return "", (Ask("update", contact, TYPE_FIELD, label),)
