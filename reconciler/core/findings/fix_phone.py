"""Phones in E.164: another spelling of the same number is put in form; what cannot be a number is left and reported."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.diff import FIX_PHONE
from reconciler.core.model import Evidence
from reconciler.core.world import Case, Ruling, change_ruling, ruling

RULE = FIX_PHONE


def judge(case: Case) -> Iterator[Ruling]:
    """A change of form for the contact; a finding for a phone of the source, or of the contact alone, that is none."""
    then = case.world.rules.findings.fix_phone.then
    if then == "off":
        return
    found = change_ruling(case, RULE, acts=then == "update", do="update", verb="is not in E.164")
    if found is not None:
        yield found
    for oddity in case.desired.oddities:
        if oddity.kind == "phone":
            yield ruling(
                RULE,
                "review",
                f"phone {oddity.says}; the contact's value is left",
                member=case.member.number,
                contact=case.survivor.contact.id if case.survivor is not None else None,
                evidence=(case.world.member_evidence(case.member, "phone"),),
            )
    if case.phone_problem is not None and case.survivor is not None:
        contact = case.survivor.contact
        yield ruling(
            RULE,
            "review",
            f"phone {case.phone_problem}, and the source has none; the contact's value is left",
            member=case.member.number,
            contact=contact.id,
            evidence=(
                Evidence(f"intercom contacts/{contact.id}", "phone", contact.phone),
                case.world.member_evidence(case.member, "phone"),
            ),
        )
