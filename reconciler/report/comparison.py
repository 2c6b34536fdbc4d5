"""Two plans against each other, as text, Markdown and JSON.

Counts come first and add up: old - resolved + new = now. Then what came back after it was archived, what comes and
goes, what is new and what is resolved; what merely persists is counted, and listed on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from reconciler.core.actions import Action
from reconciler.core.compare import Comparison, Count, LeftOut, Pair
from reconciler.core.model import Finding
from reconciler.core.past import CameBack
from reconciler.report import facts
from reconciler.report.markup import MOST, code, prose, share, table, value
from reconciler.report.page import Page

_COLUMNS = ("old", "resolved", "new", "now", "persistent", "flapping")
_NARROWER = (
    "The new plan is about a small part of the members of the old one: what it does not look at is not resolved."
)
_ROWS = 20
_NAMED = 3
_MISLEADS = ("what it did not look at is not new", "what it did not look at is not resolved")


def comparison_text(
    found: Comparison,
    *,
    width: int = 80,
    colour: bool = False,
    limit_lines: int | None = None,
    persistent: bool = False,
) -> str:
    """The comparison as text. With `limit_lines`, each list shows so many and says how many more there are."""
    page = Page(width=width, colour=colour)
    page.line(f"Plan {found.old.id} → {found.new.id}", style="bold")
    page.prose(f"{found.old.created_at} → {found.new.created_at}", lead="  Made     ")
    page.prose(f"{found.looked_at} plans, for what comes and goes", lead="  Read     ")
    for sentence in _misleading(found):
        page.line()
        page.prose(sentence, lead="!! ", style="loud")
    _counts(page, "Actions", found.action_counts())
    _counts(page, "For review", found.finding_counts())
    if found.came_back:
        page.line()
        page.line(f"Archived, and came back: {len(found.came_back)}", style="loud")
        _listed(
            page, found.came_back[:limit_lines], len(found.came_back), lambda one: page.prose(_back(one), lead="  ")
        )
    for title, actions, findings in _sections(found, persistent=persistent):
        for noun, pairs in (("actions", actions), ("for review", findings)):
            if pairs:
                page.line()
                page.line(f"{title}, {noun}: {len(pairs)}", style="bold")
                _listed(page, pairs[:limit_lines], len(pairs), lambda pair: _pair(page, pair))
    page.line()
    page.whole(summary_line(found), style="bold")
    return page.text()


def summary_line(found: Comparison) -> str:
    """One line for both: actions, then what is for review."""
    return (
        f"Actions: {_sum(found.action_counts())}. For review: {_sum(found.finding_counts())}. "
        f"{len(found.came_back)} archived came back."
    )


def comparison_markdown(found: Comparison, *, persistent: bool = False) -> str:
    """The comparison as Markdown of at most MOST characters, with every count."""
    head = (
        f"## Plan {code(found.old.id)} → {code(found.new.id)}\n\n**{prose(summary_line(found))}**\n\n"
        f"Made {code(found.old.created_at)} → {code(found.new.created_at)}; "
        f"{found.looked_at} plans read for what comes and goes.\n\n"
        + "".join(f"> {prose(sentence)}\n\n" for sentence in _misleading(found))
        + _count_table("Actions", found.action_counts())
        + _count_table("For review", found.finding_counts())
    )
    lists: list[tuple[str, Iterable[str], int]] = []
    if found.came_back:
        title = f"### Archived, and came back: {len(found.came_back)}\n\n"
        lists.append((title, (f"- {prose(_back(one))}\n" for one in found.came_back), len(found.came_back)))
    for title, actions, findings in _sections(found, persistent=persistent):
        if actions:
            lists.append((f"### {title}, actions: {len(actions)}\n\n", map(_entry, actions), len(actions)))
        if findings:
            lists.append((f"### {title}, for review: {len(findings)}\n\n", map(_entry, findings), len(findings)))
    return head + share(lists, room=MOST - len(head.encode()))


def comparison_json(found: Comparison) -> bytes:
    """The comparison for scripts: counts, and every action and finding with what became of it."""
    document = {
        "old": {"id": found.old.id, "created_at": found.old.created_at},
        "new": {"id": found.new.id, "created_at": found.new.created_at},
        "narrower": found.narrower,
        "left_out": dict(zip(("old", "new"), found.left_out, strict=True)),
        "plans_read": found.looked_at,
        "counts": {"actions": found.action_counts(), "findings": found.finding_counts()},
        "came_back": found.came_back,
        "actions": [_record(pair) for pair in found.actions],
        "findings": [_record(pair) for pair in found.findings],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _misleading(found: Comparison) -> Iterator[str]:
    """A sentence for each plan that looked at less than a whole night, or than the other."""
    for which, left_out, misleads in zip(("old", "new"), found.left_out, _MISLEADS, strict=True):
        if not left_out.is_nothing:
            yield f"The {which} plan was made {', '.join(_less(left_out))}: {misleads}."
    if found.narrower and found.left_out[1].is_nothing:
        yield _NARROWER


def _less(left_out: LeftOut) -> Iterator[str]:
    if left_out.only:
        yield f"for {_of(left_out.only, 'member')} only"
    if left_out.exclude:
        yield f"without {_of(left_out.exclude, 'member')}"
    if left_out.limit is not None:
        yield f"with at most {left_out.limit} action{'' if left_out.limit == 1 else 's'}"
    if left_out.rules:
        yield f"without {_of(left_out.rules, 'rule')}"


def _of(names: Sequence[str], noun: str) -> str:
    """Few are named, many are counted."""
    if len(names) > _NAMED:
        return f"{len(names)} {noun}s"
    return f"{noun}{'' if len(names) == 1 else 's'} {', '.join(names)}"


def _record(pair: Pair[Any]) -> dict[str, Any]:
    return {"status": pair.status, "flapping": pair.flapping, "old": pair.old, "new": pair.new}


def _sections(
    found: Comparison, *, persistent: bool
) -> list[tuple[str, Sequence[Pair[Action]], Sequence[Pair[Finding]]]]:
    """The lists in their order; what comes and goes stands once, under that title."""

    def those(title: str, test: Callable[[Pair[Any]], bool]) -> tuple[str, list[Pair[Action]], list[Pair[Finding]]]:
        return title, list(filter(test, found.actions)), list(filter(test, found.findings))

    sections = [
        those("Flapping", lambda pair: pair.flapping),
        those("New", lambda pair: pair.status == "new" and not pair.flapping),
        those("Resolved", lambda pair: pair.status == "resolved" and not pair.flapping),
    ]
    if persistent:
        sections.append(those("Persistent", lambda pair: pair.status == "persistent" and not pair.flapping))
    return [*sections]


def _sum(counts: Iterable[Count]) -> str:
    lines = tuple(counts)
    totals = {name: sum(getattr(line, name) for line in lines) for name in _COLUMNS}
    return ", ".join(f"{totals[name]} {name}" for name in ("new", "resolved", "persistent", "flapping"))


def _back(one: CameBack) -> str:
    return f"contact {one.contact}: archived {one.archived_at} by plan {one.archived_by}, live again {one.seen}"


def _said(pair: Pair[Action] | Pair[Finding]) -> str:
    """One line for what it is, the same for both kinds."""
    one = pair.latest
    if isinstance(one, Action):
        rules = ", ".join(facts.rules_of(one))
        said = f"{one.do} {facts.subject(one)}{f' · {rules}' if rules else ''}"
    else:
        said = f"{one.rule}: {facts.subject_of(one)}{f': {one.says}' if one.says else ''}"
    return f"{said} · {pair.status}" if pair.flapping else said


def _changes(pair: Pair[Action] | Pair[Finding]) -> list[tuple[str, str | None, str]]:
    one = pair.latest
    if isinstance(one, Action):
        return [(change.field, change.before, change.after) for change in facts.changes(one)]
    return []


# Text


def _counts(page: Page, title: str, counts: Sequence[Count]) -> None:
    page.line()
    if not counts:
        page.line(f"{title}: none in either plan")
        return
    first = max(len(title), *(len(line.name) for line in counts))
    page.line(f"{title:<{first}}" + "".join(f"  {name:>{max(len(name), 6)}}" for name in _COLUMNS), style="bold")
    for line in counts:
        numbers = "".join(f"  {getattr(line, name):>{max(len(name), 6)}}" for name in _COLUMNS)
        page.line(f"{line.name:<{first}}{numbers}")


def _listed(page: Page, shown: Sequence[Any], total: int, show: Callable[[Any], None]) -> None:
    for one in shown:
        show(one)
    if total > len(shown):
        page.prose(f"… and {total - len(shown)} more; see all of them with --all or --json", lead="  ")


def _pair(page: Page, pair: Pair[Any]) -> None:
    page.prose(_said(pair), lead="  ", hang=6)
    for field, before, after in _changes(pair):
        page.line(f"      {field}: {after if before is None else f'{before} → {after}'}")


# Markdown


def _count_table(title: str, counts: Sequence[Count]) -> str:
    shown, rest = counts[:_ROWS], counts[_ROWS:]
    rows: list[tuple[str, ...]] = [(code(line.name), *_numbers([line])) for line in shown]
    if rest:
        rows.append((f"{len(rest)} others", *_numbers(rest)))
    return table(title, ("Class", *map(str.capitalize, _COLUMNS)), rows)


def _numbers(counts: Iterable[Count]) -> tuple[str, ...]:
    lines = tuple(counts)
    return tuple(str(sum(getattr(line, name) for line in lines)) for name in _COLUMNS)


def _entry(pair: Pair[Any]) -> str:
    changes = "".join(
        f"  - {code(field)}: {'' if before is None else f'{value(before)} → '}{value(after)}\n"
        for field, before, after in _changes(pair)
    )
    return f"- {prose(_said(pair))}\n{changes}"
