"""Two plans against each other: what is new, what is resolved, what persists, and what comes and goes.

Ids are hashes of content, values included, so one and the same problem has another id once a value in it changes.
Across nights an *action* is the same if it does the same to the same subject: kind, member, contact or row, the user
merged into, and the fields that it sets; to which values does not count. A *finding* is the same if it says the same
rule of the same subject; one without a subject (a position code that nobody named) is told from others by the values of
its evidence, not by its sentence, which may count. Where a plan says one thing twice, it is counted twice.

Findings are those that no action of their plan mends (`Plan.open_findings`), as in every report: the others are said
by their action.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import merge
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec

from reconciler.core.actions import KINDS, Action
from reconciler.core.model import Finding
from reconciler.core.outcome import RunOutcome
from reconciler.core.past import CameBack, came_back
from reconciler.core.plan import Plan
from reconciler.core.undo import takes_back
from reconciler.errors import PlanError

Status: TypeAlias = Literal["new", "resolved", "persistent"]
"""Only in the new plan · only in the old one · in both."""

Key: TypeAlias = tuple[object, ...]

_NARROW = 2
"""A plan that covers fewer members than this part of another one is about a part of the union."""

_One = TypeVar("_One", Action, Finding)


class Pair(msgspec.Struct, Generic[_One], frozen=True):
    """One action or finding in both plans; None in the plan that does not have it. One of the two is there."""

    old: _One | None
    new: _One | None
    flapping: bool = False
    """Whether it was there, was gone and was there again: the same change to the same values (finding: the same)."""

    @property
    def status(self) -> Status:
        """New, resolved or persistent: exactly one of the three."""
        if self.old is None:
            return "new"
        return "resolved" if self.new is None else "persistent"

    @property
    def latest(self) -> _One:
        """As the new plan has it, or the old one where it is resolved."""
        one = self.new if self.new is not None else self.old
        if one is None:
            raise AssertionError("a pair of nothing")
        return one


class Count(msgspec.Struct, frozen=True):
    """How many there are of one class: a kind of actions, or a rule of findings. old - resolved + new = now."""

    name: str
    old: int
    resolved: int
    new: int
    now: int
    persistent: int
    flapping: int
    """Of the new, resolved and persistent ones."""


class LeftOut(msgspec.Struct, frozen=True):
    """What a plan was told not to look at, as it recorded it: the default is a whole night."""

    only: tuple[str, ...] = ()
    """It is about these members alone."""
    exclude: tuple[str, ...] = ()
    limit: int | None = None
    """It was cut to so many actions."""
    rules: tuple[str, ...] = ()
    """These rules were switched off, by `--rule` or in the rule files."""

    @property
    def is_nothing(self) -> bool:
        """Whether it is a whole night."""
        return self == LeftOut()


class Comparison(msgspec.Struct, frozen=True):
    """What became of `old` in `new`."""

    old: Plan
    new: Plan
    actions: tuple[Pair[Action], ...]
    """Those of the new plan in its order, then those resolved in the order of the old one. Findings alike."""
    findings: tuple[Pair[Finding], ...]
    came_back: tuple[CameBack, ...]
    looked_at: int
    """How many plans, these two among them, flapping was looked for in."""
    narrower: bool
    """Whether the new plan is about a small part of the members of the old one, so that `resolved` may mislead."""
    left_out: tuple[LeftOut, LeftOut]
    """What the old plan and the new one were told not to look at; nothing where both were told the same."""

    def action_counts(self) -> tuple[Count, ...]:
        """A line for each kind of action that either plan has, in the order of `KINDS`."""
        found = _counts(self.old.actions, self.new.actions, self.actions, lambda action: action.do)
        return tuple(found[kind] for kind in KINDS if kind in found)

    def finding_counts(self) -> tuple[Count, ...]:
        """A line for each rule that either plan has an open finding of, in alphabetical order."""
        found = _counts(self.old.open_findings(), self.new.open_findings(), self.findings, lambda finding: finding.rule)
        return tuple(found[rule] for rule in sorted(found))


def compare(old: Plan, new: Plan, *, others: Iterable[Plan] = (), runs: Iterable[RunOutcome] = ()) -> Comparison:
    """Hold two plans against each other.

    Raises PlanError where they are for different targets. others: further plans, oldest first, in which to look for
    what comes and goes; those made after both are not looked at, nor those that take back a run, were refused, or are
    about another target, a part of the union or fewer rules.
    runs: outcomes, oldest first, whose archived contacts may have come back.
    """
    if old.target != new.target:
        raise PlanError(
            f"plan {old.id} is for {old.target}, and plan {new.id} for {new.target}: they have nothing in common",
            next_step="Name two plans for one target. `reconcile history` shows what each is for.",
        )
    flapping, looked_at = _flapping(old, new, others)
    left_out = left_out_of(old), left_out_of(new)
    return Comparison(
        old=old,
        new=new,
        actions=_pairs(old.actions, new.actions, action_key, _change_key, flapping),
        findings=_pairs(old.open_findings(), new.open_findings(), finding_key, finding_key, flapping),
        came_back=came_back(runs, new),
        looked_at=looked_at,
        narrower=covered(new) * _NARROW < covered(old),
        left_out=(LeftOut(), LeftOut()) if left_out[0] == left_out[1] else left_out,
    )


def left_out_of(plan: Plan) -> LeftOut:
    """What a plan was told not to look at. Of one that takes back a run, or had values taken out, nothing is known."""
    if plan.basis is None:
        return LeftOut()
    return LeftOut(only=plan.basis.only, exclude=plan.basis.exclude, limit=plan.basis.limit, rules=plan.basis.off)


def action_key(action: Action) -> Key:
    """What makes an action the same across plans."""
    return (action.do, action.member, action.contact, action.row, action.into, *sorted(action.set))


def finding_key(finding: Finding) -> Key:
    """What makes a finding the same across plans."""
    if finding.member is not None or finding.contact is not None:
        return (finding.rule, finding.member, finding.contact)
    return (finding.rule, *sorted({(one.field, repr(one.value)) for one in finding.evidence}))


def covered(plan: Plan) -> int:
    """How many members a plan is about, at least: those unchanged and those that it names.

    Of some plans nobody knows what they were told to look at (`left_out_of`): this tells a small one from a night.
    """
    named = {action.member for action in plan.actions} | {finding.member for finding in plan.findings}
    return plan.summary.unchanged + len(named - {None})


def _change_key(action: Action) -> Key:
    """The same change to the same values. A field that moves on, A to B to C, does not come and go (history.py)."""
    return (*action_key(action), *(repr(action.set[field]) for field in sorted(action.set)))


def _pairs(
    old: Iterable[_One],
    new: Iterable[_One],
    key_of: Callable[[_One], Key],
    same_again: Callable[[_One], Key],
    flapping: frozenset[Key],
) -> tuple[Pair[_One], ...]:
    before, now = _numbered(old, key_of), _numbered(new, key_of)
    pairs: list[tuple[_One | None, _One | None]] = [(before.get(key), one) for key, one in now.items()]
    pairs += [(one, None) for key, one in before.items() if key not in now]
    return tuple(
        Pair(was, one, flapping=any(side is not None and same_again(side) in flapping for side in (was, one)))
        for was, one in pairs
    )


def _numbered(items: Iterable[_One], key_of: Callable[[_One], Key]) -> dict[Key, _One]:
    """By key, and by how often the key was there before: nothing is counted away."""
    seen: Counter[Key] = Counter()
    found: dict[Key, _One] = {}
    for item in items:
        key: Key = key_of(item)
        found[(*key, seen[key])] = item
        seen[key] += 1
    return found


def _counts(
    old: Iterable[_One], new: Iterable[_One], pairs: Iterable[Pair[_One]], name_of: Callable[[_One], str]
) -> dict[str, Count]:
    was: Counter[str] = Counter(map(name_of, old))
    now: Counter[str] = Counter(map(name_of, new))
    by_status: Counter[tuple[str, Status]] = Counter()
    flapping: Counter[str] = Counter()
    for pair in pairs:
        name = name_of(pair.latest)
        by_status[name, pair.status] += 1
        flapping[name] += pair.flapping
    return {
        name: Count(
            name,
            old=was[name],
            resolved=by_status[name, "resolved"],
            new=by_status[name, "new"],
            now=now[name],
            persistent=by_status[name, "persistent"],
            flapping=flapping[name],
        )
        for name in (*was, *now)
    }


def _flapping(old: Plan, new: Plan, others: Iterable[Plan]) -> tuple[frozenset[Key], int]:
    """What was there, was gone and was there again, up to the later of the two plans; and in how many plans.

    One pass that keeps no plan: how many nights lie between does not count for memory.
    """
    pair = sorted((old, new), key=_age)
    enough = min(covered(old), covered(new))
    here: frozenset[Key] = frozenset()
    gone: set[Key] = set()
    back: set[Key] = set()
    looked_at = 0
    for plan in merge((one for one in others if one.id not in {old.id, new.id}), pair, key=_age):
        if plan is not old and plan is not new and not _counts_as_night(plan, pair, enough):
            continue
        looked_at += 1
        now = frozenset((*map(_change_key, plan.actions), *map(finding_key, plan.open_findings())))
        gone |= here - now
        back |= gone & now
        here = now
        if plan is pair[-1]:
            break
    return frozenset(back), looked_at


def _age(plan: Plan) -> tuple[str, str]:
    return plan.created_at, plan.id


def _counts_as_night(plan: Plan, pair: Sequence[Plan], enough: int) -> bool:
    """Whether what this plan does not name is gone: it decided, and looked at no less than both of the pair."""
    decided = plan.applyable and plan.target == pair[0].target and not takes_back(plan)
    return decided and covered(plan) * _NARROW >= enough and all(_looks_at(plan, one) for one in pair)


def _looks_at(plan: Plan, other: Plan) -> bool:
    """Whether a plan was told to look at all that another was told to look at."""
    here, there = left_out_of(plan), left_out_of(other)
    members = not here.only or (bool(there.only) and set(there.only) <= set(here.only))
    members = members and set(here.exclude) <= set(there.exclude)
    return members and here.limit in {None, there.limit} and set(here.rules) <= set(there.rules)
