"""Tags and notes: the labels support staff puts on people."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.simulator import errors
from reconciler.simulator.contacts import show
from reconciler.simulator.conversations import required_id
from reconciler.simulator.records import Contact, Note, Tag, Tagging
from reconciler.simulator.wire import note_dict as wire_note
from reconciler.simulator.world import ADMIN, World


def create_tag(world: World, body: dict[str, object]) -> Tag:
    """createTag: a tag by name (made when there is none), renamed when an id is given, and put on `users` when there
    are some.

    Tagging many people is all or nothing here; names are compared without regard to case (both decided here).
    """
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise errors.invalid("invalid tag parameters")
    people = _people(world, body.get("users"))
    tag = _renamed(world, body["id"], name) if body.get("id") is not None else _named(world, name)
    for contact in people:
        _attach(world, contact, tag)
    return tag


def _people(world: World, users: object) -> list[Contact]:
    if users is None:
        return []
    if not isinstance(users, list) or not all(isinstance(one, dict) for one in users):
        raise errors.invalid("invalid tag parameters")
    return [show(world, required_id(one, "id")) for one in users]


def _named(world: World, name: str) -> Tag:
    for tag in world.tags.values():
        if tag.name.casefold() == name.casefold():
            return tag
    return put_tag(world, Tag(world.new_tag_id(), name))


def _renamed(world: World, tag_id: object, name: str) -> Tag:
    if str(tag_id) not in world.tags:
        raise errors.resource_not_found()
    return put_tag(world, Tag(str(tag_id), name))


def put_tag(world: World, tag: Tag) -> Tag:
    """Add or rename a tag."""
    world.writes += 1
    world.tags[tag.id] = tag
    return tag


def add_tag(world: World, contact_id: str, body: dict[str, object]) -> tuple[Tag, Tagging]:
    """attachTagToContact: by the tag's id, not its name. Twice changes nothing."""
    contact = show(world, contact_id)
    tag = world.tags.get(required_id(body, "id"))
    if tag is None:
        raise errors.resource_not_found()
    return tag, _attach(world, contact, tag)


def _attach(world: World, contact: Contact, tag: Tag) -> Tagging:
    for tagging in contact.tags:
        if tagging.id == tag.id:
            return tagging
    tagging = Tagging(tag.id, world.now(), ADMIN.id)
    _retag(world, contact, (*contact.tags, tagging))
    return tagging


def remove_tag(world: World, contact_id: str, tag_id: str) -> tuple[Tag, Tagging]:
    """The operation detachTagFromContact."""
    contact = show(world, contact_id)
    gone = [tagging for tagging in contact.tags if tagging.id == tag_id]
    if not gone:
        raise errors.resource_not_found()
    _retag(world, contact, tuple(tagging for tagging in contact.tags if tagging.id != tag_id))
    return world.tags[tag_id], gone[0]


def _retag(world: World, contact: Contact, tags: tuple[Tagging, ...]) -> None:
    world.people.put(replace(contact, tags=tags, updated_at=world.now()), at=world.clock())


def add_note(world: World, contact_id: str, body: dict[str, object]) -> Note:
    """createNote: a body, and an admin_id that may be left out."""
    contact = show(world, contact_id)
    text = body.get("body")
    if not isinstance(text, str) or not text:
        raise errors.missing("body")
    author = None if body.get("admin_id") is None else required_id(body, "admin_id")
    if author is not None and author not in world.admins:
        raise errors.admin_not_found()
    note = Note(world.new_note_id(), contact.id, author, text, world.now())
    world.notes[note.id] = note
    after = replace(contact, notes=(note.id, *contact.notes), updated_at=world.now())
    world.people.put(after, at=world.clock())
    return note


def note_dict(world: World, note: Note) -> dict[str, object]:
    """A note as JSON, with its author as they are called now."""
    return wire_note(note, None if note.author_id is None else world.admins.get(note.author_id))
