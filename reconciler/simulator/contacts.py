"""What may happen to a contact: Intercom's rules of identity and life.

Create is strict and never an upsert; identifiers are unique among users, archived ones included; leads are exempt.
Sources: the operations CreateContact, UpdateContact, MergeContact, ArchiveContact ... of the description, and where
it is silent (it documents no 409 at all) the pages and threads named in `errors.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec.structs import replace

from reconciler.simulator import errors
from reconciler.simulator.contact_body import Changes, read_changes
from reconciler.simulator.conversations import archive_conversations, move_conversations
from reconciler.simulator.people import email_key
from reconciler.simulator.records import Contact
from reconciler.simulator.world import World

MAX_HOPS = 3
"""How far a chain of merges is followed (ShowContact)."""


def show(world: World, contact_id: str) -> Contact:
    """A live contact; 410 when merged (ShowContact), 404 when archived, blocked, deleted or unknown."""
    contact = world.people.get(contact_id)
    if contact is None:
        raise errors.user_not_found()
    if contact.state == "merged":
        raise errors.contact_merged(canonical_id(world, contact))
    if contact.state != "live":
        raise errors.user_not_found()
    return contact


def canonical_id(world: World, contact: Contact) -> str:
    """Where a merged contact ended up, at most three merges away."""
    for _ in range(MAX_HOPS):
        following = None if contact.merged_into is None else world.people.get(contact.merged_into)
        if following is None:
            break
        contact = following
    return contact.id


def find_by_external_id(world: World, external_id: str) -> Contact:
    """The live user with this external id (ShowContactByExternalId: users only); the oldest if history left several."""
    holders = [world.people.born(birth) for birth in world.people.by_external_id.get(external_id)]
    users = [one for one in holders if one.role == "user"]
    for one in users:
        if one.state == "live":
            return one
    for one in holders:
        if one.state == "merged":
            raise errors.contact_merged(canonical_id(world, one))
    raise errors.user_not_found()


# --- identity -------------------------------------------------------------------------------------------------------


def refuse_twins(world: World, *, external_id: str | None, email: str | None, but: str | None = None) -> None:
    """No other user may hold these identifiers: live, archived, blocked, merged or waiting for deletion.

    A blocked holder is reported first, then a live one, then the rest; external_id before email, Intercom's order of
    identity (intercom.com/help/en/articles/268). `but` is the contact itself.
    """
    holders = [one for one in _holders(world, external_id, email) if one.id != but and one.role == "user"]
    if any(one.state == "blocked" for one in holders) and not world.blocked_as_archived:
        raise errors.blocked()
    for one in holders:
        if one.state == "live":
            raise errors.live_twin(one.id)
    for one in holders:
        if not _destroyed(world, one):
            raise errors.archived_twin(one.id)


def refuse_blocked(world: World, *, email: str | None) -> None:
    """Nor may a lead be made with a blocked person's e-mail (intercom.com/help/en/articles/450)."""
    if any(one.state == "blocked" for one in _holders(world, None, email)):
        raise errors.blocked()


def _holders(world: World, external_id: str | None, email: str | None) -> Iterable[Contact]:
    people = world.people
    births = () if external_id is None else people.by_external_id.get(external_id)
    key = email_key(email)
    if key is not None:
        births = (*births, *people.by_email.get(key))
    return [people.born(birth) for birth in births]


def _destroyed(world: World, contact: Contact) -> bool:
    """Deleted, and the hold on its identifiers is over."""
    return contact.deleted_at is not None and world.clock() >= contact.deleted_at + world.deletion_hold


# --- writing --------------------------------------------------------------------------------------------------------


def create(world: World, body: dict[str, object]) -> Contact:
    """CreateContact: a new contact, or a refusal; never an existing one."""
    if not any(body.get(name) is not None for name in ("email", "external_id", "role")):
        raise errors.invalid("One of email, external_id or role is required")
    changes = read_changes(world, body)
    if body.get("email_verified") is not None and "email" not in body:
        raise errors.invalid("email_verified requires an email")
    now = world.now()
    contact = _changed(Contact(id=world.new_contact_id(), created_at=now, updated_at=now), changes)
    _refuse_identity(contact)
    if contact.role == "user":
        refuse_twins(world, external_id=contact.external_id, email=contact.email)
    else:
        refuse_blocked(world, email=contact.email)
    world.people.add(contact, at=world.clock())
    return contact


def update(world: World, contact_id: str, body: dict[str, object]) -> Contact:
    """UpdateContact: what the body names changes, the rest stays."""
    contact = world.people.get(contact_id)
    if contact is None or contact.state != "live":
        raise errors.contact_not_found()
    changes = read_changes(world, body)
    if contact.role == "user" and changes.fields.get("role") == "lead":
        raise errors.no_demotion()
    after = _changed(contact, changes)
    if body.get("email_verified") is not None and after.email is None:
        raise errors.invalid("email_verified requires an email")
    _refuse_identity(after, was=contact)
    _refuse_new_twins(world, contact, after)
    after = replace(after, updated_at=world.now())
    world.people.put(after, at=world.clock())
    return after


def _changed(contact: Contact, changes: Changes) -> Contact:
    """Custom attributes merge key by key, and null clears one."""
    fields = dict(changes.fields)
    if changes.custom_attributes:
        merged = contact.custom_attributes | changes.custom_attributes
        fields["custom_attributes"] = {name: value for name, value in merged.items() if value is not None}
    return replace(contact, **fields)


def _refuse_identity(contact: Contact, was: Contact | None = None) -> None:
    """external_id is not for leads; a user needs one, or an email. A seeded oddity may stay as it was."""
    if contact.role == "lead":
        if contact.external_id is not None and (was is None or was.external_id != contact.external_id):
            raise errors.invalid("external_id cannot be set for a contact with role lead")
    elif contact.external_id is None and contact.email is None and (was is None or was.role == "lead"):
        raise errors.invalid("A contact with role user needs an external_id or an email")


def _refuse_new_twins(world: World, before: Contact, after: Contact) -> None:
    """Only what the update newly claims is checked: historical duplicates may still be edited."""
    promoted = before.role == "lead" and after.role == "user"
    external_id = after.external_id if promoted or after.external_id != before.external_id else None
    email = after.email if promoted or email_key(after.email) != email_key(before.email) else None
    if after.role == "user":
        refuse_twins(world, external_id=external_id, email=email, but=after.id)
    elif email is not None:
        refuse_blocked(world, email=email)


def delete(world: World, contact_id: str) -> Contact:
    """DeleteContact: permanent, and works on archived ids too (intercom-ruby pull request 592)."""
    contact = world.people.get(contact_id)
    if contact is None or contact.state in ("merged", "deleted"):
        raise errors.user_not_found()
    return _turn(world, contact, "deleted")


def archive(world: World, contact_id: str) -> Contact:
    """ArchiveContact. Decided here: archiving an archived contact succeeds and changes nothing."""
    contact = world.people.get(contact_id)
    if contact is not None and contact.state == "archived":
        return contact
    return _turn(world, show(world, contact_id), "archived")


def unarchive(world: World, contact_id: str) -> Contact:
    """UnarchiveContact, with every way in which it is known to fail. Decided here: a live contact is left as it is."""
    contact = world.people.get(contact_id)
    if contact is None or _destroyed(world, contact):
        raise errors.user_not_found()
    match contact.state:
        case "live":
            return contact
        case "merged":
            raise errors.merged_not_restorable()
        case "blocked":
            raise errors.blocked()
        case "deleted":
            raise errors.deletion_pending()
        case "archived":
            if contact.role == "user":
                _refuse_live_twin(world, contact)
            return _turn(world, contact, "live")


def _refuse_live_twin(world: World, contact: Contact) -> None:
    """Somebody else may have taken the identifiers meanwhile."""
    for one in _holders(world, contact.external_id, contact.email):
        if one.id != contact.id and one.role == "user" and one.state == "live":
            raise errors.live_twin(one.id)


def block(world: World, contact_id: str) -> Contact:
    """BlockContact: also archives the contact's conversations. Decided here: blocking twice succeeds."""
    contact = world.people.get(contact_id)
    if contact is not None and contact.state == "blocked":
        return contact
    contact = _turn(world, show(world, contact_id), "blocked")
    archive_conversations(world, contact.id)
    return contact


def unblock(world: World, contact_id: str) -> Contact:
    """Not in any description (2.7 to 2.16, Preview): only served when the option asks for it. Conversations stay
    archived.
    """
    contact = world.people.get(contact_id)
    if contact is None or contact.state != "blocked":
        raise errors.user_not_found()
    return _turn(world, contact, "live")


def _turn(world: World, contact: Contact, state: Literal["live", "archived", "blocked", "deleted"]) -> Contact:
    now = world.now()
    contact = replace(contact, state=state, updated_at=now, deleted_at=now if state == "deleted" else None)
    world.people.put(contact, at=world.clock())
    return contact


# --- merging --------------------------------------------------------------------------------------------------------


def merge(world: World, body: dict[str, object]) -> Contact:
    """MergeContact: a lead goes into a user. Its conversations, tags and notes move; the user's own fields stay
    (decided here).
    """
    lead, user = _merging(world, body, "from"), _merging(world, body, "into")
    if lead.role != "lead" or user.role != "user":
        raise errors.ApiError(400, "invalid_merge", "Only a lead can be merged into a user")
    if body.get("skip_duplicate_validation") is not True and not _duplicates(lead, user):
        raise errors.not_duplicates()
    now = world.now()
    held = {tagging.id for tagging in user.tags}
    tags = (*user.tags, *(tagging for tagging in lead.tags if tagging.id not in held))
    for note_id in lead.notes:
        world.notes[note_id] = replace(world.notes[note_id], contact_id=user.id)
    merged = replace(user, tags=tags, notes=(*lead.notes, *user.notes), updated_at=now)
    gone = replace(lead, state="merged", merged_into=user.id, merged_at=now, tags=(), notes=(), updated_at=now)
    world.people.put(gone, at=world.clock())
    world.people.put(merged, at=world.clock())
    move_conversations(world, lead.id, user.id)
    return merged


def _merging(world: World, body: dict[str, object], name: str) -> Contact:
    contact_id = body.get(name)
    if not isinstance(contact_id, str):
        raise errors.missing(name)
    return show(world, contact_id)


def _duplicates(one: Contact, other: Contact) -> bool:
    same_email = one.email is not None and email_key(one.email) == email_key(other.email)
    return same_email or (one.phone is not None and one.phone == other.phone)


def merged_into(world: World, contact_id: str, *, newest_first: bool) -> list[Contact]:
    """What was merged into a live user (ListContactMergeHistory: 404 for a lead)."""
    contact = world.people.get(contact_id)
    if contact is None or contact.state != "live" or contact.role != "user":
        raise errors.ApiError(404, "not_found", "Contact not found")
    gone = [world.people.get(one) for one in world.people.absorbed.get(contact_id, ())]
    return sorted(
        (one for one in gone if one is not None), key=lambda one: (one.merged_at or 0, one.id), reverse=newest_first
    )
