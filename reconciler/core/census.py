"""Live contacts against members, in numbers that add up: what is out of proportion shows before any single finding."""

from __future__ import annotations

from collections import Counter

from reconciler.core.plan import Census
from reconciler.core.world import World


def census_of(world: World) -> Census:
    """Every live contact once, by its role and by whose it is; members by their status."""
    people, matches = world.people, world.matches
    roles = Counter(contact.role for contact in world.snapshot.contacts)
    statuses = Counter(member.status for member in world.source.members)
    theirs = sum(len(found) for number, found in matches.tied.items() if number in people.wanted)
    return Census(
        users=roles["user"],
        leads=roles["lead"],
        members={status: statuses[status] for status in world.rules.contacts.who.status},
        wanted=len(people.wanted),
        without=sum(1 for number in people.wanted if number not in matches.tied),
        theirs=theirs,
        others=sum(map(len, matches.tied.values())) - theirs,
        disputed=len(matches.disputed),
        strangers=len(matches.strangers),
    )
