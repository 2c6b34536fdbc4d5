"""Several contacts are one member: one is kept, the others go.

Which one stays is decided by the list `keep`, criterion by criterion, so the choice is the same every night.
A duplicate with an open conversation stays, because an archive hides it from the agents. So does a user where the one
that is kept is a lead that nobody promotes: the lead has no member number, and the user's would be given up.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.diff import FIX_PHONE, PROMOTE_LEAD, UPDATE_ATTRIBUTES, as_text
from reconciler.core.findings.promote_lead import promotes
from reconciler.core.match import Match, evidence
from reconciler.core.model import Contact
from reconciler.core.rules import KeepBy
from reconciler.core.world import Ask, Case, Ruling, may_merge, ruling, with_fields

RULE = "archive-duplicates"

_NEVER = 1 << 62
"""Later than any time: contacts whose age nobody knows come last."""


def choose(matches: tuple[Match, ...], number: str, keep: tuple[KeepBy, ...]) -> tuple[Match, tuple[Match, ...]]:
    """The contact to keep, and the others by id."""
    survivor = min(matches, key=lambda match: (*(_rank(match.contact, number, by) for by in keep), match.contact.id))
    return survivor, tuple(match for match in matches if match is not survivor)


def tells_apart(kept: Contact, other: Contact, number: str, keep: tuple[KeepBy, ...]) -> KeepBy:
    """The criterion by which one is kept and not the other: the first in which they differ."""
    return next((by for by in keep if _rank(kept, number, by) != _rank(other, number, by)), "smallest_id")


def _rank(contact: Contact, number: str, by: KeepBy) -> int | str:
    """Smaller is better."""
    match by:
        case "external_id_is_member_number":
            return 0 if as_text(contact.external_id) == number else 1
        case "role_user":
            return 0 if contact.role == "user" else 1
        case "last_seen":
            return -(contact.last_seen_at or 0)
        case "oldest":
            return contact.created_at if contact.created_at is not None else _NEVER
        case "smallest_id":
            return contact.id


def judge(case: Case) -> Iterator[Ruling]:
    """One ruling for each contact beside the survivor."""
    settings = case.world.rules.findings.archive_duplicates
    if settings.then == "off" or case.survivor is None:
        return
    for duplicate in case.duplicates:
        yield _one(case, case.survivor.contact, duplicate)


def _one(case: Case, survivor: Contact, duplicate: Match) -> Ruling:
    settings = case.world.rules.findings.archive_duplicates
    contact = duplicate.contact
    says = f"is member {case.member.number} too; {survivor.id} is kept"
    asks: tuple[Ask, ...] = ()
    open_now = case.world.open_conversations.get(contact.id, 0) if settings.unless == "open_conversation" else 0
    if settings.then == "merge-leads" and _can_merge(case, survivor, contact):
        asks = (Ask("merge", contact, into=survivor.id),)
    elif settings.then != "report" and open_now:
        says = f"{says}; not archived, which would hide {open_now} open conversation{'s' if open_now > 1 else ''}"
    elif settings.then != "report" and contact.role == "user" and _stays_lead(case, survivor):
        says = f"{says}; not archived, as {survivor.id} is a lead that {PROMOTE_LEAD} leaves as it is"
    elif settings.then != "report":
        asks = (Ask("archive", contact),)
    return ruling(
        RULE,
        "fixable" if asks else "review",
        says,
        contact=contact.id,
        member=case.member.number,
        evidence=evidence(duplicate, case.world.people, case.world.source.name),
        asks=asks,
    )


def _stays_lead(case: Case, survivor: Contact) -> bool:
    """Whether the contact that is kept becomes no user: to archive the member's users would then leave none."""
    return survivor.role == "lead" and not promotes(case.world.rules)


def _can_merge(case: Case, survivor: Contact, lead: Contact) -> bool:
    """Whether the survivor is this lead's duplicate, now or once it is written."""
    return may_merge(lead, survivor) or may_merge(lead, _foreseen(case, survivor))


def _foreseen(case: Case, survivor: Contact) -> Contact:
    """The survivor once every change is written that a rule asks for."""
    findings = case.world.rules.findings
    acting = {
        UPDATE_ATTRIBUTES: findings.update_attributes.then == "update",
        FIX_PHONE: findings.fix_phone.then == "update",
        PROMOTE_LEAD: promotes(case.world.rules),
    }
    if _stays_lead(case, survivor):
        return survivor
    return with_fields(survivor, {one.field: one.wanted for one in case.changes if acting.get(one.rule)})
