"""`reconcile doctor`."""

from __future__ import annotations

import asyncio

import click
import msgspec

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.core.health import Health
from reconciler.doctor import SECONDS, examine, unreadable
from reconciler.errors import ExitCode, Paused, SettingsError
from reconciler.report.health import health_text
from reconciler.runs.pause import PauseSwitch
from reconciler.settings import Settings, settings_here, settings_to_examine

NARROW = 80
"""Columns of the report where it goes into a pipe: into a ticket, or a log."""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.option("--create-attributes", is_flag=True, help="Create the attributes that Intercom lacks, after asking.")
@click.option("--yes", is_flag=True, help="With --create-attributes: do not ask.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1, max=600.0),
    default=SECONDS,
    show_default=True,
    metavar="N",
    help="How long to wait for answers.",
)
def command(*, as_json: bool, create_attributes: bool, yes: bool, seconds: float) -> int:
    """Look at everything: settings, databases, token, attributes, last nights. Changes nothing by itself.

    Each check is green, amber or red, with the next step. Leaves with 0 where nothing is red.
    """
    terminal.set_up_logging()
    if yes and not create_attributes:
        raise click.UsageError("--yes goes with --create-attributes.")
    if create_attributes:
        _create(settings_here(), yes=yes)
    found = _look(seconds)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        click.echo(health_text(found, width=min(terminal.width(), NARROW), colour=terminal.in_colour()), nl=False)
    return ExitCode.ERROR if found.status == "red" else ExitCode.DONE


def _look(seconds: float) -> Health:
    try:
        settings, malformed = settings_to_examine()
    except SettingsError as error:
        return unreadable(error, now=terminal.now())
    return examine(settings, malformed, now=terminal.now(), seconds=seconds)


def _create(settings: Settings, *, yes: bool) -> None:
    """Create what is missing, where somebody agrees and writing is not paused."""
    owned = from_settings.owned_attributes(from_settings.read_rules(settings.rules))

    async def missing() -> tuple[str, ...]:
        async with from_settings.open_checkup(settings) as checkup:
            return tuple(one.name for one in await checkup.attributes(owned) if one.ailment == "missing")

    async def create() -> tuple[str, ...]:
        async with from_settings.open_checkup(settings) as checkup:
            return await checkup.create_attributes(owned)

    names = asyncio.run(missing())
    if not names:
        click.echo("No attribute is missing.", err=True)
        return
    if not yes and not terminal.at_a_terminal():
        raise click.UsageError("Nobody can be asked here. Say --yes to create what is missing.")
    if not yes and not terminal.confirm(f"Create {', '.join(names)} as text, for ever? Only `yes` is accepted"):
        click.echo("Nothing was created.", err=True)
        return
    _check_not_paused(settings)
    click.echo(f"Created {', '.join(asyncio.run(create()))}.", err=True)


def _check_not_paused(settings: Settings) -> None:
    if settings.paused:
        raise Paused("nothing is written: RECONCILER_PAUSED is set", next_step="Unset it, then run this again.")
    if (reason := PauseSwitch(from_settings.open_state(settings)).reason()) is not None:
        raise Paused(f"nothing is written: {reason}", next_step="Run `reconcile resume`, then this again.")
