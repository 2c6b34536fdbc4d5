"""Runs over time, as a table for people and as JSON for scripts: one line a run, then where the numbers go."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reconciler.core.trends import Run, Trend, trends
from reconciler.report.page import Page

_UNKNOWN = "-"
_NUMBERS = ("planned", "done", "failed", "stale", "held", "duplicates", "drift")
_TREND = ("first", "last", "change", "lowest", "highest", "runs")
_SAYS = (
    "failed: failed, or unknown; duplicates: contacts beyond the one to keep; "
    "drift: contacts whose own fields differ from their member (to update or promote)."
)


def runs_text(runs: Sequence[Run], *, width: int = 100, colour: bool = False, of: int | None = None) -> str:
    """The runs, oldest first, and the trends over them. A line of the table is never cut.

    of: how many runs there are in all, where these are not all.
    """
    page = Page(width=width, colour=colour)
    if not runs:
        page.line("No runs.")
        return page.text()
    first = max(len("Run"), *(len(run.plan) for run in runs))
    heads = "".join(f"  {name.capitalize():>{_wide(name)}}" for name in _NUMBERS)
    page.whole(f"{'Run':<{first}}  {'When':<16}{heads}", style="bold")
    for run in runs:
        numbers = "".join(f"  {_shown(getattr(run, name)):>{_wide(name)}}" for name in _NUMBERS)
        page.whole(f"{run.plan:<{first}}  {_when(run):<16}{numbers}{_note(run)}", style=_style(run))
    if of is not None and of > len(runs):
        page.prose(f"{len(runs)} of {of} runs", style="dim")
    _trends(page, trends(runs))
    page.line()
    page.prose(_SAYS, style="dim")
    return page.text()


def runs_json(runs: Sequence[Run]) -> bytes:
    """The same for scripts; what is not known is null."""
    found = [msgspec.structs.asdict(one) | {"change": one.change} for one in trends(runs)]
    return msgspec.json.format(msgspec.json.encode({"runs": runs, "trends": found}), indent=2) + b"\n"


def _trends(page: Page, found: Sequence[Trend]) -> None:
    if not found:
        return
    page.line()
    page.line(f"{'Trend':<12}" + "".join(f"{name.capitalize():>9}" for name in _TREND), style="bold")
    for one in found:
        numbers = (f"{one.change:+d}" if name == "change" else str(getattr(one, name)) for name in _TREND)
        page.line(f"{one.of.capitalize():<12}" + "".join(f"{number:>9}" for number in numbers))


def _when(run: Run) -> str:
    return run.at[:16].replace("T", " ")


def _wide(name: str) -> int:
    return max(len(name), 6)


def _shown(number: int | None) -> str:
    return _UNKNOWN if number is None else str(number)


def _note(run: Run) -> str:
    notes = [*(["takes back"] if run.takes_back else []), *([run.state] if run.state != "applied" else [])]
    return f"  {', '.join(notes)}" if notes else ""


def _style(run: Run) -> str | None:
    if run.failed or run.state == "refused":
        return "loud"
    return "care" if run.held or run.stale else None
