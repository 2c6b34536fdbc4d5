"""One night from end to end: plan, apply and plan again, through the real client against the simulator.

No socket and no waiting: ASGI in-process, and a clock that only moves when somebody would sleep.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx
import msgspec

from reconciler import controller
from reconciler.controller import PlanRequest
from reconciler.core.actions import Outcome
from reconciler.core.model import Progress, SourceData, silent
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.from_settings import may_hide_conversations, owned_attributes
from reconciler.runs.store import PlanStore
from reconciler.simulator import LoggedCall, Options, Simulator, build_app
from reconciler.targets.intercom import IntercomTarget
from tests.properties.strategies import START, Union

T = TypeVar("T")


def run(runner: asyncio.Runner, night: Coroutine[Any, Any, T]) -> T:
    """In the loop of the runner, but without its care for Ctrl-C, which makes a text of whole nights each time."""
    return runner.get_loop().run_until_complete(night)


class Clock:
    """Unix seconds; sleeping moves them on."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        """The time."""
        return self.now

    def moment(self) -> datetime:
        """The time, for those who want a date."""
        return datetime.fromtimestamp(self.now, UTC)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Rows:
    """A source that has its rows already."""

    data: SourceData

    @property
    def name(self) -> str:
        """As it stands in evidence."""
        return self.data.name

    def read(self, progress: Progress) -> SourceData:
        """Everything, at once."""
        progress("members", len(self.data.members), None)
        return self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a night left behind."""

    union: Union
    first: Plan
    same_again: Plan
    """The same inputs at the same time, planned a second time before anything was written."""
    outcomes: tuple[Outcome, ...]
    second: Plan
    """After the apply."""
    before: dict[str, dict[str, Any]]
    after: dict[str, dict[str, Any]]
    """Every contact of every state by id, with its state under `_state`."""
    writes: tuple[LoggedCall, ...]


class Desk:
    """A workspace with a union's contacts in it, and the target that opens it."""

    def __init__(self, union: Union, folder: Path) -> None:
        self.union = union
        self.clock = Clock()
        self.simulator = Simulator(Options(limit=1_000_000), clock=self.clock, sleep=self.clock.sleep)
        self.simulator.seed([b'{"_attribute": {"name": "not_ours"}}', *map(msgspec.json.encode, union.contacts)])
        self.target = IntercomTarget(
            token="t",
            base_url="http://intercom.test",
            owned=owned_attributes(union.rules),
            transport=httpx.ASGITransport(app=build_app(self.simulator)),
            clock=self.clock,
            sleep=self.clock.sleep,
            random=random.Random(0).random,
            hiding_for=may_hide_conversations(union.rules),
        )
        self.folder = folder

    async def plan(self, store: str, rules: Rules | None = None, request: PlanRequest | None = None) -> Plan:
        """Plan under the union's rules."""
        return await controller.plan(
            source=Rows(self.union.source),
            reader=self.target.reader,
            rules=rules or self.union.rules,
            store=PlanStore(str(self.folder / store)),
            request=request or PlanRequest(),
            now=self.clock.moment,
            progress=silent,
        )

    async def apply(self, plan: Plan, store: str) -> tuple[Outcome, ...]:
        """Apply, four actions side by side."""
        return await controller.apply(
            plan,
            writer=self.target,
            store=PlanStore(str(self.folder / store)),
            now=self.clock.moment,
            max_parallel=4,
            progress=silent,
            stop=lambda: None,
        )

    def state(self) -> dict[str, dict[str, Any]]:
        """Every contact by id."""
        whole = msgspec.json.decode(self.simulator.state_json())
        kept = ("live", "archived", "merged", "blocked", "deleted")
        return {one["id"]: one | {"_state": state} for state in kept for one in whole[state]}

    def writes(self) -> tuple[LoggedCall, ...]:
        """The calls that changed something."""
        return tuple(call for call in self.simulator.calls if call.effect)


@contextmanager
def open_desk(union: Union) -> Iterator[Desk]:
    """A desk with a folder of its own for plans."""
    with TemporaryDirectory(prefix="night") as folder:
        yield Desk(union, Path(folder))


async def spend(desk: Desk) -> Night:
    """The whole night."""
    async with desk.target:
        before = desk.state()
        first = await desk.plan("plans")
        then, desk.clock.now = desk.clock.now, float(START)
        same_again = await desk.plan("again")
        desk.clock.now = max(then, desk.clock.now) + 1
        outcomes = await desk.apply(first, "plans") if first.applyable else ()
        writes = desk.writes()
        after = desk.state()
        desk.clock.now += 1
        second = await desk.plan("plans")
    return Night(
        union=desk.union,
        first=first,
        same_again=same_again,
        outcomes=outcomes,
        second=second,
        before=before,
        after=after,
        writes=writes,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """One plan, and what became of it."""

    plan: Plan
    outcomes: tuple[Outcome, ...]


async def spend_all(desk: Desk, *nights: tuple[Rules, PlanRequest | None]) -> list[Run]:
    """One plan and apply after the other, each under its own rules and for its own part of the union."""
    runs = []
    async with desk.target:
        for rules, request in nights:
            desk.clock.now += 1
            plan = await desk.plan("plans", rules, request)
            runs.append(Run(plan, await desk.apply(plan, "plans")))
    return runs
