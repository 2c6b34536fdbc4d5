"""A run that dies at a chosen boundary, as often as wanted, and is taken up by a process that knows nothing of it.

A boundary is a moment before or after the effect of one call to Intercom, or before one checkpoint. What kills there is
no `Exception`: no code of ours, nor of the engine, may catch it and tidy up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import event
from sqlalchemy.engine import Engine

from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.runs import durable
from reconciler.runs.caution import NO_CAUTION, Caution
from reconciler.runs.claims import NIGHT, Claims
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.simulator import Call, Options, Simulator, build_app
from reconciler.targets.intercom import IntercomTarget
from tests.report.plans import make_plan
from tests.targets.support import START, TOKEN
from tests.targets.test_faults_campaign import ACTIONS, OWNED, WORLD

CHECKPOINT = "operation_outputs"
"""The engine's table of checkpoints."""

SECONDS = 30.0
"""Longer than this no session may take."""


class Died(BaseException):
    """The process is gone."""


@dataclass
class Death:
    """Counts boundaries and kills at one of them."""

    at: int | None
    """Number of the boundary, from 1; None: never."""
    passed: int = 0
    died: threading.Event = field(default_factory=threading.Event)

    def boundary(self) -> None:
        """One more boundary. Once dead, every further one kills too: the dead do nothing more."""
        self.passed += 1
        if self.died.is_set() or self.passed == self.at:
            self.died.set()
            raise Died


@dataclass
class Scene:
    """A workspace, a plan, and a place for state and plans that outlives the processes."""

    simulator: Simulator
    plan: Plan
    state_url: str
    plans: Path
    sessions: int = 0
    caution: Caution = NO_CAUTION

    def outcome(self) -> RunOutcome:
        """What is stored at the end."""
        return PlanStore(str(self.plans)).get_outcome(self.plan.id)


def new_scene(folder: Path, state_url: str, *, latency: tuple[float, float] = (0.0, 0.0)) -> Scene:
    """Every kind of action, and nothing done yet. latency: seconds of each call, and the most that chance adds."""
    simulator = Simulator(
        Options(token=TOKEN, latency=latency),
        clock=time.time,
        reset_error=httpx.ReadError,
        timeout_error=httpx.ReadTimeout,
    )
    simulator.seed(WORLD)
    made = datetime.fromtimestamp(START - 60, UTC)
    plan = make_plan(
        *ACTIONS,
        workspace=simulator.world.workspace.id,
        created_at=made.isoformat(),
        expires_at=made.replace(year=made.year + 1).isoformat(),
    )
    return Scene(simulator, plan, state_url, folder / "plans")


def session(
    scene: Scene,
    death: Death,
    *,
    close_because: str | None = None,
    watch: Callable[[Call, str], None] = lambda _call, _phase: None,
) -> bool:
    """One process: settles what it finds, else begins the plan. False where it died. watch: sees each call twice."""
    scene.sessions += 1

    def hook(call: Call, phase: str) -> None:
        watch(call, phase)
        death.boundary()

    scene.simulator.hook = hook
    database = StateDatabase(scene.state_url)
    job = durable.Job(
        open_writer=lambda: IntercomTarget(
            token=TOKEN,
            base_url="http://intercom.test",
            owned=OWNED,
            transport=httpx.ASGITransport(app=build_app(scene.simulator)),
            clock=time.time,
            random=lambda: 0.5,
        ),
        store=PlanStore(str(scene.plans)),
        now=lambda: datetime.fromtimestamp(START, UTC),
        progress=lambda _what, _done, _total: None,
        stop=lambda: None,
        max_parallel=1,
        claims=Claims(database, holder=NIGHT),
        process=f"process {scene.sessions}",
    )
    with durable.engine(database, job), _checkpoints_watched(death):
        finished = asyncio.run(_until_over(scene, death, close_because))
    database.close()
    return finished


async def _until_over(scene: Scene, death: Death, close_because: str | None) -> bool:
    """Whichever comes first: the end of the work, or of the process."""
    work = asyncio.create_task(_settle_or_begin(scene, close_because))
    try:
        async with asyncio.timeout(SECONDS):
            while not work.done() and not death.died.is_set():
                await asyncio.wait({work}, timeout=0.005)
    finally:
        work.cancel()
        (ended,) = await asyncio.gather(work, return_exceptions=True)
    if death.died.is_set():
        return False
    if isinstance(ended, BaseException):
        raise ended
    return True


async def _settle_or_begin(scene: Scene, close_because: str | None) -> None:
    found = await durable.interrupted()
    for one in found:
        await durable.take_up(one, close_because=close_because)
    if not found and not await durable.was_carried_out(scene.plan):
        await durable.apply_durably(scene.plan, caution=scene.caution)


@contextmanager
def _checkpoints_watched(death: Death) -> Iterator[None]:
    def before(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if CHECKPOINT in statement and statement.lstrip().upper().startswith("INSERT"):
            death.boundary()

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", before)
