"""When a source is not to be believed (design §4.8): held against itself, and against what the last good run read.

A guard that is not met refuses the whole plan. A person who knows better names the number that was read
(`--accept members=19012 --reason TEXT`), and the plan keeps number and reason; another number is another night.
What the last good run read stands in its plan: `inputs.members` and `inputs.positions` have the counts, and
`inputs.members` how many members have no value in each field (`blank`) and when the latest change was (`changed_at`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil

import msgspec

from reconciler.core.model import Member, SourceData
from reconciler.core.plan import LimitCheck
from reconciler.core.poison import moment
from reconciler.core.rules import Limits

BLANK_FIELDS = (
    *("first_name", "last_name", "email", "phone"),
    *("status", "member_type_id", "region", "facility"),
)
"""The fields of a member whose blanks are counted."""
BLANK_FLOOR = 3
"""So many members more without a value are no flood, however small the union."""
CLOCK_SKEW = timedelta(hours=24)
"""How far a source's clock may be ahead of ours: a day, for one that writes its own local time without a zone."""

GUARD_CLASSES = ("members", "positions", *(f"blank.{field}" for field in BLANK_FIELDS))
"""What `--accept` may name besides the kinds of actions."""


class Accepted(msgspec.Struct, frozen=True):
    """What a person accepted in place of limits: class (or one of GUARD_CLASSES) → the number named, and why."""

    numbers: Mapping[str, int] = {}
    reason: str = ""


class LastGood(msgspec.Struct, frozen=True):
    """What the last good run read."""

    plan: str
    members: int
    positions: int
    blank: Mapping[str, int] | None = None
    """Field → members without a value in it; None where that run did not count."""
    changed_at: str | None = None
    """The latest time of change of any member."""


class _Doubt(msgspec.Struct, frozen=True):
    """A guard that is not met."""

    about: str | None
    """One of GUARD_CLASSES; None where no number can be accepted for it."""
    read: int
    believed: int
    """The nearest number that would have been believed."""
    says: str


class Verdict(msgspec.Struct, frozen=True):
    """What the guards said of a source."""

    refused: tuple[str, ...]
    """Why nothing may be decided from it. Empty where it can be believed."""
    accepted: tuple[LimitCheck, ...]
    """The guards that are not met and that a person accepted by number, for the record: one check for each class."""


def judge(
    source: SourceData,
    *,
    last_good: LastGood | None,
    limits: Limits,
    accepted: Accepted,
    now: datetime | None = None,
    rows: int | None = None,
    shown: int = 0,
) -> Verdict:
    """Hold a source against every guard.

    `now` is when it was read, in UTC; without it, its latest change is not held against the clock. `rows` are those of
    the table that mirrors its positions (target `positions`): where there was no last good run, they are the past. No
    positions at all are then never believed. `shown` is how many contacts show positions that no positions would clear
    (target `contacts`): where there was no last good run, they tell that there were some.
    """
    refused = []
    let_through: dict[str, list[_Doubt]] = {}
    for doubt in _doubts(source, last_good=last_good, limits=limits, now=now, rows=rows, shown=shown):
        if doubt.about is None:
            refused.append(doubt.says)
        elif accepted.numbers.get(doubt.about) == doubt.read:
            let_through.setdefault(doubt.about, []).append(doubt)
        else:
            refused.append(f"{doubt.says}. If that is true: --accept {doubt.about}={doubt.read} --reason TEXT")
    return Verdict(tuple(refused), tuple(_record(doubts, accepted.reason) for doubts in let_through.values()))


def _record(doubts: list[_Doubt], reason: str) -> LimitCheck:
    first = doubts[0]
    says = "; ".join(doubt.says for doubt in doubts)
    return LimitCheck(
        first.about or "", first.believed, first.read, ok=True, says=says, accepted=first.read, reason=reason
    )


def blanks(members: Sequence[Member]) -> dict[str, int]:
    """Field → how many members have no value in it, for every field of BLANK_FIELDS."""
    return {field: sum(1 for member in members if getattr(member, field) is None) for field in BLANK_FIELDS}


def _doubts(
    source: SourceData,
    *,
    last_good: LastGood | None,
    limits: Limits,
    now: datetime | None,
    rows: int | None,
    shown: int,
) -> Iterator[_Doubt]:
    yield from _whole(source)
    yield from _quarantine(source, limits)
    if last_good is not None:
        yield from _fewer_members(source, last_good, limits)
    yield from _fewer_positions(source, last_good, rows, limits)
    if last_good is None and rows is None:
        yield from _hidden_positions(source, shown, limits)
    if last_good is not None:
        yield from _blanked(source, last_good, limits)
    yield from _stale(source, last_good, limits, now)


def _whole(source: SourceData) -> Iterator[_Doubt]:
    members, positions = len(source.members), len(source.positions)
    if members == 0:
        yield _Doubt("members", 0, 1, f"{source.name} has no members at all")
    for name, count in (("members", members), ("positions", positions)):
        if count and count == source.page_size:
            says = f"{source.name} returned exactly one page of {count} {name}, which may be only the first"
            yield _Doubt(name, count, count + 1, says)


def _quarantine(source: SourceData, limits: Limits) -> Iterator[_Doubt]:
    """No number is accepted here: rows are corrected, or limits.yaml says that the union has that many such rows."""
    unfit = {table: [one for one in source.quarantined if one.table == table] for table in ("members", "positions")}
    # A member's row is among the members, a position's is not among the positions.
    rows = {"members": len(source.members), "positions": len(source.positions) + len(unfit["positions"])}
    percent = limits.source.quarantine_percent
    for table, found in unfit.items():
        # One row alone never stops a union: of 100 it would be 1%.
        if len(found) > max(rows[table] * percent / 100, 1):
            first = found[0]
            yield _Doubt(
                None,
                len(found),
                0,
                f"{len(found)} of {rows[table]} rows of {table} cannot be used; over {percent:g}% is not believed "
                f"(limits.yaml, source.quarantine_percent). The first is {first.row}, whose {first.reasons[0][0]} "
                f"{first.reasons[0][1]}. Correct the rows, then make the plan again",
            )


def _fewer_members(source: SourceData, last: LastGood, limits: Limits) -> Iterator[_Doubt]:
    members, kept = len(source.members), 100 - limits.source.shrink_percent
    if 0 < members < last.members * kept / 100:
        yield _Doubt(
            "members",
            members,
            ceil(last.members * kept / 100),
            f"{members} members are {100 * members / last.members:.1f}% of the {last.members} of plan {last.plan}; "
            f"under {kept:g}% is not believed (limits.yaml, source.shrink_percent)",
        )


def _fewer_positions(source: SourceData, last: LastGood | None, rows: int | None, limits: Limits) -> Iterator[_Doubt]:
    positions = len(source.positions)
    if last is not None:
        before, whose, told = (
            last.positions,
            f"{last.positions} of plan {last.plan}",
            f"plan {last.plan} read {last.positions}",
        )
    elif rows is not None:
        before, whose, told = rows, f"{rows} rows of the table", f"the table has {rows} rows"
    else:
        return
    kept, floor = 100 - limits.source.positions_shrink_percent, limits.source.positions_shrink_floor
    fewest = min(ceil(before * kept / 100), before - floor)
    if positions == 0 and (before > 0 or rows is not None):
        yield _Doubt("positions", 0, max(fewest, 1), f"no positions at all, where {told}")
    elif positions < fewest:
        yield _Doubt(
            "positions",
            positions,
            fewest,
            f"{positions} positions are {100 * positions / before:.1f}% of the {whose}; under {kept:g}%, and more than "
            f"{floor} fewer, is not believed (limits.yaml, source.positions_shrink_percent)",
        )


def _hidden_positions(source: SourceData, shown: int, limits: Limits) -> Iterator[_Doubt]:
    """A first night without any: row level security answers so, and every officer's contact would be cleared."""
    if not source.positions and shown > limits.source.positions_shrink_floor:
        says = f"no positions at all, where {shown} contacts show some (limits.yaml, source.positions_shrink_floor)"
        yield _Doubt("positions", 0, 1, says)


def _blanked(source: SourceData, last: LastGood, limits: Limits) -> Iterator[_Doubt]:
    """Fields that many more members have no value in: a column that was renamed, emptied, or is hidden from us."""
    if last.blank is None or not source.members or not last.members:
        return
    jump, then, count = limits.source.blank_percent, last.members, len(source.members)
    for field, now in blanks(source.members).items():
        before = last.blank.get(field, 0)
        # 100 * now / count - 100 * before / then > jump, without fractions.
        if 100 * (now * then - before * count) > jump * count * then and now - before > BLANK_FLOOR:
            yield _Doubt(
                f"blank.{field}",
                now,
                before,
                f"{now} members ({100 * now / count:.1f}%) have no {field}, where plan {last.plan} had {before} "
                f"({100 * before / then:.1f}%); a jump of more than {jump:g} points is not believed "
                "(limits.yaml, source.blank_percent)",
            )


def _stale(source: SourceData, last: LastGood | None, limits: Limits, now: datetime | None) -> Iterator[_Doubt]:
    """A mirror that stopped, or was put back to an older day."""
    latest = None if source.changed_at is None else moment(source.changed_at)
    if latest is None:
        return
    count, hours = len(source.members), limits.source.stale_hours
    before = None if last is None or last.changed_at is None else moment(last.changed_at)
    says = []
    if last is not None and before is not None and latest < before:
        says.append(f"the latest change is of {source.changed_at}, and plan {last.plan} had one of {last.changed_at}")
    if now is not None and now - latest > timedelta(hours=hours):
        says.append(
            f"the latest change is of {source.changed_at}, over {hours:g} hours ago (limits.yaml, source.stale_hours)"
        )
    if now is not None and latest - now > CLOCK_SKEW:
        says.append(f"the latest change is of {source.changed_at}, which is yet to come")
    yield from (_Doubt("members", count, count, f"{source.name} may be an old copy: {one}") for one in says)
