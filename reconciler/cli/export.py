"""`reconcile export`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler import from_settings
from reconciler.cli.plan import write
from reconciler.cli.show import without_personal_data
from reconciler.core.plan import encode
from reconciler.report.sheet import plan_csv
from reconciler.settings import settings_here


@click.command("export")
@click.argument("plan")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", help="How it is written.")
@click.option("--redact", is_flag=True, help="Tokens in place of personal data (RECONCILER_REDACT_KEY).")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it here, not to stdout."
)
def command(*, plan: str, form: str, redact: bool, out: Path | None) -> None:
    """Write a stored plan as CSV, a row for each field that changes, or as the JSON of a plan file.

    In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe: '+17654657031. What was
    redacted can be shown and compared like any plan, and not applied.
    """
    settings = settings_here()
    made = from_settings.open_store(settings).get_plan(plan)
    if redact:
        made = without_personal_data(made, settings, to_a_file=True)
    data = plan_csv(made).encode() if form == "csv" else encode(made)
    if out is None:
        click.echo(data, nl=False)
    else:
        write(out, data, otherwise="Name another file with --out.")
