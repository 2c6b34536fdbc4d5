"""Region and facility codes that regions.yaml or facilities.yaml does not know: shown as they are, and reported.

A list that nobody wrote knows nothing, and is not held against anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.core.findings.unknown_position_code import rulings_by_code
from reconciler.core.model import Member, Oddity
from reconciler.core.rules.shape import nearest
from reconciler.core.world import Ruling, World

RULE = "unknown-place-code"


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each code that is in no list, with all the members who have it."""
    if world.rules.findings.unknown_place_code.then == "off":
        return
    yield from rulings_by_code(world, RULE, _unknown(world))


def _unknown(world: World) -> Iterator[tuple[Member, Oddity]]:
    lists = (("region", world.rules.regions), ("facility", world.rules.facilities))
    for field, known in lists:
        if not known:
            continue
        said: dict[str, Oddity] = {}
        for desired in world.people.wanted.values():
            code = getattr(desired.member, field)
            if code is None or code in known:
                continue
            if code not in said:
                said[code] = _oddity(field, code, known)
            yield desired.member, said[code]


def _oddity(field: str, code: str, known: Mapping[str, str]) -> Oddity:
    file = "regions.yaml" if field == "region" else "facilities.yaml"
    near = nearest(code, known)
    hint = f" (did you mean {near!r}, {known[near]}?)" if near is not None else ""
    return Oddity("place-code", field, code, f"{field} code {code!r} is not in {file}{hint}")
