"""Two members share one e-mail, as spouses do. Their contacts cannot be told apart by it, so nothing touches them."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.model import Evidence
from reconciler.core.world import Ruling, World, ruling

RULE = "shared-email"


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each member who shares an e-mail and should be a contact."""
    if world.rules.findings.shared_email.then == "off":
        return
    for email, numbers in sorted(world.people.shared.items()):
        rows = [member for number in numbers for member in world.people.by_number[number]]
        holders = world.snapshot.by_email.get(email, ())
        lines = (
            *(world.member_evidence(member, "email") for member in rows),
            *(Evidence(f"intercom contacts/{contact.id}", "email", contact.email) for contact in holders),
        )
        for number in numbers:
            if number in world.people.wanted:
                others = " and ".join(other for other in numbers if other != number)
                yield ruling(
                    RULE,
                    "review",
                    f"has the same e-mail as member {others}",
                    member=number,
                    evidence=lines,
                    about=numbers,
                )
