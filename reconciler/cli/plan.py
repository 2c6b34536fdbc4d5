"""`reconcile plan`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from reconciler import controller, from_settings
from reconciler.cli import pages, terminal
from reconciler.cli.deciding import decided
from reconciler.cli.options import FORMATS, Asked, planning_options
from reconciler.cli.show import render
from reconciler.core.model import Target
from reconciler.core.plan import Plan, encode
from reconciler.core.rules import Rules
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.runs.store import PlanStore
from reconciler.settings import Need, Settings, settings_here

DESIRED: Mapping[Target, Need] = {"contacts": "source", "positions": "positions-source"}
ACTUAL: Mapping[Target, Need] = {"contacts": "intercom", "positions": "supabase"}
"""What each target needs: to be planned both, to be applied where its state lives."""


@click.command("plan")
@planning_options
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the plan here, too."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How it is shown.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--detailed-exitcode", is_flag=True, help="Leave with 2 where there are changes.")
def command(*, asked: Asked, out: Path | None, form: str, as_json: bool, detailed_exitcode: bool) -> int:
    """Compare both sides, store a plan and show it. Nothing is written to Intercom or Supabase.

    Beside the plan, ID.json, stands a page of it to be read in a browser, ID.html.
    """
    made = make(settings_here(), asked)
    if out is not None:
        write(out, encode(made))
    form = "json" if as_json else form
    if form == "text" and asked.request.scope.only:
        from reconciler.cli.explain import end_to_end  # noqa: PLC0415 - only who asks for it pays for it

        click.echo(end_to_end(made), nl=False)  # first, for scripts look for the summary in the last lines
    click.echo(render(made, form), nl=False)
    return exit_code(made, detailed=detailed_exitcode)


def make(settings: Settings, asked: Asked) -> Plan:
    """Gather, decide and store, the page beside the plan; with progress on stderr."""
    terminal.set_up_logging()
    settings.require(DESIRED[asked.target], ACTUAL[asked.target])
    rules = from_settings.read_rules(settings.rules, mappings=asked.mappings)
    store = from_settings.open_store(settings)
    made = (_make_positions if asked.target == "positions" else _make_contacts)(settings, asked, rules, store)
    pages.put_page(made, store)
    return made


def _make_contacts(settings: Settings, asked: Asked, rules: Rules, store: PlanStore) -> Plan:
    source = from_settings.open_source(settings, rules)
    return decided(
        lambda: from_settings.open_target(settings, rules),
        lambda reader, progress: controller.plan(
            source=source,
            reader=reader,
            rules=rules,
            store=store,
            request=asked.request,
            now=terminal.now,
            progress=progress,
        ),
    )


def _make_positions(settings: Settings, asked: Asked, rules: Rules, store: PlanStore) -> Plan:
    source = from_settings.open_positions_source(settings, rules)
    return decided(
        lambda: from_settings.open_positions(settings, rules),
        lambda reader, progress: controller.plan_positions(
            source=source,
            reader=reader,
            rules=rules,
            store=store,
            request=asked.request,
            now=terminal.now,
            progress=progress,
        ),
    )


def exit_code(made: Plan, *, detailed: bool) -> int:
    """3 where something is held or refused, 2 for changes where asked for, else 0."""
    if not made.applyable or made.summary.held:
        return ExitCode.HELD
    return ExitCode.CHANGES if detailed and made.actions else ExitCode.DONE


def write(path: Path, data: bytes, *, otherwise: str = "Name another file with --out; the plan is stored.") -> None:
    """Write a file for the person who asked for it; readable by them alone, since plans hold personal data."""
    try:
        path.touch(mode=0o600)
        if path.is_file():  # not a pipe or a terminal
            path.chmod(0o600)  # it may have been there, for all to read
        path.write_bytes(data)
    except OSError as error:
        raise ReconcilerError(f"{path} cannot be written: {error.strerror}", next_step=otherwise) from error
