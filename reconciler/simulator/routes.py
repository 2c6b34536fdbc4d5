"""What each path does: from the parts of a request to the bytes of an answer. Thin; the rules are elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.simulator import attributes, contacts, conversations, errors, labels, wire
from reconciler.simulator.queries import page_size
from reconciler.simulator.records import Contact
from reconciler.simulator.simulator import Simulator
from reconciler.simulator.world import ADMIN, World


@dataclass(slots=True)
class Ask:
    """A request, taken apart. path: its parameters.  query: of the URL.  raw: the body.  subject: the id concerned,
    for the log.  status: of the answer, unless it is refused.
    """

    simulator: Simulator
    path: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes = b""
    subject: str | None = None
    status: int = 200

    @property
    def world(self) -> World:
        """The simulator's world."""
        return self.simulator.world

    def body(self) -> dict[str, object]:
        """The JSON object that was sent."""
        return wire.decode_object(self.raw)

    def id(self) -> str:
        """The id in the path, which is also what the call is about."""
        self.subject = self.path["id"]
        return self.subject

    def contact(self, contact: Contact) -> bytes:
        """A whole contact as the answer."""
        self.subject = contact.id
        return self.world.people.body(contact)


Operation = Callable[[Ask], bytes]


def me(ask: Ask) -> bytes:
    """identifyAdmin: the only way to learn the workspace's timezone; it tells no scopes."""
    workspace = ask.world.workspace
    app = {
        "type": "app",
        "id_code": workspace.id,
        "name": workspace.name,
        "created_at": workspace.created_at,
        "secure": False,
        "identity_verification": False,
        "timezone": workspace.timezone,
        "region": workspace.region,
    }
    admin = {"type": "admin", "id": ADMIN.id, "email": ADMIN.email, "name": ADMIN.name, "email_verified": True}
    avatar = {"type": "avatar", "image_url": None}
    return wire.encode(admin | {"app": app, "avatar": avatar, "has_inbox_seat": True})


# --- contacts -------------------------------------------------------------------------------------------------------


def list_contacts(ask: Ask) -> bytes:
    """ListContacts: 10 a page by default, 150 at most (description pull request 639); youngest first (decided here)."""
    people = ask.world.people
    size = page_size(ask.query.get("per_page"), 10)
    page, below = 1, None
    cursor = ask.query.get("starting_after")
    if cursor is not None:
        page, below = (int(str(part)) for part in wire.read_cursor("list", cursor, int, int))
    found, following = people.page(below=below, size=size)
    return wire.page_bytes(
        map(people.body, found),
        total=people.counts["live"],
        page=page,
        size=size,
        cursor=None if following is None else wire.write_cursor("list", page + 1, following),
    )


def create_contact(ask: Ask) -> bytes:
    """CreateContact: 200, not 201."""
    return ask.contact(contacts.create(ask.world, ask.body()))


def search_contacts(ask: Ask) -> bytes:
    """SearchContacts: everything is in the body; a cursor in the URL is silently ignored."""
    return ask.simulator.search.contacts(ask.body())


def show_contact(ask: Ask) -> bytes:
    """ShowContact."""
    return ask.contact(contacts.show(ask.world, ask.id()))


def find_by_external_id(ask: Ask) -> bytes:
    """ShowContactByExternalId."""
    return ask.contact(contacts.find_by_external_id(ask.world, ask.path["external_id"]))


def update_contact(ask: Ask) -> bytes:
    """UpdateContact: a PUT with a partial body."""
    return ask.contact(contacts.update(ask.world, ask.id(), ask.body()))


def delete_contact(ask: Ask) -> bytes:
    """DeleteContact."""
    return wire.contact_reference(contacts.delete(ask.world, ask.id()), deleted=True)


def archive_contact(ask: Ask) -> bytes:
    """ArchiveContact."""
    return wire.contact_reference(contacts.archive(ask.world, ask.id()), archived=True)


def unarchive_contact(ask: Ask) -> bytes:
    """UnarchiveContact."""
    return wire.contact_reference(contacts.unarchive(ask.world, ask.id()), archived=False)


def block_contact(ask: Ask) -> bytes:
    """BlockContact."""
    return wire.contact_reference(contacts.block(ask.world, ask.id()), blocked=True)


def unblock_contact(ask: Ask) -> bytes:
    """No operation of Intercom's: its reference answer is contact_blocked with the opposite value."""
    return wire.contact_reference(contacts.unblock(ask.world, ask.id()), blocked=False)


def merge_contacts(ask: Ask) -> bytes:
    """MergeContact: answers with the user; the log names the lead, whose end this is."""
    body = ask.body()
    ask.subject = str(body.get("from"))
    return ask.world.people.body(contacts.merge(ask.world, body))


def merge_history(ask: Ask) -> bytes:
    """ListContactMergeHistory: 50 a page, newest first unless order=asc."""
    size = page_size(ask.query.get("per_page"), 50)
    cursor, order = ask.query.get("cursor"), ask.query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise errors.invalid("order must be asc or desc")
    after = 0 if cursor is None else int(str(wire.read_cursor("merge", cursor, int)[0]))
    gone = contacts.merged_into(ask.world, ask.id(), newest_first=order == "desc")
    return wire.merge_history(gone, after=max(0, after), size=size)


def bulk_update(ask: Ask) -> bytes:
    """BulkUpdateContacts: accepted, not done."""
    job = ask.simulator.jobs.accept(ask.body())
    ask.status = 202
    return wire.encode(job.body())


def bulk_job(ask: Ask) -> bytes:
    """The operation ShowBulkUpdateContactsJob."""
    return wire.encode(ask.simulator.jobs.show(ask.path["id"]).body())


# --- tags and notes -------------------------------------------------------------------------------------------------


def list_tags(ask: Ask) -> bytes:
    """The operation listTags: no paging."""
    return wire.list_bytes([wire.tag_dict(tag) for tag in ask.world.tags.values()])


def create_tag(ask: Ask) -> bytes:
    """The operation createTag."""
    return wire.encode(wire.tag_dict(labels.create_tag(ask.world, ask.body())))


def contact_tags(ask: Ask) -> bytes:
    """The operation listTagsForAContact: all of them, where the contact's own body shows ten."""
    contact = contacts.show(ask.world, ask.id())
    return wire.list_bytes([wire.tag_dict(ask.world.tags[tagging.id], tagging) for tagging in contact.tags])


def tag_contact(ask: Ask) -> bytes:
    """The operation attachTagToContact."""
    return wire.encode(wire.tag_dict(*labels.add_tag(ask.world, ask.id(), ask.body())))


def untag_contact(ask: Ask) -> bytes:
    """The operation detachTagFromContact."""
    return wire.encode(wire.tag_dict(*labels.remove_tag(ask.world, ask.id(), ask.path["tag_id"])))


def contact_notes(ask: Ask) -> bytes:
    """listNotes, youngest first; its paging parameters are `page` and `per_page`, as in the `pages` object it
    returns.
    """
    contact = contacts.show(ask.world, ask.id())
    size = page_size(ask.query.get("per_page"), 50)
    page = ask.query.get("page", "1")
    if not page.isdecimal() or len(page) > 9 or int(page) < 1:
        raise errors.invalid("page must be a number from 1")
    notes = [labels.note_dict(ask.world, ask.world.notes[one]) for one in contact.notes if one in ask.world.notes]
    return wire.notes_bytes(notes, page=int(page), size=size)


def note_contact(ask: Ask) -> bytes:
    """The operation createNote."""
    return wire.encode(labels.note_dict(ask.world, labels.add_note(ask.world, ask.id(), ask.body())))


# --- data attributes ------------------------------------------------------------------------------------------------


def list_attributes(ask: Ask) -> bytes:
    """lisDataAttributes: standard attributes without an id, then the custom ones."""
    model = ask.query.get("model")
    custom = attributes.listed(ask.world, model=model, archived=ask.query.get("include_archived") == "true")
    standard = attributes.STANDARD if model in (None, "contact") else ()
    return wire.list_bytes(
        [
            *(
                wire.standard_attribute_dict(name, kind, "contact", writable=writable)
                for name, kind, writable in standard
            ),
            *(wire.attribute_dict(one, ADMIN.id) for one in custom),
        ]
    )


def create_attribute(ask: Ask) -> bytes:
    """The operation createDataAttribute."""
    return wire.encode(wire.attribute_dict(attributes.create(ask.world, ask.body()), ADMIN.id))


def update_attribute(ask: Ask) -> bytes:
    """The operation updateDataAttribute."""
    return wire.encode(wire.attribute_dict(attributes.update(ask.world, ask.id(), ask.body()), ADMIN.id))


# --- conversations --------------------------------------------------------------------------------------------------


def list_conversation_attributes(ask: Ask) -> bytes:
    """The operation listConversationAttributes, new in 2.16."""
    known = ask.world.conversation_attributes.values()
    return wire.list_bytes([wire.conversation_attribute_dict(one, ADMIN.id) for one in known])


def search_conversations(ask: Ask) -> bytes:
    """The operation searchConversations."""
    return ask.simulator.search.conversations(ask.body())


def show_conversation(ask: Ask) -> bytes:
    """The operation retrieveConversation."""
    return wire.encode(conversations.body(ask.world, conversations.show(ask.world, ask.id()), with_parts=True))


def reply_conversation(ask: Ask) -> bytes:
    """The operation replyConversation."""
    after = conversations.reply(ask.world, ask.id(), ask.body())
    return wire.encode(conversations.body(ask.world, after, with_parts=True))


def update_conversation(ask: Ask) -> bytes:
    """The operation updateConversation."""
    return wire.encode(conversations.body(ask.world, conversations.update(ask.world, ask.id(), ask.body())))


def tag_conversation(ask: Ask) -> bytes:
    """The operation attachTagToConversation."""
    return wire.encode(wire.tag_dict(*conversations.add_tag(ask.world, ask.id(), ask.body())))


def untag_conversation(ask: Ask) -> bytes:
    """The operation detachTagFromConversation."""
    return wire.encode(wire.tag_dict(*conversations.remove_tag(ask.world, ask.id(), ask.path["tag_id"], ask.body())))


# --- the table ------------------------------------------------------------------------------------------------------

EXTERNAL_ID_PREFIX = "/contacts/find_by_external_id/"

ROUTES: tuple[tuple[str, str, Operation], ...] = (
    ("GET", "/me", me),
    ("GET", "/contacts", list_contacts),
    ("POST", "/contacts", create_contact),
    ("POST", "/contacts/search", search_contacts),
    ("POST", "/contacts/merge", merge_contacts),
    ("GET", EXTERNAL_ID_PREFIX + "{external_id:path}", find_by_external_id),
    ("GET", "/contacts/{id}", show_contact),
    ("PUT", "/contacts/{id}", update_contact),
    ("DELETE", "/contacts/{id}", delete_contact),
    ("POST", "/contacts/{id}/archive", archive_contact),
    ("POST", "/contacts/{id}/unarchive", unarchive_contact),
    ("POST", "/contacts/{id}/block", block_contact),
    ("GET", "/contacts/{id}/merge_history", merge_history),
    ("GET", "/contacts/{id}/tags", contact_tags),
    ("POST", "/contacts/{id}/tags", tag_contact),
    ("DELETE", "/contacts/{id}/tags/{tag_id}", untag_contact),
    ("GET", "/contacts/{id}/notes", contact_notes),
    ("POST", "/contacts/{id}/notes", note_contact),
    ("GET", "/tags", list_tags),
    ("POST", "/tags", create_tag),
    ("GET", "/data_attributes", list_attributes),
    ("POST", "/data_attributes", create_attribute),
    ("PUT", "/data_attributes/{id}", update_attribute),
    ("GET", "/conversations/attributes", list_conversation_attributes),
    ("POST", "/conversations/search", search_conversations),
    ("GET", "/conversations/{id}", show_conversation),
    ("PUT", "/conversations/{id}", update_conversation),
    ("POST", "/conversations/{id}/reply", reply_conversation),
    ("POST", "/conversations/{id}/tags", tag_conversation),
    ("DELETE", "/conversations/{id}/tags/{tag_id}", untag_conversation),
)
"""(method, path, operation), in the order in which paths are tried."""

PREVIEW_ROUTES: tuple[tuple[str, str, Operation], ...] = (
    ("PUT", "/contacts/bulk", bulk_update),
    ("GET", "/contacts/bulk/{id}", bulk_job),
)
"""As ROUTES, for calls of the version Preview."""

UNBLOCK: tuple[str, str, Operation] = ("POST", "/contacts/{id}/unblock", unblock_contact)
"""Served only with Options.unblock_endpoint."""
