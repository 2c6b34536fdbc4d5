"""From a source and a workspace to a plan, through the controller, in one process and without waiting."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from reconciler import controller
from reconciler.controller import PlanRequest
from reconciler.core.guards import Accepted
from reconciler.core.model import Progress, silent
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.from_settings import owned_attributes
from reconciler.runs.store import PlanStore
from reconciler.simulator import Options, Simulator, build_app
from reconciler.sources import Source
from reconciler.targets.intercom import IntercomTarget
from tests.support.builders import default_rules

NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)


def planned(
    source: Source,
    contacts: Iterable[Mapping[str, Any]] = (),
    *,
    rules: Rules | None = None,
    earlier: Plan | None = None,
    accepted: Accepted | None = None,
    progress: Progress = silent,
) -> Plan:
    """The plan for this source and a workspace with these contacts, after an `earlier` one that was good."""
    rules = rules or default_rules()
    simulator = Simulator(Options(limit=1_000_000))
    times = {"created_at": 1_700_000_000, "updated_at": 1_700_000_000}
    simulator.seed(msgspec.json.encode(times | dict(contact)) for contact in contacts)

    async def make(folder: str) -> Plan:
        store = PlanStore(folder)
        if earlier is not None:
            store.put_plan(earlier)
        async with IntercomTarget(
            token="t",
            base_url="http://intercom.test",
            owned=owned_attributes(rules),
            transport=httpx.ASGITransport(app=build_app(simulator)),
        ) as target:
            return await controller.plan(
                source=source,
                reader=target.reader,
                rules=rules,
                store=store,
                request=PlanRequest(accepted=accepted or Accepted()),
                now=lambda: NOW,
                progress=progress,
            )

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(make(folder))
