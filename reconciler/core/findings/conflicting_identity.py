"""A contact whose identifiers contradict each other, or fit several members alike.

Nobody guesses: it is reported, and nothing touches it.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.match import evidence
from reconciler.core.world import Ruling, World, ruling

RULE = "conflicting-identity"


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each disputed contact. Where an e-mail is shared, shared-email says so, once a member."""
    if world.rules.findings.conflicting_identity.then == "off":
        return
    for match in world.matches.disputed:
        if match.state == "conflict" or not all(number in world.people.sharing for number in match.claims()):
            yield ruling(
                RULE,
                "review",
                match.why,
                contact=match.contact.id,
                evidence=evidence(match, world.people, world.source.name),
                about=match.claims(),
            )
