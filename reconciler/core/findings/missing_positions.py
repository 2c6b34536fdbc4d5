"""Positions that the source does not have: a contact shows some, or a member of a type that holds one has none.

What a contact shows is cleared, or only reported; what the source lacks is for a person.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.contact_builder import member_type
from reconciler.core.diff import MISSING_POSITIONS
from reconciler.core.world import Case, Ruling, World, change_ruling, ruling

RULE = MISSING_POSITIONS


def judge(case: Case) -> Iterator[Ruling]:
    """The clearing of positions, which is a rule of its own so that it can be stopped on its own."""
    then = case.world.rules.findings.missing_positions.then
    if then == "off":
        return
    found = change_ruling(
        case, RULE, acts=then == "clear", do="update", verb="shows positions the source does not have"
    )
    if found is not None:
        yield found


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each member who holds no position and is of a type that does (`expected_of`)."""
    settings = world.rules.findings.missing_positions
    if settings.then == "off" or not settings.expected_of:
        return
    for number, desired in world.people.wanted.items():
        kind = member_type(desired.member, world.rules)
        if kind in settings.expected_of and number not in world.people.positions:
            yield ruling(
                RULE,
                "review",
                f"holds no position, as somebody of type {kind!r} should",
                member=number,
                evidence=tuple(
                    world.member_evidence(desired.member, column) for column in ("status", "member_type_id")
                ),
            )
