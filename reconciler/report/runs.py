"""Runs over time, as a table for people and as JSON for scripts: one line a run, then where the numbers go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from reconciler.core.trends import Run, Trend, trends
from reconciler.report.page import Page

_UNKNOWN = "-"
_BETWEEN = "  "
_NUMBERS = ("planned", "done", "failed", "stale", "held", "duplicates", "drift")
_TREND = ("first", "last", "change", "lowest", "highest", "runs")
_SAYS = (
    "failed: failed, or unknown; duplicates: contacts beyond the one to keep; "
    "drift: contacts whose own fields differ from their member (to update or promote). "
    "Narrowed plans, of a part of the union or of the rules, tell neither."
)


def runs_text(runs: Sequence[Run], *, width: int = 100, colour: bool = False, of: int | None = None) -> str:
    """The runs, oldest first, and the trends over them. A line of the table is never cut.

    What each is for stands in it where that is not the same for all; when it was made, where there is room: its id
    begins with that. of: how many runs there are in all, where these are not all.
    """
    page = Page(width=width, colour=colour)
    if not runs:
        page.line("No runs.")
        return page.text()
    lines = _table(runs, width=page.width)
    page.whole(next(lines), style="bold")
    for run, line in zip(runs, lines, strict=True):
        page.whole(f"{line}{_note(run)}", style=_style(run))
    if of is not None and of > len(runs):
        page.prose(f"{len(runs)} of {of} runs", style="dim")
    _trends(page, trends(runs))
    page.line()
    page.prose(_SAYS, style="dim")
    return page.text()


def _table(runs: Sequence[Run], *, width: int) -> Iterator[str]:
    """The heading, then a line for each run."""
    texts = [("Run", [run.plan for run in runs]), ("When", [_when(run) for run in runs])]
    if len({run.target for run in runs if run.target is not None}) > 1:
        texts.append(("Target", [run.target or _UNKNOWN for run in runs]))
    numbers = [(name.capitalize(), [_shown(getattr(run, name)) for run in runs]) for name in _NUMBERS]
    columns = [_column(*column, to="<") for column in texts] + [_column(*column, to=">") for column in numbers]
    if sum(len(column[0]) + len(_BETWEEN) for column in columns) - len(_BETWEEN) > width:
        del columns[1]
    yield from map(_BETWEEN.join, zip(*columns, strict=True))


def _column(head: str, cells: Sequence[str], *, to: str) -> list[str]:
    """A head and what is below it, all as wide as the widest."""
    wide = max(map(len, (head, *cells)))
    return [f"{cell:{to}{wide}}" for cell in (head, *cells)]


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


def _shown(number: int | None) -> str:
    return _UNKNOWN if number is None else str(number)


def _note(run: Run) -> str:
    told = {"takes back": run.takes_back, "narrowed": run.narrowed}
    notes = [*(word for word, is_so in told.items() if is_so), *([run.state] if run.state != "applied" else [])]
    return f"  {', '.join(notes)}" if notes else ""


def _style(run: Run) -> str | None:
    if run.failed or run.state == "refused":
        return "loud"
    return "care" if run.held or run.stale else None
