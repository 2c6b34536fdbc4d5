"""Tables and sources by chance: one apply makes any table right, and an undo brings it back to the very rows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from reconciler.core.actions import Outcome
from reconciler.core.guards import Accepted
from reconciler.core.model import SourceData, silent
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.rules import Limits
from reconciler.core.undo import undo_plan
from tests.support.campaign import NIGHTLY
from tests.support.positions import NOW, Pair, rows_of, source_of
from tests.targets.positions_support import Mirror, carried_out, mirror

PAIRS = 200
"""Generated pairs of a source and a table."""

UNDONE = 200 if NIGHTLY else 20
"""Of so many of them the undo is tried, too."""

NUMBERS = ["1", "01", "2", "10", "100", "é", "😀", 'a"b', "a,b", "null"]
CODES = ["pres", "evp", "facrep", "PRES", "(x)", "a.b"]


@pytest.fixture(scope="module")
def plain(postgres_shared_url: str) -> Iterator[Mirror]:
    """A table without ids."""
    with mirror(postgres_shared_url) as one:
        yield one


def drawn(chance: random.Random) -> tuple[SourceData, list[Pair]]:
    """A source of some positions; a table that has some of them, some twice, some spelt otherwise, and others."""
    keys = [(number, code) for number in NUMBERS for code in CODES]
    held = chance.sample(keys, chance.randrange(1, 14))
    rows: list[Pair] = []
    for number, code in chance.sample(keys, chance.randrange(14)) + [key for key in held if chance.random() < 0.6]:
        spelt = (
            chance.choice([number, number, number, f" {number}", f"{number} "]),
            chance.choice([code, code, code, f"{code}\t"]),
        )
        rows += [spelt] * chance.choice([1, 1, 1, 2, 3])
    if chance.random() < 0.2:
        rows.append((None, chance.choice(CODES)))
    chance.shuffle(rows)
    return source_of(held), rows


def test_any_table_is_right_after_one_apply(plain: Mirror) -> None:
    """200 pairs: every action is done, the table holds each position once, and planned again nothing is left."""
    asyncio.run(all_pairs(plain))


async def all_pairs(table: Mirror) -> None:
    """All of them over one connection. The first are also read again through the target, and taken back."""
    async with table.target() as target:
        for seed in range(PAIRS):
            source, rows = drawn(random.Random(seed))
            table.fill(rows)
            before = table.pairs()
            plan = table.plan(source, rows_of(before))
            outcomes = await carried_out(plan, target)
            assert {one.outcome for one in outcomes} <= {"done"}, seed
            after = table.pairs()
            assert after == sorted({(one.member_number, one.code) for one in source.positions}, key=repr), seed
            again = await target.snapshot(silent) if seed < UNDONE else rows_of(after)
            assert table.plan(source, again).actions == (), seed
            if seed < UNDONE:
                undone = await carried_out(taken_back(plan, outcomes), target)
                assert {one.outcome for one in undone} <= {"done"}, seed
                assert table.pairs() == before, seed


def taken_back(plan: Plan, outcomes: tuple[Outcome, ...]) -> Plan:
    """The plan that undoes a run."""
    run = RunOutcome(
        plan=plan.id, plan_digest="", started_at="", finished_at="", summary=count(outcomes), outcomes=outcomes
    )
    return undo_plan(plan, run, now=NOW, tool="t", limits=Limits(), accepted=Accepted(), previous=None)
