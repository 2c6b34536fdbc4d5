"""Codes without a name: they are shown as they are, and one finding a code says who is concerned."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.model import Evidence, Member, Oddity
from reconciler.core.world import Ruling, World, ruling

RULE = "unknown-position-code"

SHOWN = 5
"""How many rows stand in the evidence; the finding counts all."""


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each position code or member type that has no name."""
    if world.rules.findings.unknown_position_code.then == "off":
        return
    for says, concerned in sorted(_by_code(world).items()):
        count = len(concerned)
        yield ruling(
            RULE,
            "review",
            f"{says}; {count} member{'s' if count > 1 else ''} concerned",
            evidence=tuple(
                Evidence(f"{world.source.name} {member.row}", oddity.field, oddity.value)
                for member, oddity in concerned[:SHOWN]
            ),
            about=tuple(member.number for member, _ in concerned),
        )


def _by_code(world: World) -> dict[str, list[tuple[Member, Oddity]]]:
    """What is said of a code → the members it is about."""
    found: dict[str, list[tuple[Member, Oddity]]] = {}
    for desired in world.people.wanted.values():
        for oddity in desired.oddities:
            if oddity.kind in {"position-code", "member-type"}:
                found.setdefault(oddity.says, []).append((desired.member, oddity))
    return found
