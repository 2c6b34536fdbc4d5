"""`reconcile approve`."""

from __future__ import annotations

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.core import approval as approval_file
from reconciler.core.actions import KINDS, Do
from reconciler.runs import approvals
from reconciler.settings import settings_here

MOST_CHARACTERS = 500


@click.command("approve")
@click.argument("plan")
@click.option("--by", required=True, metavar="NAME", help="Who approves it; recorded.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    required=True,
    metavar="CLASS=N",
    help="What is approved: all actions of a class, and how many that are. May be given again.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; recorded.")
@click.option("--json", "as_json", is_flag=True, help="The approval as JSON.")
def command(*, plan: str, by: str, classes: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Approve classes of actions of PLAN that limits.yaml wants a person's consent for (`approval`).

    N is the number that the plan has: read it first. The approval is for this very plan, and expires with it. A class
    that is over its limit is not released by it: that is what `reconcile plan --accept` is for.
    """
    settings = settings_here()
    store = from_settings.open_store(settings)
    given = approvals.approve(
        store.get_plan(plan),
        store=store,
        by=_text("--by", by),
        classes=_classes(classes),
        reason=_text("--reason", reason),
        now=terminal.now,
    )
    if as_json:
        click.echo(approval_file.encode(given).decode(), nl=False)
        return
    what = ", ".join(f"{count} to {do}" for do, count in given.classes.items())
    click.echo(f"Approved until {given.expires_at}: {what}, of plan {given.plan}.")
    click.echo(f"Carry it out with `reconcile apply {given.plan}`.")


def _classes(pairs: tuple[str, ...]) -> dict[Do, int]:
    numbers: dict[Do, int] = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        do = next((kind for kind in KINDS if kind == name), None)
        if do is None or not number.isascii() or not number.isdigit():
            raise click.UsageError(f"--class {pair}: wanted is CLASS=N, where CLASS is one of {', '.join(KINDS)}.")
        numbers[do] = int(number)
    return numbers


def _text(option: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > MOST_CHARACTERS or not text.isprintable():
        raise click.UsageError(f"{option}: wanted is one line of text of at most {MOST_CHARACTERS} characters.")
    return text
