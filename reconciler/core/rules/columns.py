"""Whether the columns that rules/sources.yaml names for a table are those that a reader of it can use.

`checks.py` has refused the rest already where the rules were read from files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from reconciler.core.rules import Table
from reconciler.errors import Problem


def column_problems(place: str, table: Table, *, required: Collection[str], known: Sequence[str]) -> Iterator[Problem]:
    """What is lacking, and what no reader knows. place: where the columns stand, e.g. `sql.members.columns`."""
    for name in required:
        if name not in table.columns:
            yield Problem("sources.yaml", 0, f"{place} lacks `{name}`")
    for name in table.columns:
        if name not in known:
            yield Problem("sources.yaml", 0, f"{place} has `{name}`; valid names: {', '.join(known)}")
