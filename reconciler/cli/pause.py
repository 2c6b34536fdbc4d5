"""`reconcile pause` and `reconcile resume`: the emergency stop."""

from __future__ import annotations

import click

from reconciler import from_settings
from reconciler.runs.pause import PauseSwitch
from reconciler.settings import settings_here


@click.command("pause")
@click.option("--reason", default="", metavar="TEXT", help="Why; shown to whoever runs into it.")
def pause(reason: str) -> None:
    """Stop all writing, at once: every run asks before each write. Reading and planning go on."""
    switch = PauseSwitch(from_settings.open_state(settings_here()))
    if switch.pause(reason.strip()):
        click.echo("Paused. Nothing is written to Intercom until `reconcile resume`.")
    else:
        click.echo(f"Was {switch.reason()}.")


@click.command("resume")
def resume() -> None:
    """Allow writing again."""
    switch = PauseSwitch(from_settings.open_state(settings_here()))
    click.echo("Resumed." if switch.resume() else "Nothing was paused.")
