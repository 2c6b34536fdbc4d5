"""`reconcile events`."""

from __future__ import annotations

import click
import msgspec

from reconciler import from_settings
from reconciler.settings import settings_here


@click.command("events")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--retry", multiple=True, metavar="ID", help="Try this parked event again; may be given again.")
def command(*, as_json: bool, retry: tuple[str, ...]) -> None:
    """Show the queue of the web service: how many events wait, and those that were parked after their last try.

    An ID is an event's reference (E-...), as an agent was told it, or the id of Intercom's notification.
    """
    from reconciler.web import parked  # noqa: PLC0415 - DBOS costs 0.5 s, for those who need it

    database = from_settings.open_state(settings_here())
    for asked in retry:
        event = parked.retry(database, asked)
        click.echo(f"{event.reference} is in the queue again.", err=True)
    now = parked.events(database)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(now)).decode())
        return
    click.echo(f"{now.waiting} waiting, {now.running} being handled, {len(now.parked)} parked.")
    for one in now.parked:
        about = [f"contact {one.contact}"] if one.contact else []
        about += [f"conversation {one.conversation}"] if one.conversation else []
        click.echo(f"{one.reference}  {one.parked_at}  {one.topic}  {', '.join(about)}")
        told = "" if one.told else " Nobody was told."
        click.echo(f"    {one.error}{f': {one.says}' if one.says else ''}.{told}")
    if now.parked:
        click.echo(f"Try one again with `reconcile events --retry {now.parked[0].reference}`.", err=True)
