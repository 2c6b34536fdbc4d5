"""Taking back what was applied: an ordinary plan, with its own expectations, limits and review.

Only what is recorded as done is taken back, from the values in the plan; whatever else has happened to a contact since
makes the undoing of it stale, like any other action. Done later in the original means undone earlier here, so that
identifiers go back the way they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from reconciler.core import row_actions
from reconciler.core.actions import CANNOT_BE_BLANKED, Action, Because, Do, Outcome, undo_class, with_id
from reconciler.core.assembly import finished, summary_of, timestamp
from reconciler.core.diff import same
from reconciler.core.drafts import IDENTIFIERS
from reconciler.core.guards import Accepted
from reconciler.core.history import NO_HISTORY, History
from reconciler.core.limits import check_limits
from reconciler.core.model import Evidence, Finding, Scalar, Severity
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.core.rules import Limits
from reconciler.core.world import make_finding

RULE = "undo"


def takes_back(plan: Plan) -> bool:
    """Whether a plan takes back another."""
    return any(map(undoes, plan.actions[:1]))


def undoes(action: Action) -> bool:
    """Whether an action is one of a plan that takes back another."""
    return any(one.rule == RULE for one in action.because)


def undo_plan(
    made: Plan,
    run: RunOutcome,
    *,
    now: datetime,
    tool: str,
    limits: Limits,
    accepted: Accepted,
    previous: str | None,
    history: History = NO_HISTORY,
) -> Plan:
    """The plan that takes back what `run` did of `made`. Actions that cannot be taken back are findings for review."""
    outcomes = {outcome.action: outcome for outcome in run.outcomes}
    undone: dict[str, Action] = {}
    findings: dict[str, Finding] = {}
    # Archives last: what they give back depends on whether those who took it give it up.
    for action in sorted(made.actions, key=lambda action: action.do == "archive"):
        outcome = outcomes[action.id]
        if outcome.outcome not in {"done", "unknown"}:
            continue
        kept = _kept_by_others(action, made.actions, undone)
        inverse = _inverse(action, outcome, kept) if outcome.outcome == "done" else None
        finding = findings[action.id] = _finding(action, outcome, mended=inverse is not None, plan=made)
        if inverse is not None:
            undone[action.id] = msgspec.structs.replace(inverse, because=(Because(RULE, finding.id),))
    actions = tuple(_in_order(made.actions, undone))
    counts: Counter[Do] = Counter(action.do for action in actions)
    live = made.inputs.actual.count or 0
    checks = check_limits(counts, live=live, limits=limits, accepted=accepted, history=history, target=made.target)
    found = tuple(findings[action.id] for action in made.actions if action.id in findings)
    plan = msgspec.structs.replace(
        made,
        tool=tool,
        created_at=timestamp(now),
        expires_at=timestamp(now + timedelta(hours=limits.plan_lifetime_hours)),
        applyable=True,
        refused_because=(),
        summary=summary_of(counts, found, unchanged=0),
        limits=checks,
        actions=actions,
        findings=found,
        previous=previous,
        basis=None,
        seen=(),
    )
    return finished(plan, now=now)


def _kept_by_others(action: Action, actions: Iterable[Action], undone: Mapping[str, Action]) -> frozenset[str]:
    """The identifiers given up by this archive that another action gave to a contact which keeps them."""
    if action.do != "archive":
        return frozenset()
    return frozenset(
        field
        for field in IDENTIFIERS
        for other in actions
        if other is not action and field in other.set and field in action.set
        if same(field, other.set[field], action.expect.get(field))
        if other.id not in undone or field not in undone[other.id].set
    )


def _inverse(action: Action, outcome: Outcome, kept: frozenset[str]) -> Action | None:
    """What takes an action back, but for the fields in `kept`; None where nothing does. `after` is filled in later."""
    if action.row is not None:
        return row_actions.inverse(action, outcome)
    match action.do:
        case "update":
            old = _restorable(action.expect, action.set)
            if action.undo != "exact":  # somebody else holds an identifier for good: the rest comes back
                old = {field: value for field, value in old.items() if field not in IDENTIFIERS}
            return _back(action, old)
        case "archive":
            old = _restorable(action.expect, action.set)
            return _made("unarchive", action, set={field: old[field] for field in old if field not in kept})
        case "create" if not outcome.sent:
            return None  # the contact was found there as wanted: it may be older than the run
        case "unarchive" | "create":
            return _made("archive", action, contact=outcome.contact, expect=action.set)
        case "promote" | "merge" | "delete":
            return None
        case _:
            assert_never(action.do)


def _restorable(before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The old values of the fields that were set, but for those that cannot be made blank again."""
    old = {field: before.get(field) for field in after}
    return {field: value for field, value in old.items() if value or field not in CANNOT_BE_BLANKED}


def _back(action: Action, old: dict[str, Scalar]) -> Action | None:
    if not old:
        return None
    return _made("update", action, expect={field: action.set[field] for field in old}, set=old)


def _made(
    do: Do,
    action: Action,
    *,
    contact: str | None = None,
    expect: Mapping[str, Scalar] | None = None,
    set: Mapping[str, Scalar] | None = None,  # noqa: A002 - the field of Action is called so by the plan's format
) -> Action:
    expected, values = dict(expect or {}), dict(set or {})
    return with_id(
        Action(
            id="",
            do=do,
            contact=contact or action.contact,
            member=action.member,
            expect=expected,
            set=values,
            undo=undo_class(do, expected, values),
        )
    )


def _finding(action: Action, outcome: Outcome, *, mended: bool, plan: Plan) -> Finding:
    contact = outcome.contact or action.contact
    if outcome.outcome == "unknown":
        says = f"{action.do} {action.id} may or may not have happened: look at it"
    elif mended:
        says = f"takes back {action.do} {action.id} of plan {plan.id}"
    else:
        says = f"{action.do} {action.id} of plan {plan.id} cannot be taken back"
    evidence = tuple(
        Evidence(f"plan {plan.id}", field, action.expect.get(field)) for field in action.set or action.expect
    )
    severity: Severity = "fixable" if mended else "review"
    return make_finding(RULE, severity, says, contact=contact, member=action.member, evidence=evidence)


def _in_order(original: Iterable[Action], undone: Mapping[str, Action]) -> Iterable[Action]:
    """The last first; what waited for an action there is waited for by it here."""
    waiting: dict[str, list[str]] = {}
    for action in original:
        for before in action.after:
            waiting.setdefault(before, []).append(action.id)
    for action in reversed(tuple(original)):
        if action.id in undone:
            after = tuple(undone[later].id for later in waiting.get(action.id, ()) if later in undone)
            yield msgspec.structs.replace(undone[action.id], after=after)
