"""`reconcile explain`."""

from __future__ import annotations

import click
import msgspec

from reconciler import controller, from_settings
from reconciler.cli import terminal
from reconciler.cli.deciding import decided
from reconciler.cli.reading import warn_of
from reconciler.core import plan as plan_file
from reconciler.core.compare import left_out_of
from reconciler.core.explain import explain
from reconciler.core.explain.explanation import Explanation
from reconciler.core.explain.from_plan import Subject, subject_of
from reconciler.core.plan import Plan
from reconciler.errors import ExitCode, PlanError
from reconciler.runs.reading import Reading
from reconciler.runs.recall import recall
from reconciler.runs.store import PlanStore
from reconciler.settings import Settings, settings_here

FEW = 10
"""So many members named by --only are shown end to end below a plan; `reconcile explain` shows each of the others."""


@click.command("explain")
@click.argument("subject", metavar="MEMBER|CONTACT")
@click.option("--plan", "ref", metavar="PLAN", help="The plan to explain: its id, the beginning of it, or a file.")
@click.option("--live", is_flag=True, help="Read both sides now and decide, instead of looking into a stored plan.")
@click.option("--json", "as_json", is_flag=True, help="The explanation as data.")
def command(subject: str, ref: str | None, live: bool, as_json: bool) -> int:
    """Show why a plan does with one member or contact what it does, and what would flip it.

    The newest stored plan that looked at them is explained unless --plan names another; nothing is read but stored
    plans and the outcome. A plan holds those whom it is about. Whoever is in order is in none: for them, --live reads
    both sides as they are now (nothing is stored or written).
    """
    if live and ref is not None:
        raise click.UsageError("--live decides anew; it takes no --plan.")
    settings = settings_here()
    if live:
        click.echo(_shown(_live(settings, subject), as_json=as_json), nl=False)
        return ExitCode.DONE
    store = from_settings.open_store(settings)
    reading = Reading(store)
    try:
        told = _stored(store, reading, subject, ref)
    finally:
        code = warn_of(reading)  # also where nothing was found: what was left out may be why
    click.echo(_shown(told, as_json=as_json), nl=False)
    return code


def _shown(told: Explanation, *, as_json: bool) -> str:
    return as_data(told) if as_json else as_text(told)


def as_data(told: Explanation) -> str:
    """The explanation as JSON that people can read, ending in a new line."""
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"


def as_text(told: Explanation) -> str:
    """The explanation as text, ending in a new line."""
    from reconciler.report.explain import explanation_text  # noqa: PLC0415 - only who asks for it pays for it

    return explanation_text(told, width=terminal.width(), colour=terminal.in_colour())


def end_to_end(made: Plan) -> str:
    """Each member that --only names, from row to action, or that there is nothing to change; empty without --only."""
    told = made.basis is not None and made.applyable and made.target == "contacts"
    only = made.basis.only if made.basis is not None and told else ()
    shown = [as_text(explain(made, subject_of(made, number) or Subject(number))) for number in only[:FEW]]
    if len(only) > FEW:
        shown.append(f"… and {len(only) - FEW} more members: reconcile explain MEMBER --plan {made.id}\n")
    return "".join(f"{text}\n" for text in shown)


def _stored(store: PlanStore, reading: Reading, ref: str, plan_ref: str | None) -> Explanation:
    made = store.get_plan(plan_ref) if plan_ref is not None else _newest(store, reading, ref)
    if made.target != "contacts":
        raise PlanError(
            f"plan {made.id} is for {made.target}, and only plans for contacts are explained",
            next_step=f"Read it with `reconcile show {made.id}`: each of its actions names the row that it was "
            "decided on.",
        )
    found = subject_of(made, ref)
    if found is None:
        raise PlanError(
            f"plan {made.id} says nothing about {ref}: it was in order then, out of the plan's scope, or not there",
            next_step=f"See it as it is now with `reconcile explain {ref} --live`, or name another plan with --plan.",
        )
    run = store.get_outcome(made.id) if store.has_outcome(made.id) else None
    return explain(made, found, run=run)


def _newest(store: PlanStore, reading: Reading, ref: str) -> Plan:
    """The newest plan that decided about contacts, this one or member among them.

    One that takes back another decides nothing. Of those for some members alone, as for each event, one that says
    nothing of the subject was not about it; where there are no others, it is the newest of them.
    """
    runs = reading.raw_runs(reversed(store.list_ids()))
    found = (reading.decoded(f"{plan_id}.json", data, plan_file.decode) for plan_id, data, _ in runs)
    plans = (plan for plan in found if plan is not None)
    deciding = (plan for plan in plans if plan.target == "contacts" and plan.basis is not None)
    made = next(deciding, None)
    if made is not None and left_out_of(made).only and subject_of(made, ref) is None:
        whole = (plan for plan in deciding if not left_out_of(plan).only or subject_of(plan, ref) is not None)
        made = next(whole, made)
    if made is None:
        raise PlanError(
            f"no plan for contacts is stored in {store.location}",
            next_step="Make one with `reconcile plan`, or explain what is there now with --live.",
        )
    return made


def _live(settings: Settings, ref: str) -> Explanation:
    terminal.set_up_logging()
    settings.require("source", "intercom")
    rules = from_settings.read_rules(settings.rules)
    source = from_settings.open_source(settings, rules)
    made = decided(
        lambda: from_settings.open_target(settings, rules),
        lambda reader, progress: controller.look(
            ref,
            source=source,
            reader=reader,
            rules=rules,
            history=recall(from_settings.open_store(settings), at=terminal.now()),
            now=terminal.now,
            progress=progress,
        ),
    )
    return msgspec.structs.replace(explain(made, subject_of(made, ref) or Subject(ref)), plan=None)
