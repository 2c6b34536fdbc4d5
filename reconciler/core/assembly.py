"""From decisions to a plan: what plans for every target share, whoever decided.

Scope and header come in, findings and actions come from a planner (`core/planner.py` for contacts, `core/positions.py`
for the positions table); limits, counts, times and the id are put on here.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec

from reconciler.core.actions import Action, Do
from reconciler.core.guards import Accepted, LastGood, Verdict, blanks
from reconciler.core.history import NO_HISTORY, History, subject_of
from reconciler.core.limits import check_limits
from reconciler.core.model import Finding, SourceData, Target
from reconciler.core.plan import Census, Digest, Inputs, Plan, Summary, encode
from reconciler.core.rules import Limits, Rules
from reconciler.core.seen import Basis, Seen
from reconciler.core.snapshot import digest


class Scope(msgspec.Struct, frozen=True):
    """Which part of the union a plan is about. The default is all of it."""

    only: frozenset[str] = frozenset()
    """Member numbers; empty for all."""
    exclude: frozenset[str] = frozenset()
    limit: int | None = None
    """At most so many actions; those of one member are not torn apart."""

    def covers(self, number: str | None) -> bool:
        """Whether a member is in scope. What belongs to no member is, unless the scope names members."""
        if number is None:
            return not self.only
        return number not in self.exclude and (not self.only or number in self.only)

    def covers_any(self, numbers: tuple[str, ...]) -> bool:
        """Whether something about these members (perhaps none) is in scope."""
        return any(map(self.covers, numbers)) if numbers else self.covers(None)


class Decision(msgspec.Struct, frozen=True):
    """What was made of both sides: findings and actions in file order, and how many contacts or rows need nothing."""

    findings: tuple[Finding, ...]
    actions: tuple[Action, ...]
    unchanged: int


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The facts around a decision that end up in the plan's header."""

    now: datetime
    read_at: datetime
    """When the actual side was read to its end."""
    tool: str
    target: Target
    workspace: str
    intercom_version: str
    """Blank where Intercom has no part in it."""
    last_good: LastGood | None = None
    accepted: Accepted = Accepted()
    previous: str | None = None
    history: History = NO_HISTORY
    """What the runs of the last days did."""
    live: int | None = None
    """Live contacts of the workspace, where the world is only a part of it: the limits are held against these, and
    the plan does not say how many rows it was made from."""
    also: tuple[str, ...] = ()
    """Members or contacts that the plan keeps whatever is said of them, besides those of the scope."""


def assemble(
    decision: Decision,
    context: Context,
    *,
    verdict: Verdict,
    live: int,
    limits: Limits,
    inputs: Inputs,
    basis: Basis,
    census: Census | None = None,
    seen: tuple[Seen, ...] = (),
) -> Plan:
    """The plan that a decision makes: held against the limits, with its header and its id.

    `verdict` is what the guards said of the source. `live` is what percentages are of: contacts of the workspace, or
    rows of the table.
    """
    counts: Counter[Do] = Counter(action.do for action in decision.actions)
    checks = check_limits(
        counts,
        live=live,
        limits=limits,
        accepted=context.accepted,
        history=context.history,
        target=context.target,
    )
    plan = Plan(
        id="",
        tool=context.tool,
        target=context.target,
        workspace=context.workspace,
        intercom_version=context.intercom_version,
        created_at=timestamp(context.now),
        expires_at=timestamp(context.now + timedelta(hours=limits.plan_lifetime_hours)),
        applyable=not verdict.refused,
        refused_because=verdict.refused,
        inputs=inputs,
        summary=summary_of(counts, decision.findings, unchanged=decision.unchanged),
        limits=checks + verdict.accepted,
        actions=_failed_last(decision.actions, context.history),
        findings=decision.findings,
        previous=context.previous,
        census=census,
        basis=basis,
        seen=seen,
    )
    return finished(plan, now=context.now)


def _failed_last(actions: tuple[Action, ...], history: History) -> tuple[Action, ...]:
    """Whom the last attempt failed comes last: else the same few would end every run in its canary (limits.yaml)."""
    if not history.failed:
        return actions
    return tuple(sorted(actions, key=lambda action: subject_of(action) in history.failed))


def summary_of(counts: Counter[Do], findings: tuple[Finding, ...], *, unchanged: int) -> Summary:
    """The counts of a plan; `held` is filled in by `finished`."""
    return Summary(
        create=counts["create"],
        update=counts["update"],
        promote=counts["promote"],
        merge=counts["merge"],
        archive=counts["archive"],
        held=0,
        report=sum(1 for finding in findings if finding.severity != "fixable"),
        unchanged=unchanged,
        unarchive=counts["unarchive"],
        delete=counts["delete"],
    )


def inputs_of(
    source: SourceData,
    rules: Rules,
    *,
    contacts: Digest | None = None,
    rows: Digest | None = None,
    is_whole: bool = True,
) -> Inputs:
    """The digests of the desired side and of the rules, beside that of the actual side.

    is_whole: whether the source was read to its end; of a part nothing is counted.
    """
    return Inputs(
        rules=Digest(sha256=rules.sha256),
        members=Digest(
            sha256=digest(source.members),
            source=source.name,
            count=len(source.members) if is_whole else None,
            blank=blanks(source.members) if is_whole else None,
            changed_at=source.changed_at,
        ),
        positions=Digest(
            sha256=digest(source.positions), source=source.name, count=len(source.positions) if is_whole else None
        ),
        contacts=contacts,
        rows=rows,
    )


def finished(plan: Plan, *, now: datetime) -> Plan:
    """A plan whose actions, limits and findings stand: with its held actions counted, and its id.

    The id is the time, and eight hex digits over all that stands in the plan: two plans of one second have two ids.
    """
    plan = msgspec.structs.replace(plan, id="", summary=msgspec.structs.replace(plan.summary, held=len(plan.held())))
    plan_id = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{sha256(encode(plan)).hexdigest()[:8]}"
    return msgspec.structs.replace(plan, id=plan_id)


def timestamp(moment: datetime) -> str:
    """UTC, ISO 8601, to the second: `2026-11-23T02:30:00Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
