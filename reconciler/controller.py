"""The shell around the decisions, in three steps: gather, decide, apply.

Whoever calls (the CLI, the web service) brings the source, the reader, the writer and the clock; nothing here knows
a database or an HTTP client by name but the two functions that open them from settings.
"""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import msgspec

from reconciler import __version__
from reconciler.core import positions, signed_link
from reconciler.core.actions import Do, Outcome
from reconciler.core.approval import Approval, command, counts_of, unapproved
from reconciler.core.guards import Accepted, LastGood
from reconciler.core.history import REMEMBERED, History, PastRun, history_of
from reconciler.core.model import ATTRIBUTE_PREFIX, PLACES, Progress, SourceData, Target
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan, digest_of, encode, is_erased
from reconciler.core.planner import Context, Scope, archive_candidates, make_plan, timestamp, with_rules_only
from reconciler.core.rules import Rules
from reconciler.core.rules_loader import parse_mappings_json, parse_rules, with_mappings
from reconciler.core.snapshot import index
from reconciler.core.undo import takes_back, undo_plan
from reconciler.core.unknown import unknown_holders, unknown_numbers
from reconciler.core.world import World, build_world
from reconciler.errors import Paused, PlanRefused, Problem, RulesError, UnknownMember
from reconciler.runs.apply import Stop, apply_plan, check_runnable
from reconciler.runs.caution import Caution
from reconciler.runs.claims import NIGHT, Claims
from reconciler.runs.lock import Lease
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.settings import DatabaseSource, Settings, SupabaseSource
from reconciler.sources import Source
from reconciler.targets import Finder, Item_co, Reader, SideReader, Writer

if TYPE_CHECKING:
    from reconciler.core.model import PositionRow
    from reconciler.sources.sql import SqlSource
    from reconciler.sources.supabase import SupabaseSource as OpenedSupabase
    from reconciler.targets.intercom import IntercomTarget
    from reconciler.targets.intercom.checkup import Checkup
    from reconciler.targets.positions import PositionsTarget

SERVICE_SHARE = 0.1
"""Of each window: with 167 calls in 10 s that is two events, with 1,667 some twenty, while a plan is applied."""

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
        workspace = await reader.workspace()
        data, contacts = await gather(source, reader, progress)
        read_at = now()
        world = build_world(data, index(contacts), rules)
        if unknown := unknown_numbers(world, request.scope.only | request.scope.exclude):
            raise _unknown(unknown, "any contact")
        world = await ask_about_conversations(world, reader, progress)
        context = Context(
            now=now(),
            read_at=read_at,
            tool=TOOL,
            target="contacts",
            workspace=workspace.id,
            intercom_version=reader.version,
            last_good=last_good(store, source=data.name),
            accepted=request.accepted,
            previous=store.latest_digest(),
            history=history,
        )
        # Step 2: decide. Pure: the same world gives the same plan.
        made = make_plan(world, request.scope, context)
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
        workspace = await reader.workspace()
        data, contacts = await gather(source, reader, progress)
        read_at = now()
        world = build_world(data, index(contacts), rules)
        if ref not in world.snapshot.by_id and (unknown := unknown_numbers(world, [ref])):
            raise _unknown(unknown, "any contact")
        world = await ask_about_conversations(world, reader, progress)
        context = Context(
            now=now(),
            read_at=read_at,
            tool=TOOL,
            target="contacts",
            workspace=workspace.id,
            intercom_version=reader.version,
            history=history,
            also=(ref,),
        )
        return make_plan(world, Scope(), context)


def _unknown(numbers: Mapping[str, Sequence[str]], nor: str) -> UnknownMember:
    hints = {number: f" (did you mean {' or '.join(near)}?)" if near else "" for number, near in numbers.items()}
    return UnknownMember(
        f"nobody has member number {', '.join(number + hint for number, hint in hints.items())}: "
        f"neither the source nor {nor}",
        next_step="Correct it after --only or --exclude, or leave it out. Zeros in front count. Nothing was planned.",
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
            raise _unknown(unknown, "any row of the table")
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


def approve(
    made: Plan, *, store: PlanStore, by: str, classes: Mapping[Do, int], reason: str, now: Callable[[], datetime]
) -> Approval:
    """A person's consent to all actions of these classes, stored in the chain.

    Raises PlanRefused where the plan may not be applied, or was, or has another number of such actions.
    """
    at = now()
    check_runnable(made, at=at)
    if store.has_outcome(made.id):
        raise PlanRefused(
            f"plan {made.id} was applied already", next_step=f"See it with `reconcile show {made.id}`; make a new one."
        )
    counts = counts_of(made)
    wrong = [f"{counts.get(do, 0)} to {do}, not {number}" for do, number in classes.items() if counts.get(do) != number]
    if wrong:
        raise PlanRefused(
            f"plan {made.id} has {', '.join(wrong)}",
            next_step=f"Read it with `reconcile show {made.id}`, then approve the number that it has.",
        )
    store.put_plan(made)
    given = Approval(
        plan=made.id,
        plan_digest=digest_of(encode(made)),
        by=by,
        approved_at=timestamp(at),
        expires_at=made.expires_at,
        classes={str(do): number for do, number in classes.items()},
        reason=reason,
    )
    store.put_approval(given)
    return given


def approvals_wanting(made: Plan, *, store: PlanStore, needed: Sequence[Do], at: datetime) -> dict[Do, str]:
    """The classes of this plan that are held for want of an approval, each with the sentence that says so.

    Raises PlanRefused where nothing of the plan could run: it would be used up, and could be approved no more; and
    where the plan was edited after it was approved.
    """
    wanting = unapproved(made, store.approvals_of(made.id), needed=needed, at=at)
    held = made.held({str(do): says for do, says in wanting.items()})
    if wanting and len(held) == len(made.actions):
        counts = counts_of(made)
        raise PlanRefused(
            f"nothing of plan {made.id} may run: " + "; ".join(says for says in wanting.values()),
            next_step=f"Read it with `reconcile show {made.id}`, then "
            + command(made, {do: counts[do] for do in wanting})
            + ".",
        )
    return wanting


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


def recall(store: PlanStore, *, at: datetime) -> History:
    """What the runs did whose outcomes were stored in the last days before `at`."""
    return history_of(past_runs(store, at=at))


def past_runs(store: PlanStore, *, at: datetime) -> tuple[PastRun, ...]:
    """The runs whose outcomes were stored in the last days before `at`, oldest first."""
    runs = store.outcomes_since(at - REMEMBERED)
    return tuple(PastRun(run, takes_back=_takes_back(store.plan_of(run))) for run in runs)


def _takes_back(plan: Plan | None) -> bool:
    return plan is not None and takes_back(plan)


def last_good(store: PlanStore, *, source: str, target: Target = "contacts") -> LastGood | None:
    """What the last plan for this target that could be believed had read from this kind of source."""
    previous = store.last_good(target=target)
    if previous is None or previous.inputs.members.source != source:
        return None
    members = previous.inputs.members
    return LastGood(
        plan=previous.id,
        members=members.count or 0,
        positions=previous.inputs.positions.count or 0,
        blank=members.blank,
        changed_at=members.changed_at,
    )


def read_rules(folder: Path, *, mappings: Path | None = None) -> Rules:
    """The rules of a folder, with a mappings file laid over them. Raises RulesError with every problem."""
    files = {path.name: _text(path) for path in _rule_files(folder)}
    rules = parse_rules(files)
    if mappings is None:
        return rules
    return with_mappings(rules, parse_mappings_json(_text(mappings), where=str(mappings)))


def _rule_files(folder: Path) -> Sequence[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"} and path.is_file())
    except OSError as error:
        raise RulesError(
            [Problem(str(folder), 0, f"cannot be read as the folder of the rules: {error.strerror}")]
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise RulesError([Problem(str(path), 0, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise RulesError([Problem(str(path), 0, f"is not UTF-8 text: byte {error.start}")]) from error


def open_source(settings: Settings, rules: Rules) -> SqlSource | OpenedSupabase:
    """The source that the settings name, to be read whole (Source) or asked for some (LookUp). Nothing is connected
    yet.
    """
    match settings.source():
        case DatabaseSource() as database:
            return _open_database(database, rules)
        case SupabaseSource() as project:
            from reconciler.sources.supabase import open_supabase  # noqa: PLC0415 - slow to import, as above

            return open_supabase(project.url, project.key.reveal(), rules.sources)


def _open_database(database: DatabaseSource, rules: Rules) -> SqlSource:
    from reconciler.sources.sql import open_sql  # noqa: PLC0415 - SQLAlchemy costs 0.1 s, for those who need it

    return open_sql(database.url.reveal(), rules.sources, shape=database.shape)


def open_positions_source(settings: Settings, rules: Rules) -> Source:
    """The source that the positions table is a mirror of. Raises SettingsError where that would be the table itself."""
    return _open_database(settings.positions_source(), rules)


def open_positions(settings: Settings, rules: Rules) -> PositionsTarget:
    """The positions table of the Supabase project that the settings name. Nothing is connected yet."""
    from reconciler.sources.rows import written  # noqa: PLC0415 - the client is slow to import, for those who need it
    from reconciler.sources.supabase import open_position_rows  # noqa: PLC0415 - as above
    from reconciler.supabase.wire import Wire  # noqa: PLC0415 - as above
    from reconciler.targets.position_table import PositionTable  # noqa: PLC0415 - as above
    from reconciler.targets.positions import PositionsTarget  # noqa: PLC0415 - as above

    project, table = settings.supabase(), rules.sources.sql.positions
    key = project.key.reveal()

    def open_table() -> PositionTable:
        wire = Wire(project.url, key, sleep=time.sleep, clock=time.monotonic, reads="The positions table")
        return PositionTable(wire, table, text=written, sleep=time.sleep)

    return PositionsTarget(project.url, open_position_rows(project.url, key, rules.sources), open_table)


def open_target(settings: Settings, rules: Rules, *, reserve: float = 0.0, own: float = 0.0) -> IntercomTarget:
    """Intercom, as the settings name it. Nothing is connected yet. reserve, own: as for IntercomTarget."""
    from reconciler.targets.intercom import IntercomTarget  # noqa: PLC0415 - aiohttp costs 0.2 s, for those who need it
    from reconciler.targets.intercom.cursors import CursorSnapshot  # noqa: PLC0415 - as above
    from reconciler.targets.intercom.snapshot import read_by_list  # noqa: PLC0415 - as above

    return IntercomTarget(
        token=settings.token().reveal(),
        base_url=settings.intercom_base_url,
        owned=owned_attributes(rules),
        rate_limit=settings.intercom_rate_limit,
        snapshot_by=CursorSnapshot(now=time.time) if settings.intercom_cursors else read_by_list,
        reserve=reserve,
        own=own,
    )


def open_writer(settings: Settings, rules: Rules, target: Target) -> AbstractAsyncContextManager[Writer]:
    """Whoever may write to this target for a run of a plan. Nothing is connected yet."""
    match target:
        case "contacts":
            return open_target(settings, rules, reserve=reserve_for_service(settings))
        case "positions":
            return open_positions(settings, rules)
        case _:
            assert_never(target)


def goes_in_bulk(made: Plan, settings: Settings) -> bool:
    """Whether the plain updates of a plan go through Intercom's Preview API: where that is set, and fewer calls."""
    from reconciler.targets.intercom.bulk import costs_less, is_plain  # noqa: PLC0415 - as above

    if not settings.intercom_bulk or made.target != "contacts":
        return False
    return costs_less(sum(map(is_plain, made.actions)), made.inputs.actual.count or 0, reread=False)


def open_checkup(settings: Settings) -> Checkup:
    """Intercom, for somebody who asks how things stand. Nothing is connected yet."""
    from reconciler.targets.intercom.checkup import Checkup  # noqa: PLC0415 - as above

    return Checkup(token=settings.token().reveal(), base_url=settings.intercom_base_url)


def open_store(settings: Settings) -> PlanStore:
    """The store of plans: a folder or a bucket. Nothing is connected yet."""
    return PlanStore(settings.plans, {name: value.reveal() for name, value in settings.aws.items()})


def reserve_for_service(settings: Settings) -> float:
    """The share of Intercom's limit that a run of a plan leaves to the web service, where there is one.

    Who signs webhooks for us has set INTERCOM_CLIENT_SECRET, and without it the service does not start.
    """
    return SERVICE_SHARE if settings.intercom_client_secrets else 0.0


def erase_old(store: PlanStore, settings: Settings, *, now: Callable[[], datetime]) -> tuple[str, ...]:
    """Take personal data out of what is older than RECONCILER_PLAN_RETENTION; the names of the records changed."""
    if settings.plan_retention is None:
        return ()
    return store.erase_old(before=now() - settings.plan_retention)


def link_to(plan_id: str, settings: Settings, *, until: datetime) -> str:
    """The address that shows a plan to whoever has it until then. Raises SettingsError where there can be none."""
    settings.require("api", "public-url")
    path = signed_link.path_of(plan_id)
    query = signed_link.query_of(path, token=settings.api().reveal(), expires=int(until.timestamp()))
    return f"{settings.service_url()}{path}?{query}"


def open_state(settings: Settings) -> StateDatabase:
    """The state database: what the settings name, else a SQLite file beside the plans."""
    if settings.state_url is not None:
        return StateDatabase(settings.state_url.reveal())
    folder = "." if settings.plans.startswith("s3://") else settings.plans
    return StateDatabase(f"sqlite:///{Path(folder, 'state.sqlite')}")


def owned_attributes(rules: Rules) -> frozenset[str]:
    """The custom attributes that we own, by their own names."""
    return frozenset(
        field.removeprefix(ATTRIBUTE_PREFIX) for field in rules.contacts.fields if field.startswith(ATTRIBUTE_PREFIX)
    )


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
