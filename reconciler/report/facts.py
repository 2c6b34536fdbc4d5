"""What every report shows of a plan, worked out once; text, Markdown and HTML only lay it out.

Nothing here is escaped but by `visible`, which each format calls on everything, where it writes it out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core.actions import KINDS, Action, Do
from reconciler.core.model import ATTRIBUTE_PREFIX, Contact, Finding, Scalar, Target
from reconciler.core.plan import LimitCheck, Plan

SHOW_ORDER: tuple[Do, ...] = ("merge", "archive", "delete", "promote", "create", "update", "unarchive")
"""Kinds as they are shown: what takes a contact away comes first."""

NO_RULE = "(no rule)"

_BLANK = "(blank)"
_ESCAPED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKS_IN_A_ROW = 4
_SEVERITIES = ("review", "info", "fixable")

# Printable to Python, and yet nothing to be seen: Default_Ignorable_Code_Point of Unicode 16.0 (DerivedCoreProperties)
# outside the general category Cf, and the blank Braille pattern.
_INVISIBLE = frozenset(
    map(
        chr,
        (
            0x034F,
            *range(0x115F, 0x1161),
            *range(0x17B4, 0x17B6),
            *range(0x180B, 0x1810),
            0x2800,
            0x3164,
            *range(0xFE00, 0xFE10),
            0xFFA0,
            *range(0xE0100, 0xE01F0),
        ),
    )
)


def visible(text: str) -> str:
    r"""The text with every character that hides, moves or breaks others written as `\n`, `\u202e`, `\U000e0041`.

    That is: control, format (bidi, zero-width), private and unassigned characters, separators but the plain space,
    and combining marks piled higher than any script needs. A backslash is doubled, so that nothing can pretend.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    shown: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in {"Mn", "Me"} else 0
        plain = char != "\\" and char.isprintable() and char not in _INVISIBLE and marks <= _MARKS_IN_A_ROW
        shown.append(char if plain else _escape(char))
    return "".join(shown)


def _escape(char: str) -> str:
    code = ord(char)
    return _ESCAPED.get(char) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def shown(value: Scalar) -> str:
    """A value as people read it. Quoted where it could be mistaken: empty, spaces around it, an arrow within."""
    match value:
        case None:
            return _BLANK
        case bool():
            return "true" if value else "false"
        case str():
            doubtful = value in {"", _BLANK} or value.strip() != value or "→" in value
            return f'"{value}"' if doubtful else value
        case _:
            return str(value)


def label(field: str) -> str:
    """The field as people call it: an attribute without its prefix, unless a field of Intercom's has that name."""
    name = field.removeprefix(ATTRIBUTE_PREFIX)
    return field if name in Contact.__struct_fields__ else name


@dataclass(frozen=True, slots=True)
class Change:
    """One field of an action, ready to show."""

    field: str
    before: str | None
    """None where there was nothing before: the contact is created."""
    after: str
    rules: tuple[str, ...]


def changes(action: Action) -> tuple[Change, ...]:
    """The fields that the action sets, each with the rules that asked for it."""
    return tuple(
        Change(
            field=label(field),
            before=None if action.do == "create" else _before(action, field),
            after=shown(value),
            rules=_distinct(because.rule for because in action.because if because.field == field),
        )
        for field, value in action.set.items()
    )


def _before(action: Action, field: str) -> str:
    return shown(action.expect[field]) if field in action.expect else "(not read)"


def seen(action: Action) -> tuple[tuple[str, str], ...]:
    """For what takes a contact away: the values by which people know whose it is."""
    return tuple((label(field), shown(value)) for field, value in values_seen(action))


def values_seen(action: Action) -> tuple[tuple[str, Scalar], ...]:
    """As `seen`: fields and values as they stand in the plan."""
    if action.do not in {"merge", "archive", "delete"}:
        return ()
    return tuple((field, value) for field, value in action.expect.items() if field not in action.set)


def rules_of(action: Action) -> tuple[str, ...]:
    """The rules that asked for the action, in the order in which it names them."""
    return _distinct(because.rule for because in action.because)


def things(plan: Plan) -> str:
    """What the actual side is made of."""
    return "rows" if plan.target == "positions" else "contacts"


def where(plan: Plan) -> str:
    """What kind of place `workspace` names."""
    return "the Supabase project" if plan.target == "positions" else "workspace"


def counted(plan: Plan) -> str:
    """What `unchanged` counts."""
    return "rows" if plan.target == "positions" else "members"


def plan_command(target: Target) -> str:
    """The command that makes a plan for this target."""
    return "reconcile plan --target positions" if target == "positions" else "reconcile plan"


def subject(action: Action) -> str:
    """Whom and what the action is about."""
    parts = [f"member {action.member}" if action.member is not None else "no member"]
    if action.row is not None:
        parts.append(f"row {action.row}")
    if action.contact is not None:
        parts.append(f"contact {action.contact}")
    if action.into is not None:
        parts.append(f"into {action.into}")
    return ", ".join(parts)


def by_kind(actions: Iterable[Action]) -> list[tuple[Do, list[Action]]]:
    """The actions by kind, in the order of showing; kinds without any are left out."""
    groups: dict[Do, list[Action]] = {kind: [] for kind in SHOW_ORDER}
    for action in actions:
        groups[action.do].append(action)
    return [(kind, group) for kind, group in groups.items() if group]


def by_rule(actions: Iterable[Action]) -> list[tuple[str, list[Action]]]:
    """The actions by the first rule that asked for each, rules in alphabetical order: each action stands once."""
    groups: dict[str, list[Action]] = {}
    for action in actions:
        groups.setdefault(next(iter(rules_of(action)), NO_RULE), []).append(action)
    return sorted(groups.items())


def open_findings(plan: Plan) -> list[tuple[str, list[Finding]]]:
    """The findings that no action mends, by rule; rules with something for a person to decide come first."""
    groups: dict[str, list[Finding]] = {}
    for finding in plan.open_findings():
        groups.setdefault(finding.rule, []).append(finding)
    return sorted(groups.items(), key=lambda group: (_urgency(group[1]), group[0]))


def _urgency(findings: list[Finding]) -> int:
    return min(_SEVERITIES.index(finding.severity) for finding in findings)


def subject_of(finding: Finding) -> str:
    """Whom and what the finding is about."""
    parts = [
        *([f"member {finding.member}"] if finding.member is not None else []),
        *([f"contact {finding.contact}"] if finding.contact is not None else []),
    ]
    return ", ".join(parts) or f"finding {finding.id}"


def breached(plan: Plan) -> tuple[LimitCheck, ...]:
    """The limits and guards that the plan does not meet."""
    return tuple(check for check in plan.limits if not check.ok)


def undo_counts(actions: Iterable[Action]) -> tuple[int, int]:
    """How many can be undone, wholly or in part, and how many cannot."""
    undoable = [action.undo != "none" for action in actions]
    return sum(undoable), len(undoable) - sum(undoable)


def summary(plan: Plan) -> str:
    """The line that people and scripts look for (design §6), followed by the limits that hold something back."""
    return " ".join(filter(None, (counts_line(plan), held_by(plan))))


def counts_line(plan: Plan) -> str:
    """What the plan does, in numbers: held actions are counted with the others, and said to be held."""
    if not plan.applyable:
        return "Refused: " + ("; ".join(plan.refused_because) or "this plan is not applyable").rstrip(".") + "."
    if not plan.actions:
        return "No changes."
    counts = {kind: len(group) for kind, group in by_kind(plan.actions)}
    todo = ", ".join(f"{counts[kind]} to {kind}" for kind in KINDS if kind in counts)
    can, cannot = undo_counts(plan.actions)
    held = len(plan.held())
    return f"Plan: {todo}. {can} can be undone, {cannot} cannot." + (f" {held} held." if held else "")


def census(plan: Plan) -> tuple[str, ...]:
    """Live contacts against members, in three sentences; none where the plan did not count."""
    found = plan.census
    if found is None:
        return ()
    whose = f"{found.theirs} belong to them, {found.others} to other members, {found.disputed} are in dispute"
    statuses = ", ".join(f"{count} {status}" for status, count in found.members.items())
    return (
        f"{found.users + found.leads} live contacts: {found.users} users and {found.leads} leads",
        f"{statuses} in the source; {found.wanted} of them can be a contact, and {found.without} have none",
        f"Of the contacts, {whose}, and {found.strangers} are nobody's",
    )


def held_by(plan: Plan) -> str:
    """The limits that the plan is over, in one sentence; empty where nothing is held."""
    if not plan.applyable or not plan.held():
        return ""
    limits = (f"{check.limit} ({check.planned} planned, {check.allowed} allowed)" for check in breached(plan))
    return f"Over the limit: {', '.join(limits)}."


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
