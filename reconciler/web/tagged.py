"""What a tagged conversation says: which member an agent verified for which contact, or why nobody can tell."""

from __future__ import annotations

import asyncio

import msgspec

from reconciler.core.actions import Outcome
from reconciler.core.desired import gather_people
from reconciler.core.diff import as_text
from reconciler.core.model import Contact, SourceData
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.core.verification import against
from reconciler.sources import LookUp
from reconciler.targets.intercom.wire import OneConversation
from reconciler.web.events import Event
from reconciler.web.notes import Reason

TAG = "mynatca-sync"
"""The tag with which an agent asks for a contact to be put right."""

ATTRIBUTE = "member_number_verification"
"""The conversation's attribute that holds the number which the member confirmed."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a tag is not followed, and what the note about it names."""

    reason: Reason
    number: str = ""
    contact: str = ""
    detail: str = ""

    def fields(self, event: Event) -> dict[str, str]:
        """The values of the note's text."""
        return {
            "tag": TAG,
            "attribute": ATTRIBUTE,
            "number": self.number,
            "contact": self.contact or event.contact,
            "detail": self.detail,
        }


class Tagged(msgspec.Struct, frozen=True):
    """An agent verified that this contact is this member, who should have one."""

    contact: str
    number: str

    def against(self, contact: Contact, source: SourceData, rules: Rules) -> Refusal | None:
        """Why the contact, as it is now, cannot be that of the member. source: whoever it may be, and the member."""
        why = against(contact, self.number, gather_people(source, rules), rules)
        if why is None:
            return None
        return Refusal("belongs-to-another", number=self.number, contact=contact.id, detail=why)


async def check_tagged(conversation: OneConversation, *, lookup: LookUp, rules: Rules) -> Tagged | Refusal:
    """What the conversation says. Raises SourceError where the member cannot be looked up."""
    number = as_text(conversation.attribute(ATTRIBUTE))
    if number is None:
        return Refusal("attribute-missing")
    found = await asyncio.to_thread(lookup.members_by_number, number)
    if not found.members:
        return Refusal("member-not-found", number=number)
    if len(found.members) > 1:
        return Refusal("number-held-twice", number=number)
    if found.members[0].status not in rules.contacts.who.status:
        return Refusal("not-active-or-retired", number=number)
    contacts = contacts_of(conversation)
    if len(contacts) == 1:
        return Tagged(contacts[0], number)
    return Refusal("several-contacts" if contacts else "contact-gone", number=number)


def contacts_of(conversation: OneConversation) -> list[str]:
    """The ids of the contacts that take part in it."""
    return [one.id for one in conversation.contacts.contacts] if conversation.contacts is not None else []


def left_as_it_is(contact: Contact, number: str, made: Plan) -> Refusal | None:
    """Why the contact is not the member's once the plan is carried out; None where it is, or has given way to one.

    A contact that the plan does not touch is right already, unless it is a lead or has another external id.
    """
    if any(action.contact == contact.id for action in made.actions):
        return None
    if contact.role == "user" and as_text(contact.external_id) == number:
        return None
    says = [one.says for one in made.findings if one.contact == contact.id or one.member == number]
    detail = "; ".join(dict.fromkeys(says)) or "the rules do not ask for it"
    return Refusal("left-as-it-is", number=number, contact=contact.id, detail=detail)


def not_whole(contact: Contact, number: str, made: Plan, outcomes: tuple[Outcome, ...]) -> Refusal | None:
    """Why the plan could not be carried out whole."""
    held = made.held()
    for one in outcomes:
        if one.action in held:
            return Refusal("over-a-limit", number=number, contact=contact.id, detail=held[one.action])
        if one.outcome == "failed":
            return Refusal("identifiers-taken", number=number, contact=contact.id, detail=one.says)
    return None
