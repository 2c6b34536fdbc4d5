"""A member who should be a contact by status, and cannot be one: no e-mail, a value that no contact can hold."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.model import Evidence
from reconciler.core.world import Ruling, World, ruling

RULE = "invalid-member"


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each such member, with every reason."""
    if world.rules.findings.invalid_member.then == "off":
        return
    for member, reasons in world.people.invalid:
        yield ruling(
            RULE,
            "review",
            "cannot be a contact: " + "; ".join(reason.says for reason in reasons),
            member=member.number or None,
            evidence=tuple(
                Evidence(f"{world.source.name} {member.row}", reason.field, reason.value) for reason in reasons
            ),
        )
