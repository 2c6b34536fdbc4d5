"""`reconcile rehearse`: a plan applied to a copy of the workspace, and what is left to do afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator

import click
import httpx
import msgspec

from reconciler import controller, from_settings
from reconciler.cli import terminal
from reconciler.core.model import silent
from reconciler.core.outcome import count
from reconciler.core.plan import Plan
from reconciler.core.planner import Context, Scope, make_plan
from reconciler.core.snapshot import digest, index
from reconciler.core.world import World, build_world
from reconciler.errors import ExitCode, PlanRefused
from reconciler.report.text import plan_text
from reconciler.runs.apply import apply_plan
from reconciler.settings import Settings, settings_here
from reconciler.simulator import Options, Simulator, Workspace, build_app
from reconciler.targets.intercom import IntercomTarget

MAX_PARALLEL = 50
"""Actions under way at a time; the copy is in this very process."""


@click.command("rehearse")
@click.argument("plan")
def command(*, plan: str) -> int:
    """Apply PLAN to a copy of the workspace as it is now, plan again, and show what is left to do.

    Nothing is written to Intercom. Left is what the plan does not do for its members, or what rules that are at odds
    do to each other.
    """
    terminal.set_up_logging()
    settings = settings_here()
    settings.require("source", "intercom")
    made = from_settings.open_store(settings).get_plan(plan)
    if made.target != "contacts":
        raise PlanRefused(
            f"plan {made.id} is for {made.target}, and only plans for contacts are rehearsed",
            next_step=f"Read it with `reconcile show {made.id}`; what it does can be taken back to the very rows.",
        )
    return asyncio.run(_rehearse(settings, made))


async def _rehearse(settings: Settings, made: Plan) -> int:
    rules = from_settings.read_rules(settings.rules)
    source = from_settings.open_source(settings, rules)
    async with from_settings.open_target(settings, rules) as target:
        with terminal.showing_progress() as progress:
            data, contacts = await controller.gather(source, target.reader, progress)
            world = build_world(data, index(contacts), rules)
            world = await controller.ask_about_conversations(world, target.reader, progress)
    if digest(world.snapshot.contacts) != made.inputs.actual.sha256:
        click.echo("The workspace has changed since the plan was made.")
    left, done, total = await _on_a_copy(made, world)
    click.echo(f"Rehearsed plan {made.id} on a copy of {len(contacts)} contacts: {done} of {total} actions done.")
    click.echo("Planned again for the same members:\n")
    click.echo(plan_text(left, width=terminal.width(), colour=terminal.in_colour(), advice=False), nl=False)
    return ExitCode.DONE if done == total and not left.actions else ExitCode.PARTIAL


async def _on_a_copy(made: Plan, world: World) -> tuple[Plan, int, int]:
    """The plan that is left after this one, and how many of its actions were done, of how many."""
    owned = from_settings.owned_attributes(world.rules)
    simulator = Simulator(Options(limit=1_000_000, workspace=Workspace(id=made.workspace)))
    simulator.seed(_seed(world, owned))
    transport = httpx.ASGITransport(app=build_app(simulator))
    async with IntercomTarget(token="rehearsal", base_url="http://127.0.0.1", owned=owned, transport=transport) as copy:  # noqa: S106 - the stand-in takes any
        outcomes = await apply_plan(
            made, copy, now=terminal.now, max_parallel=MAX_PARALLEL, progress=silent, stop=lambda: None
        )
        after = build_world(world.source, index(await copy.reader.snapshot(silent)), world.rules)
        after = await controller.ask_about_conversations(after, copy.reader, silent)
    members = frozenset(action.member for action in made.actions if action.member is not None)
    left = make_plan(
        after,
        Scope(only=members),
        Context(
            now=terminal.now(),
            read_at=terminal.now(),
            tool=controller.TOOL,
            target=made.target,
            workspace=made.workspace,
            intercom_version=made.intercom_version,
        ),
    )
    return left, count(outcomes).done, len(outcomes)


def _seed(world: World, owned: Collection[str]) -> Iterator[bytes]:
    """The workspace as seed lines: what we read of it, and the conversations that stand in the way of an archive."""
    for name in sorted(owned):
        yield msgspec.json.encode({"_attribute": {"name": name, "data_type": "string"}})
    for contact in world.snapshot.contacts:
        line = msgspec.to_builtins(contact) | {"_open_conversations": world.open_conversations.get(contact.id, 0)}
        line["custom_attributes"] = {
            name: value if value is None else str(value) for name, value in contact.custom_attributes.items()
        }
        yield msgspec.json.encode({key: value for key, value in line.items() if value is not None})
