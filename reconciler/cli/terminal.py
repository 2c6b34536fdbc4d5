"""What a terminal shows while something runs: a bar on a terminal, one log line a stage elsewhere; both on stderr."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from reconciler.core.model import Progress

_FROM_THE_SOURCE = frozenset({"members", "emails", "positions"})

WIDTH_OFF_TERMINAL = 100
"""Columns of text that goes into a pipe or file."""


def set_up_logging() -> None:
    """JSON lines on stderr. Texts of HTTP and database libraries, which may hold personal data, stay out."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def width() -> int:
    """Columns of stdout."""
    if not sys.stdout.isatty():
        return WIDTH_OFF_TERMINAL
    return max(60, Console(file=sys.stdout).width)


def in_colour(stream: TextIO | None = None) -> bool:
    """Whether stdout (or another stream) shows colours: a terminal that can, and NO_COLOR not set
    (https://no-color.org), says rich.
    """
    console = Console(file=sys.stdout if stream is None else stream)
    return console.color_system is not None and not console.no_color


@contextmanager
def showing_progress() -> Iterator[Progress]:
    """A Progress that draws bars on a terminal, and logs the end of each stage elsewhere."""
    if sys.stderr.isatty():
        with _bars() as bars:
            yield _draw(bars)
    else:
        yield _log_ends()


def _bars() -> Bars:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Bars(*columns, console=console, transient=True)


def _draw(bars: Bars) -> Progress:
    tasks: dict[str, TaskID] = {}
    pages: Counter[str] = Counter()

    def progress(stage: str, done: int, total: int | None) -> None:
        pages[stage] += 1
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        line = _page_line(stage, pages[stage], done, total)
        bars.update(tasks[stage], completed=done, total=total, description=stage if line is None else line)

    return progress


def _log_ends() -> Progress:
    """The end of each stage; of what comes from the source, every page before it, too."""
    ended: dict[str, int] = {}
    pages: Counter[str] = Counter()

    def progress(stage: str, done: int, total: int | None) -> None:
        pages[stage] += 1
        line = _page_line(stage, pages[stage], done, total)
        if line is not None:
            structlog.get_logger().info(line)
        if total is not None and done >= total and ended.get(stage) != total:
            ended[stage] = total
            structlog.get_logger().info(stage, count=total)

    return progress


def _page_line(stage: str, page: int, done: int, total: int | None) -> str | None:
    """What is said of a page of the source that is not known to be the only or the last one."""
    if stage not in _FROM_THE_SOURCE or done == total or (total is None and page == 1):
        return None
    return f"Fetched page {page} ({done:,} {stage} so far…)"


def now() -> datetime:
    """The time, in UTC: the one clock of the command line."""
    return datetime.now(UTC)


def confirm(question: str) -> bool:
    """Ask on stderr; only `yes` is yes."""
    answer: str = click.prompt(question, default="", show_default=False, err=True)
    return answer.strip().lower() == "yes"


def at_a_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
