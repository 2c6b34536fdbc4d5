"""`reconcile undo`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler import controller, from_settings
from reconciler.cli import pages, terminal
from reconciler.cli.options import FORMATS, accepted_options
from reconciler.cli.plan import exit_code, write
from reconciler.cli.show import render
from reconciler.core.guards import Accepted
from reconciler.core.plan import encode
from reconciler.settings import settings_here


@click.command("undo")
@click.argument("outcome")
@accepted_options
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the plan here, too."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How it is shown.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(*, outcome: str, accepted: Accepted, out: Path | None, form: str, as_json: bool) -> int:
    """Make a plan that takes back what was applied, as far as it can be. OUTCOME is the id of the applied plan.

    Nothing is written to Intercom: read the plan, then apply it like any other.
    """
    settings = settings_here()
    store = from_settings.open_store(settings)
    run = store.get_outcome(outcome)
    made = controller.undo(
        store.get_plan(run.plan),
        run,
        rules=from_settings.read_rules(settings.rules),
        store=store,
        accepted=accepted,
        now=terminal.now,
    )
    pages.put_page(made, store)
    if out is not None:
        write(out, encode(made))
    click.echo(render(made, "json" if as_json else form), nl=False)
    return exit_code(made, detailed=False)
