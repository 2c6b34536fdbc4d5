"""The page of a plan that a person is to read, stored beside it once the plan itself is safe."""

from __future__ import annotations

import click

from reconciler.core.plan import Plan
from reconciler.errors import ReconcilerError
from reconciler.runs.store import PlanStore


def put_page(made: Plan, store: PlanStore) -> None:
    """Store the page of a plan that is stored. What prevents it is said in one line on stderr, and changes nothing."""
    try:
        from reconciler.report.html import plan_html  # noqa: PLC0415 - jinja2 is slow to import: after the plan is safe

        store.put_page(made.id, plan_html(made).encode())
    except Exception as error:  # noqa: BLE001 - whatever it is: the plan is stored, and must be shown and applied
        why = error.what if isinstance(error, ReconcilerError) else type(error).__name__
        click.echo(f"The plan is stored, but not its page {made.id}.html: {why}", err=True)
