"""Codes without a name: they are shown as they are, and one finding a code says who is concerned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.core.model import Evidence, Member, Oddity
from reconciler.core.world import Ruling, World, ruling

RULE = "unknown-position-code"

SHOWN = 5
"""How many rows stand in the evidence; the finding counts all."""


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each position code or member type that has no name."""
    if world.rules.findings.unknown_position_code.then == "off":
        return
    yield from rulings_by_code(world, RULE, _without_name(world))


def rulings_by_code(world: World, rule: str, found: Iterable[tuple[Member, Oddity]]) -> Iterator[Ruling]:
    """One ruling for each different thing that is said, ordered by it, with the members it is said of."""
    by_code: dict[str, list[tuple[Member, Oddity]]] = {}
    for member, oddity in found:
        by_code.setdefault(oddity.says, []).append((member, oddity))
    for says, concerned in sorted(by_code.items()):
        count = len(concerned)
        yield ruling(
            rule,
            "review",
            f"{says}; {count} member{'s' if count > 1 else ''} concerned",
            evidence=tuple(
                Evidence(f"{world.source.name} {member.row}", oddity.field, oddity.value)
                for member, oddity in concerned[:SHOWN]
            ),
            about=tuple(member.number for member, _ in concerned),
        )


def _without_name(world: World) -> Iterator[tuple[Member, Oddity]]:
    for desired in world.people.wanted.values():
        for oddity in desired.oddities:
            if oddity.kind in {"position-code", "member-type"}:
                yield desired.member, oddity
