"""Apply: exactly what the plan says, action by action, through a writer (design §4.6).

What has to wait for what is one graph: an action waits for those in its `after`, and for the action before it of the
same member. `graphlib` hands out the actions that wait for nothing any more; as many run side by side as allowed.
A member once begun is finished before another is started, so that nobody is left half done for long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from typing import TypeAlias, assert_never

import msgspec

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import PLACES, Progress
from reconciler.core.plan import Plan
from reconciler.errors import (
    ReconcilerError,
    ScopeMissing,
    Unauthorized,
)
from reconciler.runs.caution import ERRORS, NO_CAUTION, Caution
from reconciler.runs.claimed import Batch as Claimed
from reconciler.runs.claimed import claimed
from reconciler.runs.claims import Claims
from reconciler.runs.order import waits_of
from reconciler.runs.runnable import check_runnable, check_workspace, time_of
from reconciler.runs.verdicts import as_resumed, can_be_found, ended, place_of, refused
from reconciler.targets import BulkWriter, Haltable, Writer

Stop: TypeAlias = Callable[[], str | None]
"""Asked before every write: why nothing more may be written, in one sentence, or None to go on.

An error that it raises (the pause cannot be read) stops the run as well.
"""

FRESH_FOR = timedelta(minutes=15)
"""Up to this age of the plan, a plain update is sent without reading the contact first."""

UNREACHABLE = "unreachable"
"""The code of an action that could not be sent."""

UNKNOWN_IN_A_ROW = 5
"""More actions in a row than this without an answer, and nothing more is written (failure mode A9)."""

IDENTIFIERS = ("external_id", "email")


async def apply_plan(
    plan: Plan,
    writer: Writer,
    *,
    now: Callable[[], datetime],
    max_parallel: int,
    progress: Progress,
    stop: Stop,
    caution: Caution = NO_CAUTION,
) -> tuple[Outcome, ...]:
    """Carry out the plan: one outcome for each action, in plan order.

    `now` gives the time in UTC. Once the run is stopped (by `stop`, by a token that is not accepted, by too many
    unknown outcomes, or by cancelling the task) no write is begun; those under way end and are recorded, and the
    rest is held with the reason. A cancelled run returns like that, too: what was written must not go unrecorded.

    Raises PlanRefused where the plan may not run here and now, PlanUnreadable where its actions wait for each other
    in a circle or for an action that is not there; both before anything is written.
    """
    check_runnable(plan, at=now())
    run = Run(plan, now=now, max_parallel=max_parallel, progress=progress, stop=stop, caution=caution)
    await check_workspace(plan, writer)
    await writer.prepare(plan.actions)
    await _to_the_end(run, writer)
    return run.in_plan_order()


def needs_reread(action: Action, *, age: timedelta) -> bool:
    """Whether the contact is read and compared with `expect` before it is written; `age` is that of the plan.

    A create has no contact to read, and an archived one cannot be read by its id (404).
    """
    match action.do:
        case "create" | "unarchive":
            return False
        case "archive" | "merge" | "promote" | "delete":
            return True
        case "update":
            return abs(age) > FRESH_FOR or any(field in action.set for field in IDENTIFIERS)
        case _:
            assert_never(action.do)


class Group(msgspec.Struct, frozen=True):
    """Actions that are carried out before the next begin."""

    actions: tuple[Action, ...]
    in_bulk: bool = False
    """Whether they go with few calls, where the writer can do that."""


class Run:
    """One plan under way, in one piece or in batches: what is known so far, and whether it was stopped."""

    def __init__(
        self,
        plan: Plan,
        *,
        now: Callable[[], datetime],
        max_parallel: int,
        progress: Progress,
        stop: Stop,
        caution: Caution = NO_CAUTION,
        claims: Claims | None = None,
    ) -> None:
        if max_parallel < 1:
            raise ValueError("max_parallel must be at least 1")
        self.outcomes: dict[str, Outcome] = {}
        self.stopped: str | None = None
        """Why no further write is begun; None while the run goes on."""
        self._plan = plan
        self._now = now
        self._max_parallel = max_parallel
        self._progress = progress
        self._stop = stop
        self._caution = caution
        self._claims = claims if plan.target == "contacts" else None  # the service writes to nothing else
        self._made_at = time_of(plan.created_at, plan=plan)
        self._read_at = time_of(plan.inputs.actual.read_at or plan.created_at, plan=plan)
        self._held = plan.held(caution.unapproved)
        self._actions = {action.id: action for action in plan.actions}
        self._waits = waits_of(plan.actions)
        self._unknown_in_a_row = 0
        self._from_outside = False

    def groups(self, size: int) -> tuple[Group, ...]:
        """The actions in groups of at most `size`, each after the groups with those it waits for; the canary first.

        A canary of 10 is ten actions that are tried: those that a limit holds come along and are not counted. What goes
        in bulk is one group, whatever its size. The plan, the sizes and the caution alone decide, so that a run which
        is taken up has the groups that it had before.
        """
        ordered = [self._actions[action_id] for action_id in self._waits]
        groups: list[Group] = []
        for stage in self._caution.canary:
            tried = [place for place, action in enumerate(ordered) if action.id not in self._held]
            end = tried[stage - 1] + 1 if stage <= len(tried) else len(ordered)
            groups.extend(_cut(ordered[:end], size))
            ordered = ordered[end:]
        together = {action.id for action in ordered if self._may_go_in_bulk(action)} if self._caution.in_bulk else set()
        if together:
            groups.append(Group(tuple(action for action in ordered if action.id in together), in_bulk=True))
        return (*groups, *_cut([action for action in ordered if action.id not in together], size))

    def _may_go_in_bulk(self, action: Action) -> bool:
        """A plain update that waits for nothing. One that gives or takes an identifier needs its own answer."""
        plain = action.do == "update" and not any(field in action.set for field in IDENTIFIERS)
        return plain and not self._waits[action.id] and action.id not in self._held

    def know(self, outcomes: Iterable[Outcome]) -> None:
        """Take note of what became of actions earlier."""
        self.outcomes.update((outcome.action, outcome) for outcome in outcomes)

    def in_plan_order(self) -> tuple[Outcome, ...]:
        """The outcomes, all of which must be known."""
        return tuple(self.outcomes[action.id] for action in self._plan.actions)

    @property
    def max_parallel(self) -> int:
        """How many actions may be under way at a time."""
        return self._max_parallel

    async def everything(self, writer: Writer) -> None:
        """Carry out the whole plan."""
        for group in self.groups(max(1, len(self._actions))):
            await self.carry_out(group, writer)

    async def carry_out(self, group: Group, writer: Writer, *, resumed: bool = False) -> tuple[Outcome, ...]:
        """Carry out some of the actions, all that they wait for being known or among them.

        With `resumed` any of them may have been sent before, by a process that is dead: each contact is read first,
        and what is found done counts as done.
        """
        if isinstance(writer, Haltable):
            writer.halt_when(self.why_stopped)
        actions = {action.id: action for action in group.actions}
        trying = [action for action in group.actions if action.id not in self._held]
        async with claimed(self._claims, trying, read_at=self._read_at) as claim:
            rest = actions
            if group.in_bulk and isinstance(writer, BulkWriter):
                ours = [action for action in group.actions if claim.has(action) and not claim.is_touched(action)]
                await self._in_bulk(ours, writer, resumed=resumed)
                gone = {action.id for action in ours}
                rest = {action_id: action for action_id, action in actions.items() if action_id not in gone}
            batch = _Batch(self, writer, rest, claim, resumed=resumed)
            await batch.run({each: [before for before in self._waits[each] if before in rest] for each in rest})
        self._look_at_errors(batch_over=True)
        return tuple(self.outcomes[each] for each in actions)

    async def _in_bulk(self, actions: Sequence[Action], writer: BulkWriter, *, resumed: bool) -> None:
        reread = resumed or any(map(self.needs_reread, actions))
        try:
            await writer.execute_bulk(
                actions,
                reread=reread,
                contacts=self._plan.inputs.actual.count,
                stop=self.why_stopped,
                note=self.note,
            )
        except (Unauthorized, ScopeMissing) as error:
            self.halt(f"stopped, because the token may not write: {error.what}")
            for action in actions:
                self.note(refused(action, error))

    def halt(self, reason: str) -> None:
        """Begin no further write. The first reason stays."""
        self.stopped = self.stopped or reason

    @property
    def plan_id(self) -> str:
        """The plan's id."""
        return self._plan.id

    @property
    def key(self) -> str:
        """What opens the target, in the words of its settings."""
        return "key" if self._plan.target == "positions" else "token"

    def why_not(self, action: Action) -> str | None:
        """Why this action may not be written now; None where it may."""
        if action.id in self._held:
            return self._held[action.id]
        if self.stopped is not None:
            return self.stopped
        for before in action.after:
            verdict = self.outcomes[before].outcome
            if verdict != "done":
                return f"waits for {before}, which is {verdict}"
        return self.why_stopped()

    def why_stopped(self) -> str | None:
        """Why nothing may be written now, whichever action it is for; None where it may."""
        if self.stopped is not None:
            return self.stopped
        try:
            reason = self._stop()
        except Exception as error:  # noqa: BLE001 - a switch that cannot be read means stop, whatever broke it
            said = error.what if isinstance(error, ReconcilerError) else place_of(error)
            reason = f"stopped, because it cannot be known whether writing is paused: {said}"
        if reason is not None:
            self._from_outside = self.stopped is None
            self.halt(reason)
        return self.stopped

    def was_cut_short(self, outcomes: Iterable[Outcome]) -> bool:
        """Whether somebody stopped the run before all of these were looked at: with what is held for that alone."""
        return self._from_outside and any(one.outcome == "held" and one.action not in self._held for one in outcomes)

    def needs_reread(self, action: Action) -> bool:
        """Whether the contact is read before this action, as old as the plan is by now."""
        return needs_reread(action, age=self._now() - self._made_at)

    def note(self, outcome: Outcome) -> None:
        """Take note of what became of an action just now."""
        self.outcomes[outcome.action] = outcome
        if outcome.outcome in ERRORS:
            self._look_at_errors(batch_over=False)
        with suppress(OSError):  # a terminal that is gone must not cut off writes under way
            self._progress("apply", len(self.outcomes), len(self._actions))

    def count_unknown(self, outcome: Outcome) -> None:
        """Stop where too many in a row are unknown, or never reached Intercom: then it is down, and not one contact."""
        lost = outcome.outcome == "unknown" or (outcome.outcome == "failed" and outcome.code == UNREACHABLE)
        self._unknown_in_a_row = self._unknown_in_a_row + 1 if lost else 0
        if self._unknown_in_a_row > UNKNOWN_IN_A_ROW:
            place = PLACES[self._plan.target]
            self.halt(f"stopped, because {self._unknown_in_a_row} actions in a row had no answer from {place}")

    def _look_at_errors(self, *, batch_over: bool) -> None:
        reason = self._caution.why_stop(self.outcomes.values(), batch_over=batch_over)
        if reason is not None:
            self.halt(reason)


def _cut(actions: Sequence[Action], size: int) -> list[Group]:
    return [Group(tuple(actions[start : start + size])) for start in range(0, len(actions), size)]


class _Batch:
    """Some actions of a run, as many side by side as allowed."""

    def __init__(self, run: Run, writer: Writer, actions: dict[str, Action], claim: Claimed, *, resumed: bool) -> None:
        self._run = run
        self._claim = claim
        self._writer = writer
        self._actions = actions
        self._resumed = resumed
        self._ready: deque[str] = deque()
        self._running = 0

    async def run(self, waits: Mapping[str, Iterable[str]]) -> None:
        self._steps = TopologicalSorter(waits)
        self._steps.prepare()
        async with asyncio.TaskGroup() as group:
            self._start_ready(group)

    def _start_ready(self, group: asyncio.TaskGroup) -> None:
        # In front: the next action of a member who is begun goes before the first of another.
        self._ready.extendleft(reversed(self._steps.get_ready()))
        while self._ready and self._running < self._run.max_parallel:
            self._running += 1
            group.create_task(self._one(self._actions[self._ready.popleft()], group))

    async def _one(self, action: Action, group: asyncio.TaskGroup) -> None:
        reason = self._run.why_not(action)
        if reason is None and not self._claim.has(action):
            reason = await self._claim.why_not(action, stop=self._run.why_stopped) or self._run.why_not(action)
        self._run.note(await self._written(action) if reason is None else ended(action, "held", says=reason))
        self._running -= 1
        self._steps.done(action.id)
        self._start_ready(group)

    async def _written(self, action: Action) -> Outcome:
        if self._resumed and not can_be_found(action):
            return ended(action, "unknown", says="may have been created before; no external_id to find it by")
        reread = self._resumed or self._run.needs_reread(action) or self._claim.is_touched(action)
        try:
            outcome = await self._writer.execute(action, reread=reread)
        except (Unauthorized, ScopeMissing) as error:
            self._run.halt(f"stopped, because the {self._run.key} may not write: {error.what}")
            return refused(action, error)
        except ReconcilerError as error:
            outcome = ended(action, "unknown", says=error.what)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not lose the record of the other writes
            where = place_of(error)
            self._run.halt(f"stopped, because the program itself failed at {where} in action {action.id}")
            return ended(action, "unknown", says=f"the program itself failed at {where}: look at the contact")
        outcome = as_resumed(action, outcome) if self._resumed else outcome
        self._run.count_unknown(outcome)
        return outcome


async def _to_the_end(run: Run, writer: Writer) -> None:
    """Runs it in a task of its own, so that cancelling this one ends no write half way."""
    task = asyncio.create_task(run.everything(writer))
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            run.halt("stopped, because the run was interrupted")
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
    await task
