"""A plan as Markdown, small enough for one comment or job summary on GitHub (65,535 characters), whatever its size.

Counts come first and are never left out; actions and findings follow as far as there is room, and each list says how
many more there are. Values stand in code spans, in which Markdown, HTML, links and mentions are dead
(CommonMark 0.31.2, section 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reconciler.core.actions import Action
from reconciler.core.model import Finding
from reconciler.core.plan import LimitCheck, Plan
from reconciler.report import facts
from reconciler.report.facts import Change, visible

MOST = 65_535
"""Counted in bytes of UTF-8, which are never fewer than characters however those are counted."""

# The longest a thing may be in characters, each of which takes six bytes at the most. Together these keep everything
# but the lists under 60,000 bytes, so that the counts fit whatever a plan holds.
_VALUE = 160
_CELL = 72
_PROSE = 200
_ROWS = 20
_LIMITS = 12
_REASONS = 10

_ALIVE_IN_CODE = re.compile(r"[<>&`|]")
_PUNCTUATION = re.compile(r"^[-+=]|[\\`*_\[\]!|~]")
_ALIVE = re.compile(r"[@#]|://|www\.", re.IGNORECASE)


def plan_markdown(plan: Plan) -> str:
    """The plan as Markdown of at most MOST characters, with every count."""
    head = "".join([_head(plan), _refusal(plan), _limits(plan), _kinds(plan), _rules(plan), _reviews(plan)])
    tail = _provenance(plan)
    room = MOST - len(head.encode()) - len(tail.encode())
    return head + _details(plan, room=room) + tail


def _head(plan: Plan) -> str:
    return (
        f"## Plan {_code(plan.id)}\n\n**{_prose(facts.summary(plan))}**\n\n"
        f"For {_code(plan.target)} in workspace {_code(plan.workspace)}, "
        f"made {_code(plan.created_at)}, expires {_code(plan.expires_at)}.\n\n"
    )


def _refusal(plan: Plan) -> str:
    if plan.applyable:
        return ""
    reasons = "".join(f"> - {_prose(reason)}\n" for reason in plan.refused_because[:_REASONS])
    more = _more(len(plan.refused_because) - _REASONS, "reasons", mark="> - ")
    return f"> **This plan cannot be applied.**\n{reasons}{more}\n"


def _limits(plan: Plan) -> str:
    if not plan.limits:
        return ""
    checks = sorted(plan.limits, key=lambda check: check.ok)
    rows = [_limit_row(check) for check in checks[:_LIMITS]]
    breached = len(facts.breached(plan))
    title = f"Limits: {breached} not met" if breached else "Limits: all met"
    more = _more(len(checks) - _LIMITS, "limits", mark="")
    return _table(title, ("Limit", "Planned", "Allowed", "Met", "Says"), rows) + (f"{more}\n" if more else "")


def _limit_row(check: LimitCheck) -> tuple[str, ...]:
    accepted = f"accepted: {check.accepted}, {check.reason or 'no reason given'}" if check.accepted is not None else ""
    says = _prose("; ".join(filter(None, (check.says, accepted))))
    return _code(check.limit), str(check.planned), str(check.allowed), "yes" if check.ok else "**no**", says


def _kinds(plan: Plan) -> str:
    held = plan.held()
    rows = []
    for kind, actions in facts.by_kind(plan.actions):
        can, cannot = facts.undo_counts(actions)
        rows.append((kind, str(len(actions)), str(can), str(cannot), str(sum(one.id in held for one in actions))))
    columns = ("To do", "Actions", "Can be undone", "Cannot be undone", "Held")
    table = _table(f"Actions: {len(plan.actions)}", columns, rows)
    return table + f"Unchanged members: {plan.summary.unchanged}\n\n" + _census(plan)


def _census(plan: Plan) -> str:
    sentences = facts.census(plan)
    return "".join(f"- {_prose(sentence)}\n" for sentence in sentences) + ("\n" if sentences else "")


def _rules(plan: Plan) -> str:
    counts = [(rule, len(actions)) for rule, actions in facts.by_rule(plan.actions)]
    return _table("Actions by the rule that asked first", ("Rule", "Actions"), _counted(counts))


def _reviews(plan: Plan) -> str:
    counts = [(rule, len(findings)) for rule, findings in facts.open_findings(plan)]
    total = sum(count for _, count in counts)
    return _table(f"For review: {total}", ("Rule", "Findings"), _counted(counts))


def _counted(counts: Sequence[tuple[str, int]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(_code(rule), str(count)) for rule, count in counts[:_ROWS]]
    rest = counts[_ROWS:]
    if rest:
        rows.append((f"{len(rest)} other rules", str(sum(count for _, count in rest))))
    return rows


def _provenance(plan: Plan) -> str:
    rows = [
        (
            name,
            "" if one.source is None else _code(one.source),
            "" if one.count is None else str(one.count),
            _code(one.sha256),
        )
        for name, one in (
            ("members", plan.inputs.members),
            ("positions", plan.inputs.positions),
            ("contacts", plan.inputs.contacts),
            ("rules", plan.inputs.rules),
        )
    ]
    made = f"Made by {_code(plan.tool)} for Intercom {_code(plan.intercom_version)}.\n"
    return _table("Made from", ("Input", "Source", "Rows", "SHA-256"), rows) + made


# Lists that stop where the room ends


def _details(plan: Plan, *, room: int) -> str:
    """Each list gets an equal share of what room is left; what one does not need goes to the next."""
    held = plan.held()
    lists: list[tuple[str, Iterable[str], int]] = [
        (f"### To {kind}: {len(actions)}\n\n", (_action(one, held=one.id in held) for one in actions), len(actions))
        for kind, actions in facts.by_kind(plan.actions)
    ]
    lists += [
        (f"### For review, {_code(rule)}: {len(findings)}\n\n", map(_finding, findings), len(findings))
        for rule, findings in facts.open_findings(plan)[:_ROWS]
    ]
    parts: list[str] = []
    for index, (title, entries, total) in enumerate(lists):
        part = _listed(title, entries, total=total, room=room // (len(lists) - index))
        parts.append(part)
        room -= len(part.encode())
    return "".join(parts)


def _listed(title: str, entries: Iterable[str], *, total: int, room: int) -> str:
    room -= len(title.encode()) + len(_more(total, "more", mark="- ").encode()) + 1
    taken = list(_fitting(entries, room=room))
    more = _more(total - len(taken), "more", mark="- ")
    return f"{title}{''.join(taken)}{more}\n" if room >= 0 else ""


def _fitting(entries: Iterable[str], *, room: int) -> Iterable[str]:
    for entry in entries:
        room -= len(entry.encode())
        if room < 0:
            return
        yield entry


def _action(action: Action, *, held: bool) -> str:
    rules = facts.rules_of(action)
    asked = f" ({', '.join(map(_code, rules))})" if rules else ""
    notes = {"exact": "", "partial": ", undone in part", "none": ", **cannot be undone**"}[action.undo]
    notes += ", **held**" if held else ""
    seen = "".join(f"  - {_code(field)}: {_value(value)}\n" for field, value in facts.seen(action))
    changes = "".join(_change(change) for change in facts.changes(action))
    return f"- {_value(facts.subject(action))}{asked}{notes}\n{seen}{changes}"


def _change(change: Change) -> str:
    before = "" if change.before is None else f"{_value(change.before)} → "
    return f"  - {_code(change.field)}: {before}{_value(change.after)}\n"


def _finding(finding: Finding) -> str:
    says = f": {_prose(finding.says)}" if finding.says else ""
    evidence = "".join(
        f"  - {_code(one.origin)}, {_code(facts.label(one.field))}: {_value(facts.shown(one.value))}\n"
        for one in finding.evidence
    )
    return f"- {_value(facts.subject_of(finding))}{says}\n{evidence}"


# Escaping


def _code(text: str, most: int = _CELL) -> str:
    r"""A code span. What could end it, or look like HTML, is written as `\u003c`."""
    cut = _cut(visible(text), most)
    inert = _ALIVE_IN_CODE.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)
    return f"`{inert or ' '}`"


def _value(text: str) -> str:
    """The value of a field, as a code span."""
    return _code(text, _VALUE)


def _prose(text: str) -> str:
    """A sentence, in which words that could become a link or a mention stand in code spans."""
    words = _cut(visible(text), _PROSE).split(" ")
    return " ".join(_code(word) if _ALIVE.search(word) else _escaped(word) for word in words)


def _escaped(word: str) -> str:
    return _PUNCTUATION.sub(r"\\\g<0>", word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return f"### {title}\n\n"
    lines = [columns, ("---",) * len(columns), *rows]
    return f"### {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _more(count: int, noun: str, *, mark: str) -> str:
    return f"{mark}… and {count} {noun}\n" if count > 0 else ""
