"""CPU per action of a durable run, with its claims, beyond a plain one; the writer does nothing.

Run from the repository's root: `python -m benchmarks.durable_cost`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import Workspace, silent
from reconciler.core.plan import Digest, Inputs, Plan, Summary
from reconciler.core.planner import timestamp
from reconciler.runs import durable
from reconciler.runs.apply import apply_plan
from reconciler.runs.claims import NIGHT, Claims
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore

ACTIONS = 5_000
ROUNDS = 5
PARALLEL = 100


class Nothing:
    """A writer whose every action is done at once."""

    async def workspace(self) -> Workspace:
        """The plan's."""
        return Workspace(id="bench", name="bench", timezone="UTC", admin_id="1")

    async def prepare(self, actions: Sequence[Action]) -> None:
        """Nothing keeps any of them from being written."""

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """Done."""
        del reread
        return Outcome(action.id, action.do, "done", contact=action.contact, member=action.member, sent=action.set)

    async def look(self, action: Action) -> Outcome:
        """Never asked."""
        raise AssertionError(action.id)


def a_plan(number: int, *, count: int = ACTIONS, workspace: str = "bench") -> Plan:
    """So many plain updates."""
    now = datetime.now(UTC) + timedelta(seconds=number)
    nothing = Digest(sha256="0" * 64)
    actions = tuple(
        Action(id=f"u-{place}", do="update", contact=f"c{place}", member=str(place), set={"name": "Ann Lee"})
        for place in range(count)
    )
    return Plan(
        id=f"{now:%Y%m%dT%H%M%SZ}-{number:08x}",
        tool="bench",
        target="contacts",
        workspace=workspace,
        intercom_version="2.16",
        created_at=timestamp(now),
        expires_at=timestamp(now + timedelta(days=1)),
        applyable=True,
        refused_because=(),
        inputs=Inputs(nothing, nothing, nothing, nothing),
        summary=Summary(0, count, 0, 0, 0, 0, 0, 0),
        limits=(),
        actions=actions,
        findings=(),
    )


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def _writer() -> AsyncIterator[Nothing]:
    yield Nothing()


async def plain(plan: Plan, store: PlanStore) -> float:
    """CPU seconds of a run in one piece, its outcome stored."""
    began = time.process_time()
    outcomes = await apply_plan(plan, Nothing(), now=_now, max_parallel=PARALLEL, progress=silent, stop=lambda: None)
    store.put_plan(plan)
    store.put_outcome(plan, outcomes, started_at=_now(), finished_at=_now())
    return time.process_time() - began


async def durably(plan: Plan) -> float:
    """CPU seconds of a durable run, its outcome stored."""
    began = time.process_time()
    await durable.apply_durably(plan)
    return time.process_time() - began


def main() -> None:
    """Measure in turns, and print."""
    with TemporaryDirectory(prefix="reconciler-bench-") as folder:
        store = PlanStore(str(Path(folder, "plans")))
        database = StateDatabase(f"sqlite:///{Path(folder, 'state.sqlite')}")
        job = durable.Job(
            claims=Claims(database, holder=NIGHT),
            open_writer=_writer,
            store=store,
            now=_now,
            progress=silent,
            stop=lambda: None,
            max_parallel=PARALLEL,
            process="bench",
        )
        plains, durables = [], []
        with durable.engine(database, job):
            for number in range(ROUNDS):
                plains.append(asyncio.run(plain(a_plan(2 * number), store)))
                durables.append(asyncio.run(durably(a_plan(2 * number + 1))))
    extra = 1000 * (median(durables) - median(plains)) / ACTIONS
    print(f"\n{ACTIONS:,} actions, SQLite")
    print(f"  a plain run          {1000 * median(plains) / ACTIONS:8.3f} ms CPU an action")
    print(f"  a durable run        {1000 * median(durables) / ACTIONS:8.3f} ms CPU an action")
    print(f"  durability           {extra:8.3f} ms CPU an action (wanted: at most 0.3)")


if __name__ == "__main__":
    main()
