"""The story of each contact that was looked at: what speaks for its being the member's, and what against."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.desired import phone_region
from reconciler.core.diff import as_text, is_uuid
from reconciler.core.explain.explanation import ContactStory, Standing, Witness
from reconciler.core.findings.archive_duplicates import choose, tells_apart
from reconciler.core.match import Match, agrees
from reconciler.core.model import Contact, Member, Scalar
from reconciler.core.rules import Identifier
from reconciler.core.rules.lines import RuleBook
from reconciler.core.world import World

CONFIRMERS = ("name", "email", "phone")

_ORDER: tuple[Standing, ...] = ("kept", "duplicate", "in dispute", "nobody's", "somebody else's")


def survivor_of(world: World, number: str) -> Match | None:
    """The contact of a member that is kept, where there is one."""
    matches = world.matches.tied.get(number, ())
    if number in world.people.sharing:
        matches = tuple(match for match in matches if match.by == "mapping")
    return choose(matches, number, world.rules.findings.archive_duplicates.keep)[0] if matches else None


def contacts_of(world: World, book: RuleBook, number: str | None) -> tuple[ContactStory, ...]:
    """All contacts of the group, those of this member first; without a member, what is known of each."""
    tied = {match.contact.id: match for matches in world.matches.tied.values() for match in matches}
    matches = tied | {match.contact.id: match for match in world.matches.disputed}
    survivor = survivor_of(world, number) if number is not None else None
    member = world.people.by_number[number][0] if number is not None else None
    stories = []
    for contact in world.snapshot.contacts:
        match = matches.get(contact.id)
        standing, says = _standing(world, number, match, survivor)
        witnesses = list(_witnesses(world, book, contact, member, match))
        story = ContactStory(
            contact=contact.id,
            role=contact.role,
            standing=standing,
            says=says,
            values=_values(world, contact),
            speaks_for=tuple(witness for speaks_for, witness in witnesses if speaks_for),
            speaks_against=tuple(witness for speaks_for, witness in witnesses if not speaks_for),
            open_conversations=world.open_conversations.get(contact.id),
        )
        stories.append(story)
    return tuple(sorted(stories, key=lambda story: (_ORDER.index(story.standing), story.contact)))


def _values(world: World, contact: Contact) -> dict[str, Scalar]:
    """The owned fields that are filled in."""
    fields = (field for field in world.rules.contacts.fields if field != "role")
    return {field: contact.get(field) for field in fields if as_text(contact.get(field)) is not None}


def _standing(world: World, number: str | None, match: Match | None, survivor: Match | None) -> tuple[Standing, str]:
    if match is None:
        return "nobody's", "nothing ties it to a member"
    if match.number is None:
        return "in dispute", match.why
    if match.number != number:
        return "somebody else's", f"it is member {match.number} by {match.by}"
    if survivor is not None and match.contact.id == survivor.contact.id:
        return "kept", f"it is member {number} by {match.by}"
    if survivor is None:
        return "in dispute", f"member {number} shares an e-mail, and no mapping says that this is the member"
    keep = world.rules.findings.archive_duplicates.keep
    by = tells_apart(survivor.contact, match.contact, number, keep)
    return "duplicate", f"it is member {number} by {match.by} too; {survivor.contact.id} is kept by {by}"


def _witnesses(
    world: World, book: RuleBook, contact: Contact, member: Member | None, match: Match | None
) -> Iterator[tuple[bool, Witness]]:
    """Every value of the contact that says something about this member: True with what speaks for it."""
    seen = set()
    for place, identifier in enumerate(world.rules.matching.identifiers):
        tie = next((one for one in match.ties if one.by == identifier.by), None) if match is not None else None
        if tie is None:
            continue
        seen.add(identifier.by)
        line = book.find("matching.yaml", "identifiers", place)
        whose = f"points to member {' and '.join(tie.numbers)}"
        sure = "" if tie.confirmed else ", and nothing that must confirm it does"
        speaks_for = tie.confirmed and (member is None or member.number in tie.numbers)
        yield speaks_for, Witness(identifier.by, tie.value, f"{whose}{sure}{_by(identifier)}", line)
    if member is None:
        return
    for field in CONFIRMERS:
        value = as_text(contact.get(field))
        if value is not None and field not in seen:
            same = agrees(contact, member, field, people=world.people, region=phone_region(world.rules))
            yield same, Witness(field, value, "is the member's" if same else "is not the member's")
    external_id = as_text(contact.external_id)
    if external_id is not None and "external_id" not in seen:
        what = "is a UUID, as the WordPress site wrote them" if is_uuid(external_id) else "is nobody's member number"
        yield False, Witness("external_id", external_id, what)


def _by(identifier: Identifier) -> str:
    if identifier.by == "mapping":
        return ", by the decision of a person (mappings.yaml)"
    return "" if identifier.confirm is None else f" (must be confirmed by {' or '.join(identifier.confirm.any_of)})"
