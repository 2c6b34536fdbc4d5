"""The shell around the decisions, in three steps: gather, decide, apply.

Whoever calls (the CLI, the web service) brings the source, the reader, the writer and the clock; nothing here knows
a database, an HTTP client or a setting by name (from_settings.py opens those).
"""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from reconciler import __version__
from reconciler.core import positions
from reconciler.core.actions import Outcome
from reconciler.core.guards import Accepted
from reconciler.core.history import History
from reconciler.core.model import PLACES, Progress, SourceData, Target
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan, is_erased
from reconciler.core.planner import Context, Scope, archive_candidates, make_plan, with_rules_only
from reconciler.core.rules import Rules
from reconciler.core.snapshot import index
from reconciler.core.undo import undo_plan
from reconciler.core.unknown import unknown_holders, unknown_numbers
from reconciler.core.world import World, build_world
from reconciler.errors import Paused, PlanRefused, UnknownMember
from reconciler.runs.apply import Stop, apply_plan
from reconciler.runs.caution import Caution
from reconciler.runs.claims import NIGHT, Claims
from reconciler.runs.lock import Lease
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.recall import last_good, recall
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.sources import Source
from reconciler.targets import Finder, Item_co, Reader, SideReader, Writer

if TYPE_CHECKING:
    from reconciler.core.model import PositionRow

TOOL = f"reconciler {__version__}"


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is to be about, and what a person accepted for it. The default is the whole union."""

    scope: Scope = Scope()
    rules: tuple[str, ...] = ()
    """Rule ids; empty for all."""
    accepted: Accepted = Accepted()


async def plan(
    *,
    source: Source,
    reader: Reader,
    rules: Rules,
    store: PlanStore,
    request: PlanRequest,
    now: Callable[[], datetime],
    progress: Progress,
) -> Plan:
    """Make a plan and store it.

    Raises SourceError or TargetError where a side cannot be read whole, and UnknownMember where the scope names a
    number that nothing has; nothing is stored then.
    """
    if request.rules:
        rules = with_rules_only(rules, request.rules)
    with collector_paused():
        # Step 1: gather. Both sides, each in one consistent read, and what was read the last time.
        # Records that nothing can be built on are found out before minutes of reading.
        store.ready()
        history = recall(store, at=now())
        numbers = request.scope.only | request.scope.exclude
        world, context = await _gather_world(source, reader, rules, numbers=numbers, now=now, progress=progress)
        context = msgspec.structs.replace(
            context,
            last_good=last_good(store, source=world.source.name),
            accepted=request.accepted,
            previous=store.latest_digest(),
            history=history,
        )
        # Step 2: decide. Pure: the same world gives the same plan.
        made = make_plan(world, request.scope, context)
        del world  # of which the plan keeps what it is about: the rest makes room before the plan is written
        store.put_plan(made)
    return made


async def look(
    ref: str,
    *,
    source: Source,
    reader: Reader,
    rules: Rules,
    history: History,
    now: Callable[[], datetime],
    progress: Progress,
) -> Plan:
    """A plan for the whole union as it is now, not stored, that keeps this member or contact whatever is said of it.

    Raises as `plan` does.
    """
    with collector_paused():
        world, context = await _gather_world(source, reader, rules, also=(ref,), now=now, progress=progress)
        return make_plan(world, Scope(), msgspec.structs.replace(context, history=history))


async def _gather_world(
    source: Source,
    reader: Reader,
    rules: Rules,
    *,
    numbers: Iterable[str] = (),
    also: tuple[str, ...] = (),
    now: Callable[[], datetime],
    progress: Progress,
) -> tuple[World, Context]:
    """The whole union as it is, and the facts of the reading. numbers: of members, who must be there; also: members or
    contacts, who must be there, and whom the plan keeps. Raises as `plan` does.
    """
    workspace = await reader.workspace()
    data, contacts = await gather(source, reader, progress)
    read_at = now()
    world = build_world(data, index(contacts), rules)
    if unknown := unknown_numbers(world, [*numbers, *(ref for ref in also if ref not in world.snapshot.by_id)]):
        raise _unknown(unknown, "the source's members nor any contact", next_step=_NAME_ANOTHER if also else _CORRECT)
    world = await ask_about_conversations(world, reader, progress)
    return world, Context(
        now=now(),
        read_at=read_at,
        tool=TOOL,
        target="contacts",
        workspace=workspace.id,
        intercom_version=reader.version,
        also=also,
    )


_CORRECT = "Correct it after --only or --exclude, or leave it out. Zeros in front count. Nothing was planned."
_NAME_ANOTHER = "Name a member by the number, or a live contact by its id. Zeros in front count."


def _unknown(numbers: Mapping[str, Sequence[str]], neither: str, *, next_step: str) -> UnknownMember:
    hints = {number: f" (did you mean {' or '.join(near)}?)" if near else "" for number, near in numbers.items()}
    return UnknownMember(
        f"nobody has member number {', '.join(number + hint for number, hint in hints.items())}: neither {neither}",
        next_step=next_step,
    )


async def plan_positions(
    *,
    source: Source,
    reader: SideReader[PositionRow],
    rules: Rules,
    store: PlanStore,
    request: PlanRequest,
    now: Callable[[], datetime],
    progress: Progress,
) -> Plan:
    """Make a plan for the Supabase positions table and store it. Raises as `plan` does; `request.rules` is empty."""
    with collector_paused():
        # Step 1: gather, as for contacts.
        store.ready()
        project = await reader.workspace()
        data, rows = await gather(source, reader, progress)
        read_at = now()
        if unknown := unknown_holders(data, rows, request.scope.only | request.scope.exclude):
            raise _unknown(unknown, "the source nor any row of the table", next_step=_CORRECT)
        context = Context(
            now=now(),
            read_at=read_at,
            tool=TOOL,
            target="positions",
            workspace=project.id,
            intercom_version=reader.version,
            last_good=last_good(store, source=data.name, target="positions"),
            accepted=request.accepted,
            previous=store.latest_digest(),
        )
        # Step 2: decide.
        made = positions.make_plan(data, rows, rules, request.scope, context, place=project.name)
        store.put_plan(made)
    return made


async def apply(
    made: Plan,
    *,
    writer: Writer,
    store: PlanStore,
    now: Callable[[], datetime],
    max_parallel: int,
    progress: Progress,
    stop: Stop,
) -> tuple[Outcome, ...]:
    """Step 3: apply. Exactly this plan, once; its outcome is stored beside it.

    In one piece, for a world that ends with this process (the demo, a rehearsal). `settle` and `apply_durably` do the
    same for one that does not.
    """
    started_at = now()
    outcomes = await apply_plan(made, writer, now=now, max_parallel=max_parallel, progress=progress, stop=stop)
    store.put_outcome(made, outcomes, started_at=started_at, finished_at=now())
    return outcomes


@contextmanager
def allowed_to_write(
    database: StateDatabase,
    *,
    holder: str,
    store: PlanStore,
    open_writer: Callable[[], AbstractAsyncContextManager[Writer]],
    now: Callable[[], datetime],
    max_parallel: int,
    progress: Progress,
    stop: Stop,
) -> Iterator[None]:
    """The lock and the durable engine, while the block lasts: what `settle` and `apply_durably` need.

    Raises Paused or LockHeld where nothing may be written now, StateError where nobody can tell.
    """
    from reconciler.runs import durable  # noqa: PLC0415 - DBOS costs 0.5 s, for those who need it

    pause = PauseSwitch(database)
    if (reason := pause.reason()) is not None:
        raise Paused(f"nothing is written: {reason}", next_step="Run `reconcile resume`, then this again.")
    with Lease(database, holder=holder) as lease:
        job = durable.Job(
            open_writer=open_writer,
            store=store,
            now=now,
            progress=progress,
            stop=lambda: stop() or lease.reason_to_stop() or pause.reason(),
            max_parallel=max_parallel,
            claims=Claims(database, holder=NIGHT),
            process=uuid.uuid4().hex,  # random on purpose: never the name of another process
        )
        with durable.engine(database, job):
            yield


async def settle(*, now: Callable[[], datetime], target: Target = "contacts") -> tuple[Plan, ...]:
    """Bring the runs for this target that were interrupted to their end, and return their plans.

    Taken up where this release made the plan and it has not expired; else closed: nothing more of it is sent. Runs for
    another target are left to whoever writes to that.
    """
    from reconciler.runs import durable  # noqa: PLC0415 - as above

    plans = tuple(made for made in await durable.interrupted() if made.target == target)
    for made in plans:
        await durable.take_up(made, close_because=_why_close(made, at=now()))
    return plans


async def apply_durably(made: Plan, *, caution: Caution) -> bool:
    """Carry out a plan so that it survives this process. False where it was carried out already: nothing is sent."""
    from reconciler.runs import durable  # noqa: PLC0415 - as above

    if await durable.was_carried_out(made):
        return False
    await durable.apply_durably(made, caution=caution)
    return True


def _why_close(made: Plan, *, at: datetime) -> str | None:
    if made.tool != TOOL:
        return f"the run was interrupted, and {made.tool} had made its plan, not {TOOL}"
    if at >= datetime.fromisoformat(made.expires_at):
        return f"the run was interrupted, and its plan has expired at {made.expires_at}"
    return None


def undo(
    made: Plan, run: RunOutcome, *, rules: Rules, store: PlanStore, accepted: Accepted, now: Callable[[], datetime]
) -> Plan:
    """A plan that takes back what was done of another, stored like any plan."""
    at = now()
    if is_erased(made):
        raise PlanRefused(
            f"personal data was taken out of plan {made.id}: what it wrote cannot be taken back",
            next_step=f"Look at them in {PLACES[made.target]}; what the source says of them is in the next plan.",
        )
    taken_back = undo_plan(
        made,
        run,
        now=at,
        tool=TOOL,
        limits=rules.limits,
        accepted=accepted,
        previous=store.latest_digest(),
        history=recall(store, at=at),
    )
    store.put_plan(taken_back)
    return taken_back


async def gather(
    source: Source, reader: SideReader[Item_co], progress: Progress
) -> tuple[SourceData, tuple[Item_co, ...]]:
    """Read both sides at once. Where one fails, its error is raised and the other is given up."""
    reading = asyncio.create_task(asyncio.to_thread(source.read, progress))
    snapshot = asyncio.create_task(reader.snapshot(progress))
    try:
        return await reading, await snapshot
    finally:
        snapshot.cancel()
        await asyncio.gather(reading, snapshot, return_exceptions=True)


async def ask_about_conversations(world: World, reader: Reader | Finder, progress: Progress) -> World:
    """The second half of gathering: open conversations of those contacts, and only those, that may be archived."""
    candidates = archive_candidates(world)
    if not candidates:
        return world
    found = await reader.open_conversations(candidates, progress)
    return msgspec.structs.replace(world, open_conversations=found)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking tens of thousands of rows again and again while they pile up.

    Nothing that is read or planned holds a reference cycle; worth a factor of two on 20,000 members.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
