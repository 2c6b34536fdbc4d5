"""The plan for the Supabase positions table: which rows it should hold, by member number and code, and which it holds.

One action for each key, not for each member: a row is there or it is not, so that a plan reads as rows that come and
go, `expect` is the row as it is written, and the way back is the row itself. Actions of one member run in their order,
creates first, so that a member whose position changed is never seen without one.

Pure, like everything in core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

import msgspec

from reconciler.core.actions import ROW_KINDS, Action, Because, Do, with_id
from reconciler.core.assembly import Context, Decision, Scope, assemble, inputs_of, timestamp
from reconciler.core.findings import quarantined_row
from reconciler.core.guards import judge
from reconciler.core.model import Evidence, Finding, Position, PositionRow, Scalar, SourceData
from reconciler.core.plan import Digest, Plan
from reconciler.core.poison import salvaged
from reconciler.core.row_actions import CODE, fields_of, unless
from reconciler.core.rules import Rules
from reconciler.core.seen import Basis
from reconciler.core.snapshot import digest
from reconciler.core.text import clean
from reconciler.core.world import make_finding

MISSING = "position-missing"
SURPLUS = "position-surplus"
TWICE = "position-twice"
SPELLING = "position-spelling"
HOLDER = "position-holder"
NO_CODE = "position-code"
QUARANTINED = "position-quarantined"

RULES: Mapping[str, str] = {
    MISSING: "a position of the source has no row in the table: it is created",
    SURPLUS: "a row of the table is no position of the source: it is deleted",
    TWICE: "one key has several rows: all but one are deleted",
    SPELLING: "a row has white space around its texts, or accents in another form: it is written as the source reads",
    HOLDER: "a position whose member is not in the source, or is there twice: its rows are left alone",
    NO_CODE: "a position of the source without a code: it gets no row",
    QUARANTINED: "a row of the source that cannot be used as it is: the rows of its member are left alone",
}
"""Why an action of a positions plan is there, and what is only said."""

RULE_FILES = frozenset({"limits.yaml", "sources.yaml"})
"""The rule files that such a plan is decided under; all others are about contacts."""

Key: TypeAlias = tuple[str, str]
"""Member number and code as they are compared: cleaned, blank as `""`."""


def make_plan(
    source: SourceData, rows: Sequence[PositionRow], rules: Rules, scope: Scope, context: Context, *, place: str
) -> Plan:
    """The plan that makes the table hold the positions of the source, or none where the source cannot be believed.

    `place` is the word for the table's side in evidence.
    """
    ordered = tuple(sorted(rows, key=_in_order))
    verdict = judge(
        source,
        last_good=context.last_good,
        limits=rules.limits,
        accepted=context.accepted,
        now=context.read_at,
        rows=len(ordered),
    )
    if verdict.refused:
        # The rows that somebody has to correct may be why nothing is decided.
        decision = Decision(_ordered(_quarantined(source, scope), frozenset()), (), 0)
    else:
        decision = decide(source, ordered, scope, place=place)
    read = Digest(sha256=digest(ordered), source=place, count=len(ordered), read_at=timestamp(context.read_at))
    return assemble(
        decision,
        context,
        verdict=verdict,
        live=len(ordered),
        limits=rules.limits,
        inputs=inputs_of(source, rules, rows=read),
        basis=Basis(
            files={name: text for name, text in rules.files.items() if name in RULE_FILES},
            only=tuple(sorted(scope.only)),
            exclude=tuple(sorted(scope.exclude)),
            limit=scope.limit,
        ),
    )


def decide(source: SourceData, rows: Sequence[PositionRow], scope: Scope, *, place: str) -> Decision:
    """Compare by key. Pure; linear in positions and rows."""
    holders = _holders_unknown(source)
    left_alone = frozenset([*holders, *(one.number for one in source.quarantined)])
    wanted = _wanted(source, left_alone)
    found = _by_key(rows)
    findings = _quarantined(source, scope)
    findings += _findings_of_holders(source, holders, {number for number, _ in found}, scope)
    findings += [
        make_finding(
            NO_CODE,
            "review",
            "a position without a code gets no row",
            member=position.member_number,
            evidence=(Evidence(f"{source.name} {position.row}", CODE, position.code),),
        )
        for position in source.positions
        if not position.code and position.member_number not in left_alone and scope.covers(position.member_number)
    ]
    groups: dict[str, list[Action]] = {}
    unchanged = 0
    for key in sorted(wanted.keys() | found.keys()):
        number = key[0] or None
        # A row that mirrors one that is quarantined has the very number that could not be used.
        if key[0] in left_alone or salvaged(key[0]) in left_alone or not scope.covers(number):
            continue
        made = list(_of_key(key, wanted.get(key), found.get(key, {}), source=source.name, place=place))
        findings.extend(finding for finding, _ in made)
        groups.setdefault(key[0], []).extend(action for _, action in made)
        unchanged += not made
    actions = _cut(groups.values(), scope.limit)
    kept = {one.finding for action in actions for one in action.because}
    return Decision(_ordered(findings, kept), actions, unchanged)


def _quarantined(source: SourceData, scope: Scope) -> list[Finding]:
    return [
        quarantined_row.finding_of(QUARANTINED, one, source=source.name)
        for one in source.quarantined
        if scope.covers(one.number or None)
    ]


def _holders_unknown(source: SourceData) -> dict[str, str]:
    """Member numbers whose rows nobody touches, each with the reason: never guess (design §4.3)."""
    members = Counter(member.number for member in source.members)
    nobody = {
        position.member_number: "is not in the source"
        for position in source.positions
        if not position.member_number or not members[position.member_number]
    }
    return nobody | {number: "is in the source twice" for number, count in members.items() if number and count > 1}


def _wanted(source: SourceData, left_alone: AbstractSet[str]) -> dict[Key, Position]:
    """The positions that the table should hold. One that the source holds twice is one; one without a code is none."""
    return {
        (position.member_number, position.code): position
        for position in reversed(source.positions)
        if position.code and position.member_number not in left_alone
    }


def _by_key(rows: Iterable[PositionRow]) -> dict[Key, Counter[PositionRow]]:
    """Key → each row as it is spelt, and how many there are of it."""
    found: dict[Key, Counter[PositionRow]] = {}
    for row in rows:
        found.setdefault((clean(row.member_number) or "", clean(row.code) or ""), Counter())[row] += 1
    return found


def _of_key(
    key: Key, wanted: Position | None, found: Mapping[PositionRow, int], *, source: str, place: str
) -> Iterator[tuple[Finding, Action]]:
    """What has to be done for one key, each with its finding: nothing where one row is there, as it should be."""
    row = f"{key[0]}/{key[1]}"
    seen = sorted(found, key=_in_order)
    keeper = None if wanted is None else _keeper(key, seen, found)
    if wanted is not None and keeper is None:
        evidence = (Evidence(f"{source} {wanted.row}", CODE, wanted.code),)
        finding = _finding(MISSING, "has no row in the table", key, evidence)
        yield finding, _action("create", key, finding, set=fields_of(PositionRow(*key)))
    elif wanted is not None and keeper is not None and (keeper.member_number, keeper.code) != key:
        finding = _finding(SPELLING, "is written otherwise in the table", key, _seen(place, row, [keeper]))
        right = fields_of(msgspec.structs.replace(keeper, member_number=key[0], code=key[1]))
        seen_as = fields_of(keeper)
        changed = {name: value for name, value in right.items() if value != seen_as[name]}
        yield finding, _action("update", key, finding, expect=seen_as, set=changed)
    for one in seen:
        kept = 1 if one is keeper else 0
        if found[one] == kept:
            continue
        rule, says = (SURPLUS, "is no position of the source") if wanted is None else (TWICE, "has more than one row")
        finding = _finding(rule, says, key, _seen(place, row, [one]))
        expect = fields_of(one) | unless(1, found[one])
        yield finding, _action("delete", key, finding, expect=expect, set=unless(0, kept))


def _keeper(key: Key, seen: Iterable[PositionRow], found: Mapping[PositionRow, int]) -> PositionRow | None:
    """The row that stays: one that is spelt as it should be, else one that can be put right and touch no other."""
    right = [row for row in seen if (row.member_number, row.code) == key]
    alone = [row for row in seen if found[row] == 1]
    return next(iter([*right, *alone]), None)


def _in_order(row: PositionRow) -> tuple[str, ...]:
    """Numbers of ids by their value: the smallest came first."""
    own = row.id or ""
    return (row.member_number or "", row.code or "", f"{len(own):04}" if own.isdigit() else "", own)


def _action(
    do: Do,
    key: Key,
    finding: Finding,
    *,
    expect: Mapping[str, Scalar] | None = None,
    set: Mapping[str, Scalar],  # noqa: A002 - the field of Action is called so by the plan's format
) -> Action:
    return with_id(
        Action(
            id="",
            do=do,
            member=key[0] or None,
            expect=dict(expect or {}),
            set=dict(set),
            because=(Because(finding.rule, finding.id),),
            row=f"{key[0]}/{key[1]}",
        )
    )


def _finding(rule: str, says: str, key: Key, evidence: tuple[Evidence, ...]) -> Finding:
    return make_finding(rule, "fixable", f"{key[1] or '(no code)'} {says}", member=key[0] or None, evidence=evidence)


def _seen(place: str, row: str, rows: Iterable[PositionRow]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(f"{place} positions/{row}", field, value) for one in rows for field, value in fields_of(one).items()
    )


def _findings_of_holders(
    source: SourceData, left_alone: Mapping[str, str], in_table: AbstractSet[str], scope: Scope
) -> Iterator[Finding]:
    """One for each member that is left alone and has a position, or a row."""
    held: dict[str, list[Position]] = {}
    for position in source.positions:
        held.setdefault(position.member_number, []).append(position)
    for number, reason in left_alone.items():
        if not scope.covers(number or None) or not (number in held or number in in_table):
            continue
        evidence = tuple(
            Evidence(f"{source.name} {position.row}", CODE, position.code) for position in held.get(number, ())
        )
        whose = "the member" if number else "the member of these positions"
        yield make_finding(HOLDER, "review", f"{whose} {reason}: left alone", member=number or None, evidence=evidence)


def _cut(groups: Iterable[list[Action]], limit: int | None) -> tuple[Action, ...]:
    """At most `limit` actions, those of one member together; creates first, then updates, then deletes."""
    kept: list[Action] = []
    for group in groups:
        if limit is None or len(kept) + len(group) <= limit:
            kept.extend(group)
    return tuple(sorted(kept, key=lambda action: (ROW_KINDS.index(action.do), action.row or "", action.id)))


def _ordered(findings: Iterable[Finding], kept: AbstractSet[str]) -> tuple[Finding, ...]:
    """By rule, then by member; one that no action mends after all is for a person."""
    rank = {rule: place for place, rule in enumerate(RULES)}
    ordered = sorted(findings, key=lambda one: (rank[one.rule], one.member or "", one.says, one.id))
    return tuple(
        msgspec.structs.replace(one, severity="review") if one.severity == "fixable" and one.id not in kept else one
        for one in ordered
    )
