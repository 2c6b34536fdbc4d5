"""One line a run, and where the numbers go over time: what people read of months of nights.

Plans and outcomes are read at a glance here: the header, and of every action and finding only what is counted. That
is a third of the time that reading a plan for applying it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core import sealed
from reconciler.core.actions import KINDS
from reconciler.core.findings import archive_duplicates
from reconciler.core.model import Target
from reconciler.core.outcome import Counts
from reconciler.core.plan import Summary
from reconciler.core.rules import Findings
from reconciler.core.rules.loader import parse_rules
from reconciler.core.seen import Basis
from reconciler.core.undo import RULE as UNDO
from reconciler.errors import RulesError

State: TypeAlias = Literal["applied", "not applied", "refused", "outcome not read"]
"""`refused`: a source guard stopped the plan before anything was decided · `outcome not read`: there is one."""


class _Rule(msgspec.Struct, frozen=True, gc=False):
    rule: str


class _Because(msgspec.Struct, frozen=True, gc=False):
    because: tuple[_Rule, ...] = ()


class PlanGlance(msgspec.Struct, frozen=True):
    """What is counted of a plan."""

    format: str
    id: str
    target: Target
    created_at: str
    applyable: bool
    summary: Summary
    actions: tuple[_Because, ...]
    findings: tuple[_Rule, ...]
    basis: Basis | None = None

    @property
    def narrowed(self) -> bool:
        """Whether it was told to look at less than its rule files say: `--only`, `--rule`, one contact for an event."""
        if self.basis is None:
            return False
        told = bool(self.basis.only or self.basis.exclude) or self.basis.limit is not None
        return told or by_fewer_rules(self.basis)

    @property
    def takes_back(self) -> bool:
        """As `undo.takes_back`."""
        return any(one.rule == UNDO for action in self.actions[:1] for one in action.because)


class OutcomeGlance(msgspec.Struct, frozen=True):
    """What is counted of an outcome."""

    format: str
    plan: str
    started_at: str
    summary: Counts


class Run(msgspec.Struct, frozen=True):
    """One plan and what became of it. None: nobody knows, or it says nothing, as one that takes back another."""

    plan: str
    at: str
    """When the plan was made; of a plan that is not stored here, when its run began. UTC, ISO 8601."""
    target: Target | None
    """What the plan is for. None for a plan that is not stored here."""
    state: State
    takes_back: bool
    """Whether it takes back an earlier run (`reconcile undo`)."""
    narrowed: bool
    """Whether it looked at a part of the union, or by a part of the rules: it says nothing of duplicates and drift."""
    planned: int
    """Actions, held ones included."""
    done: int | None
    failed: int | None
    """Failed, and unknown: what may or may not have happened."""
    stale: int | None
    held: int
    """Of a run that is over: what it held back; before that, what the plan holds."""
    duplicates: int | None
    """Contacts beyond the one to keep, of members who have several: findings of archive-duplicates. None for another
    target."""
    drift: int | None
    """Contacts whose own fields are not as they should be: updates and promotions that were planned. None likewise."""


class Trend(msgspec.Struct, frozen=True):
    """Where one number goes over the runs that know it."""

    of: str
    runs: int
    first: int
    last: int
    lowest: int
    highest: int

    @property
    def change(self) -> int:
        """From the first run to the last."""
        return self.last - self.first


MEASURES: dict[str, Callable[[Run], int | None]] = {
    "duplicates": lambda run: run.duplicates,
    "failures": lambda run: run.failed,
    "drift": lambda run: run.drift,
}
"""What trends are shown of, in this order."""


def plan_at_a_glance(data: bytes, *, where: str) -> PlanGlance:
    """Raises PlanUnreadable for a plan of another release; that the bytes are whole, the caller has seen to."""
    return sealed.open_as(PlanGlance, data, format_=plan_file.FORMAT, noun="a plan", where=where, next_step="")


def outcome_at_a_glance(data: bytes, *, where: str) -> OutcomeGlance:
    """As `plan_at_a_glance`."""
    return sealed.open_as(
        OutcomeGlance, data, format_=outcome_file.FORMAT, noun="an outcome", where=where, next_step=""
    )


def run_of(plan: PlanGlance | None, outcome: OutcomeGlance | None, *, applied: bool) -> Run | None:
    """The line of one run; None where neither record could be read. applied: whether an outcome is kept at all."""
    if plan is None:
        return None if outcome is None else _without_plan(outcome)
    narrowed = plan.narrowed
    decided = plan.applyable and not plan.takes_back and not narrowed and plan.target == "contacts"
    ended = outcome.summary if outcome is not None else None
    return Run(
        plan=plan.id,
        at=plan.created_at,
        target=plan.target,
        state=_state(plan, outcome, applied=applied),
        takes_back=plan.takes_back,
        narrowed=narrowed,
        planned=sum(getattr(plan.summary, kind) for kind in KINDS),
        done=ended.done if ended is not None else None,
        failed=ended.failed + ended.unknown if ended is not None else None,
        stale=ended.stale if ended is not None else None,
        held=ended.held if ended is not None else plan.summary.held,
        duplicates=sum(one.rule == archive_duplicates.RULE for one in plan.findings) if decided else None,
        drift=plan.summary.update + plan.summary.promote if decided else None,
    )


def by_fewer_rules(basis: Basis) -> bool:
    """Whether rules were off that the rule files have on (`--rule`)."""
    return not set(basis.off) <= _off_by(tuple(basis.files.items()))


@lru_cache(maxsize=8)
def _off_by(files: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """The rules that these rule files switch off. All, where this release cannot read them: then nobody can tell."""
    try:
        found = parse_rules(dict(files)).findings
    except RulesError:
        return frozenset(Findings.__struct_encode_fields__)
    names = zip(Findings.__struct_fields__, Findings.__struct_encode_fields__, strict=True)
    return frozenset(rule for field, rule in names if getattr(found, field).then == "off")


def _state(plan: PlanGlance, outcome: OutcomeGlance | None, *, applied: bool) -> State:
    if outcome is not None:
        return "applied"
    if applied:
        return "outcome not read"
    return "not applied" if plan.applyable else "refused"


def _without_plan(outcome: OutcomeGlance) -> Run:
    ended = outcome.summary
    return Run(
        plan=outcome.plan,
        at=outcome.started_at,
        target=None,
        state="applied",
        takes_back=False,
        narrowed=False,
        planned=ended.done + ended.stale + ended.held + ended.failed + ended.unknown,
        done=ended.done,
        failed=ended.failed + ended.unknown,
        stale=ended.stale,
        held=ended.held,
        duplicates=None,
        drift=None,
    )


def trends(runs: Sequence[Run]) -> tuple[Trend, ...]:
    """The trend of each measure over these runs, oldest first; measures that no run knows are left out."""
    series = (
        (name, [value for value in map(measure, runs) if value is not None]) for name, measure in MEASURES.items()
    )
    return tuple(
        Trend(name, len(values), values[0], values[-1], min(values), max(values)) for name, values in series if values
    )


def in_time(runs: Iterable[Run]) -> tuple[Run, ...]:
    """By time: the id of a plan that came as a file need not tell when it was applied here."""
    return tuple(sorted(runs, key=lambda run: (run.at, run.plan)))
