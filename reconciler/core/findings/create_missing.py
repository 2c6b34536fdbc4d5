"""A member who should be a contact and has none gets one."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.world import Ask, Case, Ruling, ruling

RULE = "create-missing"


def judge(case: Case) -> Iterator[Ruling]:
    """Ask for a contact, unless one in dispute may be this member already (then conflicting-identity says so)."""
    then = case.world.rules.findings.create_missing.then
    number = case.member.number
    if then == "off" or case.survivor is not None or number in case.world.matches.claimed:
        return
    acts = then == "create"
    fields = [(field, value) for field, value in case.desired.fields.items() if value is not None]
    yield ruling(
        RULE,
        "fixable" if acts else "review",
        "has no contact",
        member=number,
        evidence=tuple(case.world.member_evidence(case.member, column) for column in ("status", "email")),
        asks=tuple(Ask("create", None, field, value) for field, value in fields) if acts else (),
    )
