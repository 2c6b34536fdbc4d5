"""What became of a plan, for people; and the block for scripts that grep the logs (design §6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias, assert_never

from reconciler.core.actions import Do, Outcome, Verdict
from reconciler.core.model import Target
from reconciler.core.outcome import RunOutcome
from reconciler.report.facts import plan_command
from reconciler.report.page import Page

_Counter: TypeAlias = Literal["created", "updated", "archived"]

_NOT_DONE: tuple[Verdict, ...] = ("unknown", "failed", "stale", "held")
"""Verdicts that people have to hear of, the gravest first."""


def outcome_text(
    run: RunOutcome,
    *,
    width: int = 80,
    colour: bool = False,
    limit_lines: int | None = None,
    target: Target = "contacts",
) -> str:
    """What became of each action that is not done, the counts, the block for scripts and the next step.

    Lines are no wider than `width` cells, but for the block. With `limit_lines`, each reason names that many actions
    at most and says how many more there are.
    """
    page = Page(width=width, colour=colour)
    page.line(f"Applied plan {run.plan}", style="bold")
    page.prose(f"{run.started_at} to {run.finished_at}", lead="  ")
    for verdict in _NOT_DONE:
        _verdict(page, verdict, [outcome for outcome in run.outcomes if outcome.outcome == verdict], limit_lines)
    page.line()
    page.prose(counts_line(run), style="bold")
    _next_step(page, run, target)
    return f"{page.text()}\n{daily_summary(run.outcomes, target)}"


def counts_line(run: RunOutcome) -> str:
    """One line: how many actions ended which way; verdicts that none ended in are left out, `done` never."""
    counts = [(run.summary.done, "done")]
    counts += [(getattr(run.summary, verdict), verdict) for verdict in _NOT_DONE]
    said = ", ".join(f"{count} {verdict}" for count, verdict in counts if count or verdict == "done")
    return f"Applied: {said}."


_TITLES: Mapping[Target, tuple[str, str]] = {
    "contacts": ("Intercom Daily Sync Summary", "🗄️ Archived"),
    "positions": ("Supabase Positions Sync Summary", "🗑️ Deleted"),
}
"""The block's first line, and its word for what is gone: who greps for contacts must not find positions."""


def daily_summary(outcomes: Iterable[Outcome], target: Target = "contacts") -> str:
    """The five lines that scripts look for.

    Updated counts promoted and unarchived contacts, too; archived also merged ones; failed also what ended unknown.
    """
    title, gone = _TITLES[target]
    counts: dict[_Counter, int] = {"created": 0, "updated": 0, "archived": 0}
    failed = 0
    for outcome in outcomes:
        if outcome.outcome == "done":
            counts[_counter(outcome.do)] += 1
        elif outcome.outcome in {"failed", "unknown"}:
            failed += 1
    return (
        f"{title}\n"
        f"✅ Created: {counts['created']}\n"
        f"🔄 Updated: {counts['updated']}\n"
        f"{gone}: {counts['archived']}\n"
        f"❌ Failed: {failed}\n"
    )


def _counter(do: Do) -> _Counter:
    match do:
        case "create":
            return "created"
        case "update" | "promote" | "unarchive":
            return "updated"
        case "archive" | "merge" | "delete":
            return "archived"
        case _:
            assert_never(do)


def _verdict(page: Page, verdict: Verdict, outcomes: list[Outcome], limit: int | None) -> None:
    """All actions of one verdict, under the reason that they share: a stopped run holds thousands for one reason."""
    if not outcomes:
        return
    page.line()
    page.line(f"{verdict.capitalize()}: {len(outcomes)}", style="care" if verdict in {"stale", "held"} else "loud")
    reasons: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        reasons.setdefault(_reason(outcome), []).append(outcome)
    for reason, group in reasons.items():
        page.prose(f"{reason}:", lead="  ")
        for outcome in group[:limit]:
            page.prose(_ids(outcome), lead="    ", hang=6)
        if limit is not None and len(group) > limit:
            page.prose(f"… and {len(group) - limit} more", lead="    ")


def _reason(outcome: Outcome) -> str:
    code = f" [{outcome.code}]" if outcome.code is not None else ""
    return (outcome.says.rstrip(".:") or "no reason was given") + code


def _ids(outcome: Outcome) -> str:
    named = {
        "member": outcome.member,
        "contact": outcome.contact,
        "row": outcome.row,
        "request": outcome.request_id,
    }
    ids = ", ".join(f"{what} {value}" for what, value in named.items() if value is not None)
    return f"{outcome.do} {outcome.action}{f' ({ids})' if ids else ''}"


def _next_step(page: Page, run: RunOutcome, target: Target) -> None:
    if run.summary.unknown:
        things = "rows" if target == "positions" else "contacts"
        page.prose(f"Look at the {things} named as unknown: they may or may not have been changed.")
    if run.summary.done < len(run.outcomes):
        page.prose(f"A new plan sees what is left to do: {plan_command(target)}")
    elif run.outcomes:
        page.prose(f"A plan that takes back what can be undone: reconcile undo {run.plan}")
