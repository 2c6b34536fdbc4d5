"""A plan for operations staff at a terminal: what stops it, what it does (the gravest first), what needs a person."""

from __future__ import annotations

from shlex import quote
from typing import assert_never

from reconciler.core.actions import KINDS, Action, Do
from reconciler.core.model import Finding
from reconciler.core.plan import LimitCheck, Plan
from reconciler.report import facts
from reconciler.report.facts import Change, visible
from reconciler.report.page import Page

__all__ = ["MANY", "SHORT", "plan_text", "summary_line"]

MANY = 200
"""A plan of more actions than this is shortened, if the caller gives a number to shorten it to."""

SHORT = 50
"""The number that a terminal should give."""


def plan_text(
    plan: Plan, *, width: int = 80, colour: bool = False, limit_lines: int | None = None, advice: bool = True
) -> str:
    """The plan as text, no line but the one with the counts wider than `width` cells (at least 60).

    With `limit_lines`, a plan of more than MANY actions or open findings shows that many of each kind and of each
    rule, and says how many more there are and how to see them. Without it, everything is shown.
    `advice`: end with the next step, for a plan that is stored.
    """
    page = Page(width=width, colour=colour)
    sizes = len(plan.actions), sum(len(findings) for _, findings in facts.open_findings(plan))
    limit = limit_lines if max(sizes) > MANY else None
    _header(page, plan)
    _limits(page, plan)
    held = plan.held()
    for kind, actions in facts.by_kind(plan.actions):
        _kind(page, kind, actions, held=held, limit=limit, plan_id=plan.id)
    for rule, findings in facts.open_findings(plan):
        _findings(page, rule, findings, limit=limit, plan_id=plan.id)
    page.line()
    _summary(page, plan)
    if advice:
        _next_step(page, plan, held=held)
    return page.text()


def summary_line(plan: Plan) -> str:
    """One line that says what the plan does (design §6), without a newline at its end."""
    return visible(facts.summary(plan))


def _summary(page: Page, plan: Plan) -> None:
    if not plan.applyable:
        page.prose(facts.counts_line(plan), style="bold")
        return
    if not plan.actions and facts.open_findings(plan):
        page.prose("Nothing to apply. What is listed for review needs a person.")
    page.whole(facts.counts_line(plan), style="bold")
    if held := facts.held_by(plan):
        page.prose(held, style="bold")


def _header(page: Page, plan: Plan) -> None:
    inputs = plan.inputs
    members = f"{_number(inputs.members.count)} members, {_number(inputs.positions.count)} positions"
    source = f" from {inputs.members.source}" if inputs.members.source is not None else ""
    page.line(f"Plan {plan.id}", style="bold")
    page.prose(f"{plan.target} in {facts.where(plan)} {plan.workspace}", lead="  Target     ")
    page.prose(f"{members}{source}; {_number(inputs.actual.count)} {facts.things(plan)}", lead="  Sources    ")
    page.prose(f"{plan.created_at} by {plan.tool}", lead="  Made       ")
    page.prose(f"{plan.expires_at}", lead="  Expires    ")
    page.prose(f"{plan.summary.unchanged} {facts.counted(plan)}", lead="  Unchanged  ")
    for lead, sentence in zip(("  Contacts   ", "  Members    ", "  Whose      "), facts.census(plan), strict=False):
        page.prose(sentence, lead=lead)


def _number(count: int | None) -> str:
    return "an unknown number of" if count is None else str(count)


def _limits(page: Page, plan: Plan) -> None:
    if not plan.applyable:
        page.line()
        page.line("!! REFUSED: THIS PLAN CANNOT BE APPLIED", style="loud")
        for reason in plan.refused_because:
            page.prose(reason, lead="!! ", style="loud")
    for check in facts.breached(plan):
        page.line()
        what = "OVER THE LIMIT" if check.limit in KINDS else "GUARD NOT MET"
        page.prose(f"{what}: {_measure(check)}", lead="!! ", style="loud")
        if check.says:
            page.prose(check.says, lead="   ", style="loud")
    for check in plan.limits:
        if check.ok and check.accepted is not None:
            page.line()
            page.prose(f"Accepted by a person: {_measure(check)}, {check.accepted} accepted", style="care")
            if check.says:
                page.prose(check.says, lead="   ", style="care")
            page.prose(f"Reason: {check.reason or 'none given'}", lead="   ", style="care")


def _measure(check: LimitCheck) -> str:
    if check.limit in KINDS:
        return f"{check.limit}, {check.planned} planned, {check.allowed} allowed"
    return f"{check.limit}, {check.planned} read, {check.allowed} believed"


def _kind(
    page: Page, kind: Do, actions: list[Action], *, held: dict[str, str], limit: int | None, plan_id: str
) -> None:
    page.line()
    page.prose(f"To {kind}: {len(actions)}{_notes(actions, held=held)}", style=_style(kind))
    for action in actions[:limit]:
        _action(page, action, held=held.get(action.id))
    if limit is not None and len(actions) > limit:
        command = _show(plan_id, f".actions[] | select(.do == {_quoted(kind)})")
        page.prose(f"… and {len(actions) - limit} more to {kind}. See all of them with: {command}", lead="  ")


def _notes(actions: list[Action], *, held: dict[str, str]) -> str:
    counts = {
        "held": sum(action.id in held for action in actions),
        "cannot be undone": facts.undo_counts(actions)[1],
        "can be undone in part only": sum(action.undo == "partial" for action in actions),
    }
    notes = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f" ({notes})" if notes else ""


def _style(kind: Do) -> str:
    match kind:
        case "merge" | "archive" | "delete":
            return "loud"
        case "promote" | "update" | "unarchive":
            return "care"
        case "create":
            return "good"
        case _:
            assert_never(kind)


def _action(page: Page, action: Action, *, held: str | None) -> None:
    rules = facts.rules_of(action)
    asked = f" · {', '.join(rules)}" if rules else ""
    page.prose(f"{facts.subject(action)}{asked}{' · held' if held is not None else ''}", lead="  ", hang=6)
    if held is not None and action.after:
        page.prose(held, lead="      ")
    for field, value in facts.seen(action):
        page.line(f"      {field}: {value}")
    for change in facts.changes(action):
        _change(page, change, name_rules=len(rules) > 1)


def _change(page: Page, change: Change, *, name_rules: bool) -> None:
    suffix = f"  [{', '.join(change.rules)}]" if name_rules and change.rules else ""
    if change.before is None:
        page.line(f"      {change.field}: {change.after}{suffix}")
        return
    whole = f"      {change.field}: {change.before} → {change.after}{suffix}"
    if page.fits(whole):
        page.line(whole)
    else:
        page.line(f"      {change.field}: {change.before}")
        page.line(f"        → {change.after}")
        if suffix:
            page.line(f"       {suffix}")


def _findings(page: Page, rule: str, findings: list[Finding], *, limit: int | None, plan_id: str) -> None:
    page.line()
    page.prose(f"For review, {rule}: {len(findings)}", style="bold")
    for finding in findings[:limit]:
        _finding(page, finding)
    if limit is not None and len(findings) > limit:
        command = _show(plan_id, f".findings[] | select(.rule == {_quoted(rule)})")
        page.prose(f"… and {len(findings) - limit} more. See all of them with: {command}", lead="  ")


def _finding(page: Page, finding: Finding) -> None:
    says = f": {finding.says}" if finding.says else ""
    page.prose(f"{facts.subject_of(finding)}{says}", lead="  ", hang=6)
    for evidence in finding.evidence:
        where = f"{evidence.origin}, {facts.label(evidence.field)}"
        page.line(f"      {where}: {facts.shown(evidence.value)}", style="dim")


def _show(plan_id: str, jq: str) -> str:
    return f"reconcile show {quote(plan_id)} --format json | jq {quote(jq)}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _next_step(page: Page, plan: Plan, *, held: dict[str, str]) -> None:
    if not plan.applyable:
        again = facts.plan_command(plan.target)
        page.prose(f"Nothing can be applied. Mend what is named above, then make a new plan with: {again}")
        return
    if len(held) < len(plan.actions):
        page.prose(f"Apply it with: reconcile apply {quote(plan.id)}")
    elif plan.actions:
        page.prose("Nothing of it may run before the limits above are met or accepted.")
