"""A plan as Markdown, small enough for one comment or job summary on GitHub (65,535 characters), whatever its size.

Counts come first and are never left out; actions and findings follow as far as there is room, and each list says how
many more there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.core.actions import Action
from reconciler.core.model import Finding
from reconciler.core.plan import LimitCheck, Plan
from reconciler.report import facts
from reconciler.report.facts import Change
from reconciler.report.markup import MOST, code, left_out, prose, share, table, value

_ROWS = 20
_LIMITS = 12
_REASONS = 10


def plan_markdown(plan: Plan) -> str:
    """The plan as Markdown of at most MOST characters, with every count."""
    head = "".join([_head(plan), _refusal(plan), _limits(plan), _kinds(plan), _rules(plan), _reviews(plan)])
    tail = _provenance(plan)
    room = MOST - len(head.encode()) - len(tail.encode())
    return head + _details(plan, room=room) + tail


def _head(plan: Plan) -> str:
    return (
        f"## Plan {code(plan.id)}\n\n**{_summary(plan)}**\n\n"
        f"For {code(plan.target)} in {facts.where(plan)} {code(plan.workspace)}, "
        f"made {code(plan.created_at)}, expires {code(plan.expires_at)}.\n\n"
    )


def _summary(plan: Plan) -> str:
    """Counts and held limits are cut apart, so that many limits cannot push a count out."""
    return " ".join(prose(part) for part in (facts.counts_line(plan), facts.held_by(plan)) if part)


def _refusal(plan: Plan) -> str:
    if plan.applyable:
        return ""
    reasons = "".join(f"> - {prose(reason)}\n" for reason in plan.refused_because[:_REASONS])
    more = left_out(len(plan.refused_because) - _REASONS, "reasons", mark="> - ")
    return f"> **This plan cannot be applied.**\n{reasons}{more}\n"


def _limits(plan: Plan) -> str:
    if not plan.limits:
        return ""
    checks = sorted(plan.limits, key=lambda check: check.ok)
    rows = [_limit_row(check) for check in checks[:_LIMITS]]
    breached = len(facts.breached(plan))
    title = f"Limits: {breached} not met" if breached else "Limits: all met"
    more = left_out(len(checks) - _LIMITS, "limits", mark="")
    return table(title, ("Limit", "Planned", "Allowed", "Met", "Says"), rows) + (f"{more}\n" if more else "")


def _limit_row(check: LimitCheck) -> tuple[str, ...]:
    accepted = f"accepted: {check.accepted}, {check.reason or 'no reason given'}" if check.accepted is not None else ""
    says = prose("; ".join(filter(None, (check.says, accepted))))
    return code(check.limit), str(check.planned), str(check.allowed), "yes" if check.ok else "**no**", says


def _kinds(plan: Plan) -> str:
    held = plan.held()
    rows = []
    for kind, actions in facts.by_kind(plan.actions):
        can, cannot = facts.undo_counts(actions)
        rows.append((kind, str(len(actions)), str(can), str(cannot), str(sum(one.id in held for one in actions))))
    columns = ("To do", "Actions", "Can be undone", "Cannot be undone", "Held")
    actions_table = table(f"Actions: {len(plan.actions)}", columns, rows)
    return actions_table + f"Unchanged {facts.counted(plan)}: {plan.summary.unchanged}\n\n" + _census(plan)


def _census(plan: Plan) -> str:
    sentences = facts.census(plan)
    return "".join(f"- {prose(sentence)}\n" for sentence in sentences) + ("\n" if sentences else "")


def _rules(plan: Plan) -> str:
    counts = [(rule, len(actions)) for rule, actions in facts.by_rule(plan.actions)]
    return table("Actions by the rule that asked first", ("Rule", "Actions"), _counted(counts))


def _reviews(plan: Plan) -> str:
    counts = [(rule, len(findings)) for rule, findings in facts.open_findings(plan)]
    total = sum(count for _, count in counts)
    return table(f"For review: {total}", ("Rule", "Findings"), _counted(counts))


def _counted(counts: Sequence[tuple[str, int]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(code(rule), str(count)) for rule, count in counts[:_ROWS]]
    rest = counts[_ROWS:]
    if rest:
        rows.append((f"{len(rest)} other rules", str(sum(count for _, count in rest))))
    return rows


def _provenance(plan: Plan) -> str:
    rows = [
        (
            name,
            "" if one.source is None else code(one.source),
            "" if one.count is None else str(one.count),
            code(one.sha256),
        )
        for name, one in (
            ("members", plan.inputs.members),
            ("positions", plan.inputs.positions),
            (facts.things(plan), plan.inputs.actual),
            ("rules", plan.inputs.rules),
        )
    ]
    version = f" for Intercom {code(plan.intercom_version)}" if plan.intercom_version else ""
    made = f"Made by {code(plan.tool)}{version}.\n"
    return table("Made from", ("Input", "Source", "Rows", "SHA-256"), rows) + made


# Lists that stop where the room ends


def _details(plan: Plan, *, room: int) -> str:
    """Actions by kind and findings by rule, as far as there is room."""
    held = plan.held()
    lists: list[tuple[str, Iterable[str], int]] = [
        (f"### To {kind}: {len(actions)}\n\n", (_action(one, held=one.id in held) for one in actions), len(actions))
        for kind, actions in facts.by_kind(plan.actions)
    ]
    lists += [
        (f"### For review, {code(rule)}: {len(findings)}\n\n", map(_finding, findings), len(findings))
        for rule, findings in facts.open_findings(plan)[:_ROWS]
    ]
    return share(lists, room=room)


def _action(action: Action, *, held: bool) -> str:
    rules = facts.rules_of(action)
    asked = f" ({', '.join(map(code, rules))})" if rules else ""
    notes = {"exact": "", "partial": ", undone in part", "none": ", **cannot be undone**"}[action.undo]
    notes += ", **held**" if held else ""
    seen = "".join(f"  - {code(field)}: {value(before)}\n" for field, before in facts.seen(action))
    changes = "".join(_change(change) for change in facts.changes(action))
    return f"- {value(facts.subject(action))}{asked}{notes}\n{seen}{changes}"


def _change(change: Change) -> str:
    before = "" if change.before is None else f"{value(change.before)} → "
    return f"  - {code(change.field)}: {before}{value(change.after)}\n"


def _finding(finding: Finding) -> str:
    says = f": {prose(finding.says)}" if finding.says else ""
    evidence = "".join(
        f"  - {code(one.origin)}, {code(facts.label(one.field))}: {value(facts.shown(one.value))}\n"
        for one in finding.evidence
    )
    return f"- {value(facts.subject_of(finding))}{says}\n{evidence}"
