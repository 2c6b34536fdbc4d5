"""`reconcile demo`: an embedded union and a drifted workspace, over real HTTP.

The data stands beside this file: members.csv and positions.csv are the union, contacts.jsonl is what Intercom holds.
"""

from __future__ import annotations

import asyncio
import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec

from reconciler import controller, from_settings
from reconciler.cli import terminal
from reconciler.cli.apply import MAX_PARALLEL
from reconciler.controller import PlanRequest
from reconciler.core.model import silent
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.report.outcome import outcome_text
from reconciler.report.text import plan_text
from reconciler.runs.store import PlanStore
from reconciler.settings import settings_here
from reconciler.simulator import RunningSimulator, Simulator
from reconciler.sources.sql import open_sql
from reconciler.targets.intercom import IntercomTarget

_DATA = files(__package__)


@click.command("demo")
def command() -> int:
    """Plan, apply, plan again: a union in SQLite and a drifted workspace in the stand-in for Intercom."""
    rules = merging_leads(from_settings.read_rules(settings_here().rules))
    with TemporaryDirectory(prefix="reconciler-demo-") as folder:
        union = Path(folder, "union.db")
        write_union(union)
        simulator = Simulator()
        simulator.seed((_DATA / "contacts.jsonl").read_bytes().splitlines())
        with RunningSimulator(simulator) as server:
            _say(f"A union in SQLite, and a workspace that has drifted, at {server.base_url}.")
            _say("Duplicates that are leads are merged here, not archived as rules/findings.yaml has it.")
            left = asyncio.run(_run(rules, union, PlanStore(str(Path(folder, "plans"))), server.base_url))
    if left.actions:
        raise ReconcilerError("the second plan is not empty", next_step="Please report this: it is a bug.")
    return ExitCode.DONE


def merging_leads(rules: Rules) -> Rules:
    """The rules with `archive-duplicates: then: merge-leads`, so that the demo shows every kind of action."""
    duplicates = msgspec.structs.replace(rules.findings.archive_duplicates, then="merge-leads")
    return msgspec.structs.replace(
        rules, findings=msgspec.structs.replace(rules.findings, archive_duplicates=duplicates)
    )


def write_union(path: Path) -> None:
    """The tables members and positions of design §5, in SQLite."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("members", "positions"):
            rows = list(_rows(f"{table}.csv"))
            marks = ", ".join("?" for _ in rows[0])
            connection.execute(f"CREATE TABLE {table} ({', '.join(f'{name} TEXT' for name in rows[0])})")
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows[1:])  # noqa: S608 - our own names


def _rows(name: str) -> Iterator[list[str]]:
    return csv.reader((_DATA / name).read_text("utf-8").splitlines())


async def _run(rules: Rules, union: Path, store: PlanStore, base_url: str) -> Plan:
    """Plan, apply, plan again; returns the second plan."""
    source = open_sql(f"sqlite:///{union}", rules.sources, shape="sql")
    async with IntercomTarget(token="demo", base_url=base_url, owned=from_settings.owned_attributes(rules)) as target:  # noqa: S106 - the stand-in takes any

        async def make() -> Plan:
            return await controller.plan(
                source=source,
                reader=target.reader,
                rules=rules,
                store=store,
                request=PlanRequest(),
                now=terminal.now,
                progress=silent,
            )

        _title("1. reconcile plan")
        made = await make()
        _show(made)
        _title("2. reconcile apply")
        await controller.apply(
            made,
            writer=target,
            store=store,
            now=terminal.now,
            max_parallel=MAX_PARALLEL,
            progress=silent,
            stop=lambda: None,
        )
        run = store.get_outcome(made.id)
        click.echo(outcome_text(run, width=terminal.width(), colour=terminal.in_colour()), nl=False)
        _title("3. reconcile plan, again")
        left = await make()
        _show(left)
        return left


def _show(made: Plan) -> None:
    click.echo(plan_text(made, width=terminal.width(), colour=terminal.in_colour()), nl=False)


def _say(text: str) -> None:
    click.echo(text)


def _title(text: str) -> None:
    click.echo("\n" + click.style(text, bold=True) + "\n" + "=" * len(text))
