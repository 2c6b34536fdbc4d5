"""Small worlds of positions: a source, the rows of a table, and the plan between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from reconciler.core.assembly import Context, Scope
from reconciler.core.guards import Accepted, LastGood
from reconciler.core.model import Member, Position, PositionRow, SourceData
from reconciler.core.plan import Plan
from reconciler.core.positions import make_plan
from reconciler.core.row_actions import change_of
from reconciler.core.rules import Rules
from tests.support.builders import default_rules, make_member

Pair: TypeAlias = tuple[str | None, str | None]
"""Member number and code."""

NOW = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)


def source_of(held: Iterable[tuple[str, str]], members: Iterable[str] | None = None) -> SourceData:
    """A source with these positions; its members are those who hold one, unless they are named."""
    held = sorted(held)
    numbers = sorted({number for number, _ in held if number} if members is None else members)
    people: list[Member] = [make_member(number) for number in numbers]
    positions = tuple(Position(number, code, f"positions/{number}/{code}") for number, code in held)
    return SourceData("mysql", tuple(people), positions)


def rows_of(pairs: Iterable[Pair], *, with_ids: bool = False) -> tuple[PositionRow, ...]:
    """Rows as they are written; with ids, from 1 on."""
    return tuple(PositionRow(number, code, str(at) if with_ids else None) for at, (number, code) in enumerate(pairs, 1))


def plan_of(
    source: SourceData,
    rows: Iterable[PositionRow],
    *,
    scope: Scope | None = None,
    accepted: Accepted | None = None,
    last_good: LastGood | None = None,
    rules: Rules | None = None,
) -> Plan:
    """The plan between the two, under the rules as they are shipped."""
    context = Context(
        now=NOW,
        read_at=NOW,
        tool="t",
        target="positions",
        workspace="abc.supabase.co",
        intercom_version="",
        last_good=last_good,
        accepted=accepted or Accepted(),
    )
    return make_plan(source, tuple(rows), rules or default_rules(), scope or Scope(), context, place="supabase")


def applied(plan: Plan, rows: Iterable[PositionRow]) -> tuple[PositionRow, ...]:
    """The rows once every action of the plan is done, worked out apart from the code that does it."""
    table = Counter(rows)
    for action in plan.actions:
        change = change_of(action)
        if change.into is not None:
            table[change.row] -= 1
            table[change.into] += 1
            continue
        for _ in range(change.before - change.after):
            table[change.row] -= 1
        for _ in range(change.after - change.before):
            table[change.row] += 1
    if min(table.values(), default=0) < 0:
        raise AssertionError("a row was taken away that is not there")
    return tuple(sorted(table.elements(), key=str))
