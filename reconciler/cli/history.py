"""`reconcile history`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.cli.plan import write
from reconciler.cli.reading import warn_of
from reconciler.core.trends import Run, in_time, outcome_at_a_glance, plan_at_a_glance, run_of
from reconciler.errors import ReconcilerError
from reconciler.report.runs import runs_json, runs_text
from reconciler.runs.reading import Reading
from reconciler.settings import settings_here

DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")


@click.command("history")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the newest N runs.")
@click.option(
    "--since", type=click.DateTime(DATES), metavar="DATE", help="Only runs planned then or later: 2026-03-01, in UTC."
)
@click.option("--json", "as_json", is_flag=True, help="Runs and trends as JSON.")
@click.option(
    "--chart",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw duplicates, failures and drift into this SVG file, too.",
)
def command(*, last: int | None, since: datetime | None, as_json: bool, chart: Path | None) -> int:
    """One line a run, oldest first: planned, done, failed, stale, held, duplicates and drift; then their trends."""
    reading = Reading(from_settings.open_store(settings_here()))
    every = reading.run_ids()
    wanted = [one for one in every if since is None or one >= f"{since.replace(tzinfo=UTC):%Y%m%dT%H%M%SZ}"]
    runs = in_time(_runs(reading, wanted if last is None else wanted[-last:]))
    if chart is not None:
        write(chart, _drawn(runs), otherwise="Name another file with --chart.")
    if as_json:
        click.echo(runs_json(runs).decode(), nl=False)
    else:
        shown = runs_text(runs, width=terminal.width(), colour=terminal.in_colour(), of=len(every))
        click.echo(shown, nl=False)
    return warn_of(reading)


def _runs(reading: Reading, ids: Sequence[str]) -> list[Run]:
    found = []
    for plan_id, plan, outcome in reading.raw_runs(ids):
        run = run_of(
            reading.decoded(f"{plan_id}.json", plan, plan_at_a_glance),
            reading.decoded(f"{plan_id}.outcome.json", outcome, outcome_at_a_glance),
            applied=reading.was_applied(plan_id),
        )
        if run is not None:
            found.append(run)
    return found


def _drawn(runs: Sequence[Run]) -> bytes:
    try:
        from reconciler.report.chart import runs_svg  # noqa: PLC0415 - matplotlib is an extra, and slow to import
    except ModuleNotFoundError as error:
        raise ReconcilerError(
            f"a chart needs matplotlib: {error.name} is not installed",
            next_step="Install it with `pip install 'reconciler[charts]'`, or leave --chart out.",
        ) from error
    return runs_svg(runs)
