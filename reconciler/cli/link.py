"""`reconcile link`."""

from __future__ import annotations

from datetime import timedelta

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.settings import settings_here

LONGEST_HOURS = 24 * 30


@click.command("link")
@click.argument("plan")
@click.option(
    "--hours",
    type=click.IntRange(1, LONGEST_HOURS),
    default=72,
    show_default=True,
    metavar="N",
    help="How long the link opens.",
)
def command(*, plan: str, hours: int) -> None:
    """Print a link that shows PLAN in a browser, to whoever has the link, until it expires.

    `reconcile serve` answers it, at RECONCILER_PUBLIC_URL. A new RECONCILER_API_TOKEN ends all links.
    """
    settings = settings_here()
    settings.require("api", "public-url")
    made = from_settings.open_store(settings).get_plan(plan)
    click.echo(from_settings.link_to(made.id, settings, until=terminal.now() + timedelta(hours=hours)))
