"""`reconcile diff`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.cli.reading import warn_of
from reconciler.cli.show import LINES_SHOWN, without_personal_data
from reconciler.core.compare import Comparison, compare
from reconciler.core.history import REMEMBERED
from reconciler.core.plan import Plan
from reconciler.errors import PlanUnreadable
from reconciler.report.comparison import comparison_json, comparison_markdown, comparison_text
from reconciler.runs.reading import Reading
from reconciler.settings import settings_here

FORMATS = ("text", "markdown", "json")


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How it is shown.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--all", "everything", is_flag=True, help="Every line, and what persists too (text and markdown).")
@click.option("--redact", is_flag=True, help="Tokens in place of personal data (RECONCILER_REDACT_KEY).")
def command(*, old: str, new: str, form: str, as_json: bool, everything: bool, redact: bool) -> int:
    """Compare two plans: what is new, resolved and persistent, what comes and goes, and what came back.

    OLD and NEW are ids of stored plans, beginnings of them, or files. What comes and goes is looked for in the stored
    plans between the two, and in those of the week before.
    """
    settings = settings_here()
    store = from_settings.open_store(settings)
    reading = Reading(store)

    def shown(plan: Plan) -> Plan:
        return without_personal_data(plan, settings, to_a_file=False) if redact else plan

    found = _compared(store.get_plan(old), store.get_plan(new), reading, shown)
    click.echo(_rendered(found, "json" if as_json else form, everything=everything), nl=False)
    return warn_of(reading)


def _compared(old: Plan, new: Plan, reading: Reading, shown: Callable[[Plan], Plan]) -> Comparison:
    earlier, later = sorted((old, new), key=lambda plan: plan.created_at)
    week_before = f"{_moment(earlier) - REMEMBERED:%Y-%m-%dT%H:%M:%SZ}"
    return compare(
        shown(old),
        shown(new),
        others=map(shown, reading.plans(since=week_before, until=later.created_at)),
        runs=reading.outcomes(since=old.created_at),
    )


def _moment(plan: Plan) -> datetime:
    try:
        return datetime.fromisoformat(plan.created_at).astimezone(UTC)
    except ValueError as error:
        raise PlanUnreadable(
            f"plan {plan.id} was made at {plan.created_at!r}, which is no time",
            next_step="Make a new plan with `reconcile plan`.",
        ) from error


def _rendered(found: Comparison, form: str, *, everything: bool) -> str:
    if form == "json":
        return comparison_json(found).decode()
    if form == "markdown":
        return comparison_markdown(found, persistent=everything)
    return comparison_text(
        found,
        width=terminal.width(),
        colour=terminal.in_colour(),
        limit_lines=None if everything else LINES_SHOWN,
        persistent=everything,
    )
