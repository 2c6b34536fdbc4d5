"""A contact whose owned fields differ from its member is brought in line."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.diff import UPDATE_ATTRIBUTES
from reconciler.core.world import Case, Ruling, change_ruling

RULE = UPDATE_ATTRIBUTES


def judge(case: Case) -> Iterator[Ruling]:
    """Every change that no narrower rule speaks for."""
    then = case.world.rules.findings.update_attributes.then
    if then == "off":
        return
    found = change_ruling(case, RULE, acts=then == "update", do="update", verb="differs from the source")
    if found is not None:
        yield found
