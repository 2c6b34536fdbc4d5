r"""A plan as CSV for spreadsheets: a row for each field of each action, and for each evidence of each open finding.

An archive or merge has more rows, called `seen`, with the values by which people know whose contact goes away.

Cells come from outside and are opened in programs that run formulas. As OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection): every cell is quoted; one that begins with `=`, `+`, `-`, `@`,
a tab or a line end, also in full width or behind blanks, gets an apostrophe in front. So a phone is `'+17654657031`:
all its digits can be read and copied, and no program takes it for a sum. A separator inside a cell, behind which a
formula would begin where another separator is set, is written as `\u003b`. What hides, breaks or moves text (NUL, line
ends, bidi) is written as `\n` or `\u202e`, as in every report. `cell_text` takes all of it back.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO

from reconciler.core.actions import Action
from reconciler.core.model import Finding, Scalar
from reconciler.core.plan import Plan
from reconciler.report import facts
from reconciler.report.facts import visible

COLUMNS = (
    *("plan", "what", "id", "do", "member", "contact", "row", "into", "rule", "severity"),
    *("field", "before", "after", "from", "says", "undo", "held", "waits_for"),
)
"""`what` is action, seen or finding; `before` of a finding is the value of its evidence, `from` where that stands."""

_FORMULA = re.compile(r"[\s'\"]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_MARKED = re.compile(rf"'|{_FORMULA.pattern}")
_NEW_CELL = re.compile(rf"[;,|](?={_FORMULA.pattern})")
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def plan_csv(plan: Plan) -> str:
    """The plan as CSV (RFC 4180) with a header; the lines end in CR LF."""
    written = StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    held = plan.held()
    for action in plan.actions:
        writer.writerows(_row(plan, cells) for cells in _action(action, held=held.get(action.id)))
    for finding in plan.open_findings():
        writer.writerows(_row(plan, cells) for cells in _finding(finding))
    return written.getvalue()


def cell(value: Scalar) -> str:
    """A value as it stands in a cell. Blank is empty."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else facts.shown(value)
    shown = _NEW_CELL.sub(lambda mark: f"\\u{ord(mark[0]):04x}", visible(text))
    return f"'{shown}" if _MARKED.match(shown) else shown


def cell_text(written: str) -> str:
    """The text that `cell` wrote."""
    return _ESCAPE.sub(_unescaped, written.removeprefix("'"))


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _SHORT[found[3]]


def _row(plan: Plan, cells: dict[str, Scalar]) -> list[str]:
    return [cell(plan.id if column == "plan" else cells.get(column)) for column in COLUMNS]


def _action(action: Action, *, held: str | None) -> Iterator[dict[str, Scalar]]:
    """A row for each field that is set; one for an action that sets none, which is about the contact as a whole."""
    whole: dict[str, Scalar] = {
        "what": "action",
        "id": action.id,
        "do": action.do,
        "member": action.member,
        "contact": action.contact,
        "row": action.row,
        "into": action.into,
        "rule": " ".join(facts.rules_of(action)),
        "undo": action.undo,
        "held": held,
        "waits_for": " ".join(action.after),
    }
    for field, value in action.set.items():
        rules = dict.fromkeys(one.rule for one in action.because if one.field == field)
        asked: dict[str, Scalar] = {"rule": " ".join(rules)} if rules else {}
        yield whole | asked | {"field": field, "before": action.expect.get(field), "after": value}
    if not action.set:
        yield whole
    for field, value in facts.values_seen(action):
        yield whole | {"what": "seen", "field": field, "before": value}


def _finding(finding: Finding) -> Iterator[dict[str, Scalar]]:
    whole: dict[str, Scalar] = {
        "what": "finding",
        "id": finding.id,
        "member": finding.member,
        "contact": finding.contact,
        "rule": finding.rule,
        "severity": finding.severity,
        "says": finding.says,
    }
    for one in finding.evidence:
        yield whole | {"field": one.field, "before": one.value, "from": one.origin}
    if not finding.evidence:
        yield whole
