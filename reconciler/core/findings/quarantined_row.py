"""A row of the source that cannot be used as it is: nothing touches its member until somebody has corrected it."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.model import Evidence, Finding, Quarantined
from reconciler.core.world import Ruling, World, make_finding

RULE = "quarantined-row"


def survey(world: World) -> Iterator[Ruling]:
    """One finding for each such row, with the field and the reason; the value itself is never shown."""
    if world.rules.findings.quarantined_row.then == "off":
        return
    for one in world.source.quarantined:
        yield Ruling(finding_of(RULE, one, source=world.source.name), (), (one.number,) if one.number else ())


def finding_of(rule: str, one: Quarantined, *, source: str) -> Finding:
    """What is said of such a row under a rule. `source` is the name of the source."""
    number = one.number or None
    return make_finding(
        rule,
        "review",
        f"row {one.row} is quarantined, and {'the member' if number is None else f'member {number}'} left alone: "
        + "; ".join(f"{field} {reason}" for field, reason in one.reasons),
        member=number,
        evidence=tuple(
            Evidence(f"{source} {one.row}", field, f"not shown, as it {reason}") for field, reason in one.reasons
        ),
    )
