"""A contact shows positions, but the source has none for its member: they are cleared, or only reported."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.diff import MISSING_POSITIONS
from reconciler.core.world import Case, Ruling, change_ruling

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
