"""`reconcile timeline`."""

from __future__ import annotations

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.cli.reading import warn_of
from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.timeline import Timeline
from reconciler.report.timeline import timeline_json, timeline_text
from reconciler.runs.reading import Reading
from reconciler.settings import settings_here


@click.command("timeline")
@click.argument("subject", metavar="MEMBER|CONTACT")
@click.option("--json", "as_json", is_flag=True, help="The events as JSON.")
def command(*, subject: str, as_json: bool) -> int:
    """All that ever happened to a member, by number, or to a contact, by its id in Intercom.

    Found, planned, done, archived, came back, undone, stale, held, failed: with dates, plans, rules and values.
    """
    if not subject.strip():
        raise click.UsageError("MEMBER|CONTACT is blank: name a member number, or the id of a contact.")
    reading = Reading(from_settings.open_store(settings_here()))
    timeline = Timeline(subject.strip())
    for plan_id, plan, outcome in reading.raw_runs(reading.run_ids()):
        if any(record is not None and timeline.may_mention(record) for record in (plan, outcome)):
            timeline.see(
                reading.decoded(f"{plan_id}.json", plan, plan_file.decode),
                reading.decoded(f"{plan_id}.outcome.json", outcome, outcome_file.decode),
            )
    events = timeline.events()
    if as_json:
        click.echo(timeline_json(timeline.subject, events).decode(), nl=False)
    else:
        shown = timeline_text(timeline.subject, events, width=terminal.width(), colour=terminal.in_colour())
        click.echo(shown, nl=False)
    return warn_of(reading)
