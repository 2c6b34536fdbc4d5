"""One member number in two rows of the source: nobody can say which row is meant, so nothing touches it."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.world import Ruling, World, ruling

RULE = "duplicate-member-number"


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each number that more than one row holds."""
    if world.rules.findings.duplicate_member_number.then == "off":
        return
    for number in world.people.duplicated:
        rows = world.people.by_number[number]
        yield ruling(
            RULE,
            "review",
            f"is in the source {len(rows)} times",
            member=number,
            evidence=tuple(
                world.member_evidence(member, column) for member in rows for column in ("last_name", "email", "status")
            ),
        )
