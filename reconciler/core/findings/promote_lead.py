"""A lead who is a member becomes that member's user: role and external id in one call.

An external id "cannot be set for role lead", and a user cannot become a lead again (facts §3, reference of
update-contact), so both go together and there is no way back.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.diff import PROMOTE_LEAD
from reconciler.core.match import evidence
from reconciler.core.rules import Rules
from reconciler.core.world import Ask, Case, Ruling, ruling

RULE = PROMOTE_LEAD


def judge(case: Case) -> Iterator[Ruling]:
    """Ask for the promotion of the member's only, or best, contact."""
    then = case.world.rules.findings.promote_lead.then
    survivor = case.survivor
    if then == "off" or survivor is None or survivor.contact.role != "lead":
        return
    acts = promotes(case.world.rules)
    mine = tuple(change for change in case.changes if change.rule == RULE)
    says = f"is a lead, and is member {case.member.number} by {survivor.by}"
    yield ruling(
        RULE,
        "fixable" if acts else "review",
        says if acts or then != "promote" else f"{says}; not promoted, as contacts.yaml does not list role",
        contact=survivor.contact.id,
        member=case.member.number,
        evidence=evidence(survivor, case.world.people, case.world.source.name),
        asks=tuple(Ask("promote", survivor.contact, change.field, change.wanted) for change in mine) if acts else (),
    )


def promotes(rules: Rules) -> bool:
    """Whether leads become users: where the rule is to, and contacts.yaml owns the role."""
    return rules.findings.promote_lead.then == "promote" and "role" in rules.contacts.fields
