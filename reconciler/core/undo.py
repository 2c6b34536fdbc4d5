"""Taking back what was applied: an ordinary plan, with its own expectations, limits and review.

Only what is recorded as done, in whole or in part, is taken back, from the values in the plan; whatever else has
happened to a contact since makes the undoing of it stale, like any other action. Done later in the original means
undone earlier here, so that identifiers go back the way they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from reconciler.core import row_actions
from reconciler.core.actions import CANNOT_BE_BLANKED, Action, Because, Do, Outcome, undo_class, with_id
from reconciler.core.assembly import finished, summary_of, timestamp
from reconciler.core.diff import as_compared, same
from reconciler.core.drafts import IDENTIFIERS, released
from reconciler.core.guards import Accepted
from reconciler.core.history import NO_HISTORY, History
from reconciler.core.limits import check_limits
from reconciler.core.model import Evidence, Finding, Scalar, Severity
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.core.rules import Limits
from reconciler.core.world import make_finding

RULE = "undo"

GIVES_UP: tuple[Do, ...] = ("archive", "merge")
"""Actions of two writes: the contact gives up its identifiers, then it goes (design §4.5)."""


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
    givers = _by_identifier(made.actions)
    # Those last that gave something up: what they get back depends on whether those who took it give it up.
    for action in sorted(made.actions, key=lambda action: action.do in GIVES_UP):
        outcome = outcomes[action.id]
        if outcome.outcome not in {"done", "unknown"} and not _gave_up(action, outcome):
            continue
        kept = _kept_by_others(action, givers, outcomes, undone)
        inverse = _mending(action, outcome, kept)
        finding = findings[action.id] = _finding(action, outcome, mended=inverse is not None, plan=made)
        if inverse is not None:
            undone[action.id] = msgspec.structs.replace(inverse, because=(Because(RULE, finding.id),))
    actions = tuple(_in_order(made.actions, _giving_up(undone)))
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


def _by_identifier(actions: Iterable[Action]) -> Mapping[tuple[str, str], Sequence[Action]]:
    """Field and value of each identifier that these actions set → those that set it."""
    found: dict[tuple[str, str], list[Action]] = {}
    for action in actions:
        for field in IDENTIFIERS:
            if (value := as_compared(field, action.set.get(field))) is not None:
                found.setdefault((field, value), []).append(action)
    return found


def _kept_by_others(
    action: Action,
    givers: Mapping[tuple[str, str], Sequence[Action]],
    outcomes: Mapping[str, Outcome],
    undone: Mapping[str, Action],
) -> frozenset[str]:
    """The identifiers given up by this archive that another action gave to a contact which keeps them."""
    if action.do not in GIVES_UP:
        return frozenset()
    return frozenset(
        field
        for field in IDENTIFIERS
        if field in action.set and (value := as_compared(field, action.expect.get(field))) is not None
        for other in givers.get((field, value), ())
        if other is not action and _may_have_given(field, other, outcomes[other.id])
        if other.id not in undone or field not in undone[other.id].set
    )


def _may_have_given(field: str, action: Action, outcome: Outcome) -> bool:
    """Whether a contact may have got what an action was to give it. One that was never sent gave nothing."""
    if outcome.outcome in {"done", "unknown"}:
        return True
    return field in outcome.read_back and same(field, outcome.read_back[field], action.set[field])


def _gave_up(action: Action, outcome: Outcome) -> bool:
    """Whether a contact gave up its identifiers for an archive or merge that failed after that."""
    return (
        outcome.outcome == "failed"
        and action.do in GIVES_UP
        and bool(action.set)
        and all(same(field, outcome.read_back.get(field), value) for field, value in action.set.items())
    )


def _giving_up(undone: Mapping[str, Action]) -> dict[str, Action]:
    """The same, with archives that give up what another contact gets back: of archived contacts, too, Intercom keeps
    identifiers unique.
    """
    givers = _by_identifier(undone.values())
    return {key: _without(action, _wanted_back(action, givers)) for key, action in undone.items()}


def _wanted_back(action: Action, givers: Mapping[tuple[str, str], Sequence[Action]]) -> tuple[str, ...]:
    """The identifiers of a contact to be archived that other actions give to theirs."""
    if action.do != "archive":
        return ()
    return tuple(
        field
        for field in IDENTIFIERS
        if (value := as_compared(field, action.expect.get(field))) is not None
        if any(other is not action for other in givers.get((field, value), ()))
    )


def _without(action: Action, fields: Sequence[str]) -> Action:
    if not fields or action.contact is None:
        return action
    given_up: dict[str, Scalar] = {field: released(field, action.contact) for field in fields}
    changed = {**action.set, **given_up}
    return with_id(msgspec.structs.replace(action, set=changed, undo=undo_class(action.do, action.expect, changed)))


def _mending(action: Action, outcome: Outcome, kept: frozenset[str]) -> Action | None:
    """What takes back what became of an action; None where nothing does."""
    match outcome.outcome:
        case "done":
            return _inverse(action, outcome, kept)
        case "failed":
            return _back(action, _given_back(action, kept))
        case _:
            return None


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
            return _made("unarchive", action, set=_given_back(action, kept))
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


def _given_back(action: Action, kept: frozenset[str]) -> dict[str, Scalar]:
    return {field: value for field, value in _restorable(action.expect, action.set).items() if field not in kept}


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
    if outcome.outcome == "failed" and mended:
        says = f"gives back what {action.do} {action.id} of plan {plan.id} took before it failed"
    elif outcome.outcome == "unknown":
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
