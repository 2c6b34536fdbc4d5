"""`reconcile erase`."""

from __future__ import annotations

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.settings import settings_here


@click.command("erase")
@click.argument("member", required=False)
@click.option("--old", is_flag=True, help="Instead of one member: all plans older than RECONCILER_PLAN_RETENTION.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(*, member: str | None, old: bool, yes: bool) -> None:
    """Take the personal data of MEMBER (a member number) out of all stored plans and outcomes, for good.

    Names, e-mails, phones and all other values go; ids, kinds of actions, rules and times stay, and `reconcile verify`
    still proves them. A plan with something taken out can no longer be applied or undone, and the page beside it is
    removed.
    """
    settings = settings_here()
    if (member is None) != old:
        raise click.UsageError("Name a member, or say --old.")
    if old and settings.plan_retention is None:
        raise click.UsageError("--old needs RECONCILER_PLAN_RETENTION, e.g. 400d.")
    if not yes:
        if not terminal.at_a_terminal():
            raise click.UsageError("Nobody can be asked here. Say --yes.")
        if not terminal.confirm("This cannot be taken back. Erase? Only `yes` is accepted"):
            click.echo("Nothing was erased.", err=True)
            return
    store = from_settings.open_store(settings)
    if member is not None:
        changed = store.erase_member(member)
    else:
        changed = from_settings.erase_old(store, settings, now=terminal.now)
    if not changed:
        click.echo("Nothing was left to erase.")
        return
    click.echo(f"Personal data was taken out of {len(changed)} record{'s' if len(changed) > 1 else ''}.")
