"""Apply as a durable workflow: a run that is killed is taken up again, on whichever machine, by reading back first.

The workflow's id is the plan's, so a plan runs once. It holds the plan itself, so that a machine whose disk is empty
can go on. Actions go in batches; each batch has two checkpoints (https://docs.dbos.dev): `begin` names the
process that may have sent something of it, `send` holds the outcomes. A batch whose `begin` names another process was
found unfinished: every action of it is read back before anything is sent (design §4.7, §4.9).

One checkpoint for each action would cost thirty times as much and keep the run from the rate that Intercom permits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from dbos import DBOS, SetWorkflowID, WorkflowHandleAsync
from dbos import error as dbos_error
from sqlalchemy.exc import SQLAlchemyError

from reconciler.core import plan as plan_file
from reconciler.core.actions import Outcome
from reconciler.core.model import Progress
from reconciler.core.plan import Plan
from reconciler.errors import Halted, PlanRefused, ReconcilerError, StateError
from reconciler.runs.apply import Group, Run, Stop
from reconciler.runs.caution import NO_CAUTION, Caution
from reconciler.runs.claims import Claims
from reconciler.runs.runnable import check_runnable, check_workspace
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.runs.verdicts import ended
from reconciler.targets import Haltable, Writer

WORKFLOW = "reconciler.apply"
SHAPE = "2"
"""The order and meaning of the checkpoints. A run of another shape cannot be taken up, only closed: the engine gives a
run to none but its own shape (`application_version`), so that nobody would ever carry it on.
"""

BATCH = 100
"""Actions between two checkpoints. The next batch waits for the slowest action of this one: with 100 that wait is
hidden behind Intercom's limit (167 calls a second) up to a latency of half a second, with 50 up to a quarter.
"""


class Sent(msgspec.Struct, frozen=True):
    """The checkpoint after a batch."""

    outcomes: tuple[Outcome, ...]
    stopped: str | None = None
    """Why the run begins nothing more after it."""


_RECOVERY = "reconciler.recovery"
"""Where a run waits to be taken up; nobody but the holder of the lock puts one there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a run needs from the process that carries it out."""

    open_writer: Callable[[], AbstractAsyncContextManager[Writer]]
    store: PlanStore
    now: Callable[[], datetime]
    progress: Progress
    stop: Stop
    max_parallel: int
    claims: Claims | None = None
    """As for Run."""
    process: str
    """This process, for `begin`: no two may ever have the same name."""


class _Unfinished(BaseException):
    """Leaves a workflow so that the engine keeps it as interrupted.

    An `Exception` would end it for good: what was sent would never be read back, nor its outcome be known.
    """


_job: Job | None = None
_closing: dict[str, str] = {}
"""Plans that are closed rather than carried on, each with the reason."""
_failed: dict[str, Exception] = {}
"""Plans whose run cannot go on in this process, each with the error."""
_through: set[str] = set()
"""Plans whose run came to its end in this process; the engine has only to note it."""

_CLOSED = "CANCELLED"
"""What the engine calls a run that was closed, not carried on, by a release that could not."""

_OVER = ("SUCCESS", "ERROR")
"""What the engine calls a run that came to its end. No error of a run ends it (`_Unfinished`): an `ERROR` is one of the
engine's own, in noting the end.
"""

_TAKE_UP = "Run `reconcile apply` again once the reason is gone: it reads back what may have been sent, and goes on."

_LAST_NOTE = 5.0
"""Seconds that the engine may take to note the end of a run in its database."""


@contextmanager
def engine(database: StateDatabase, job: Job) -> Iterator[None]:
    """The durable engine, while the block lasts. There can be one in a process at a time."""
    global _job  # noqa: PLW0603 - DBOS registers workflows by module, so what they need is found by module
    DBOS(
        config={
            "name": "reconciler",
            "system_database_url": database.engine_url(),
            "db_engine_kwargs": {"hide_parameters": True},  # a failed statement is logged: never with people in it
            "application_version": SHAPE,
            "executor_id": job.process,
            "log_level": "CRITICAL",  # its tracebacks hold the texts of errors; what is raised, we say ourselves
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.1,  # also how long leaving takes
        }
    )
    _job = job
    try:
        DBOS.launch()
        DBOS.register_queue(_RECOVERY, polling_interval_sec=0.1)
        yield
    finally:
        _job = None
        DBOS.destroy(workflow_completion_timeout_sec=0)


async def apply_durably(plan: Plan, *, caution: Caution = NO_CAUTION) -> None:
    """Carry out the plan as a workflow; returns when its outcome is stored.

    `caution` is part of the workflow: a run that is taken up has the batches and the error budget that it began with.

    Raises PlanRefused, before anything is sent, where the plan may not run here and now, Halted where it was stopped
    before that was known, and PlanError where its outcome could not be stored.
    """
    job = _the_job()
    check_runnable(plan, at=job.now())
    Run(plan, now=job.now, max_parallel=job.max_parallel, progress=job.progress, stop=job.stop)
    async with _opened(job) as writer:
        await check_workspace(plan, writer)
    # What would keep the outcome from being stored at the end must come to light before anything is sent.
    job.store.ready()
    job.store.put_plan(plan)
    with _trouble(), SetWorkflowID(plan.id):
        handle = await DBOS.start_workflow_async(_apply, plan_file.encode(plan).decode(), _text_of(caution))
    await _end_of(handle, plan)
    await _see_it_stored(plan)


async def interrupted() -> tuple[Plan, ...]:
    """The plans of runs that were left unfinished, oldest first.

    Only the holder of the lock may ask: whatever is unfinished then, nobody is at work on.
    """
    with _trouble():
        found = await DBOS.list_workflows_async(status=["PENDING", "ENQUEUED"], name=WORKFLOW)
    texts = [one.input["args"][0] for one in found if one.input is not None]
    return tuple(plan_file.decode(text.encode(), where="the state database") for text in sorted(texts))


async def take_up(plan: Plan, *, close_because: str | None = None) -> None:
    """Go on with an interrupted run; returns when its outcome is stored. Raises Halted where it was stopped before all
    was read back that may have been sent: then it is as interrupted as before.

    With `close_because` it is closed instead: nothing is sent, what was under way is looked at, the rest is held.
    """
    async with _opened(_the_job()) as writer:
        await check_workspace(plan, writer)
        with _trouble():
            status = await DBOS.get_workflow_status_async(plan.id)
        if status is not None and status.app_version != SHAPE:
            await _close_another_shape(plan, writer)
            return
    if close_because is not None:
        _closing[plan.id] = close_because
    with _trouble():
        handle = await DBOS.resume_workflow_async(plan.id, queue_name=_RECOVERY)
    await _end_of(handle, plan)
    _closing.pop(plan.id, None)
    await _see_it_stored(plan)


async def was_carried_out(plan: Plan) -> bool:
    """Whether this plan has been applied to its end, on any machine.

    Its outcome is put back then where a wiped disk has lost it or a full one had no room; raises PlanError or
    ReconcilerError where that fails, and PlanRefused where the run was closed and its outcome is lost.
    """
    with _trouble():
        status = await DBOS.get_workflow_status_async(plan.id)
    if status is not None and status.status == _CLOSED:
        if not _the_job().store.has_outcome(plan.id):
            raise PlanRefused(
                f"plan {plan.id} was closed before its end, and its outcome is not among the plans any more",
                next_step="Make a new plan with `reconcile plan`.",
            )
        return True
    if status is None or status.status not in _OVER:
        return False
    if status.input is not None:
        await _see_it_stored(plan_file.decode(status.input["args"][0].encode(), where="the state database"))
    return True


async def _end_of(handle: WorkflowHandleAsync[None], plan: Plan) -> None:
    """Wait until the run is over. Raises what keeps it from going on in this process."""
    over = asyncio.create_task(handle.get_result(polling_interval_sec=0.1))
    while not over.done() and plan.id not in _failed:
        if plan.id in _through:
            await asyncio.wait({over}, timeout=_LAST_NOTE)
            if not over.done():
                _failed[plan.id] = StateError(
                    "the run is over, but the state database does not take a note of it",
                    next_step="See that the database RECONCILER_STATE_URL names is up and has room, then "
                    "`reconcile apply` again: it finds everything done.",
                )
        await asyncio.wait({over}, timeout=0.1)
    _through.discard(plan.id)
    error = _failed.pop(plan.id, None)
    if error is not None:
        over.cancel()
        await asyncio.gather(over, return_exceptions=True)
    with _trouble():
        if error is not None:
            raise error
        await over


@asynccontextmanager
async def _opened(job: Job) -> AsyncIterator[Writer]:
    """A writer that waits for nothing once the run is stopped. Its questions raise Halted then."""
    async with job.open_writer() as writer:
        if isinstance(writer, Haltable):
            writer.halt_when(job.stop)
        yield writer


@contextmanager
def _trouble() -> Iterator[None]:
    """Turns what the engine and its database raise into an error of ours."""
    try:
        yield
    except (SQLAlchemyError, dbos_error.DBOSException) as error:
        raise StateError(
            f"the durable engine failed in the state database: {type(error).__name__}",
            next_step="See that the database RECONCILER_STATE_URL names is up and has room. The next `reconcile apply` "
            "reads back what this run may have sent, and goes on.",
        ) from error


async def _see_it_stored(plan: Plan) -> None:
    """Store the outcome of a run that is over, as its checkpoints tell it, unless it is stored."""
    if not _the_job().store.has_outcome(plan.id):
        run, started_at = await _as_recorded(plan)
        await _store(plan, run.in_plan_order(), started_at or await _time_now())


async def _as_recorded(plan: Plan) -> tuple[Run, str | None]:
    """What the checkpoints of a run say of its actions, and when it began."""
    job = _the_job()
    with _trouble():
        steps = await DBOS.list_workflow_steps_async(plan.id)
    outputs: dict[str, Any] = {step["function_name"]: step["output"] for step in steps}
    run = Run(plan, now=job.now, max_parallel=job.max_parallel, progress=job.progress, stop=job.stop)
    for name, output in outputs.items():
        if name.startswith("send-"):
            run.know(msgspec.json.decode(output, type=Sent).outcomes)
    return run, outputs.get("start")


async def _close_another_shape(plan: Plan, writer: Writer) -> None:
    """Close a run that another release began: look at every action that no checkpoint tells of, and send nothing.

    Which of them were under way, the batches of that release would say; so all are looked at.
    """
    run, started_at = await _as_recorded(plan)
    run.know([await writer.look(action) for action in plan.actions if action.id not in run.outcomes])
    await _store(plan, run.in_plan_order(), started_at or await _time_now())
    with _trouble():
        await DBOS.cancel_workflow_async(plan.id)


def _text_of(caution: Caution) -> str:
    return msgspec.json.encode(caution).decode()


def _the_job() -> Job:
    if _job is None:
        raise StateError("no durable engine is running", next_step="Please report this: it is a bug.")
    return _job


@DBOS.workflow(name=WORKFLOW)
async def _apply(encoded: str, caution: str) -> None:
    """One plan, from whichever checkpoint on."""
    plan = plan_file.decode(encoded.encode(), where="the state database")
    try:
        await _batch_by_batch(plan, msgspec.json.decode(caution, type=Caution))
        _through.add(plan.id)
    except Exception as error:
        _failed[plan.id] = error
        raise _Unfinished from error


async def _batch_by_batch(plan: Plan, caution: Caution) -> None:
    """Everything between two checkpoints may run again after a crash."""
    job = _the_job()
    run = Run(
        plan,
        now=job.now,
        max_parallel=job.max_parallel,
        progress=job.progress,
        stop=job.stop,
        caution=caution,
        claims=job.claims,
    )
    started_at = await DBOS.run_step_async({"name": "start"}, _time_now)
    async with _opened(job) as writer:
        try:
            await writer.prepare(plan.actions)
        except Halted as error:
            run.halt(error.what)
        for number, group in enumerate(run.groups(BATCH)):
            begun_by = await DBOS.run_step_async({"name": f"begin-{number}"}, _this_process)
            resumed = begun_by != job.process
            sent = await DBOS.run_step_async(
                {"name": f"send-{number}"}, _send, run, group, writer, resumed, _closing.get(plan.id)
            )
            checkpoint = msgspec.json.decode(sent, type=Sent)
            run.know(checkpoint.outcomes)
            if checkpoint.stopped is not None:
                run.halt(checkpoint.stopped)
    # Where it cannot be stored now the run is over all the same: `_see_it_stored` tries again, and tells.
    with suppress(ReconcilerError):
        await DBOS.run_step_async({"name": "store"}, _store, plan, run.in_plan_order(), started_at)


async def _time_now() -> str:
    return _the_job().now().isoformat()


async def _this_process() -> str:
    return _the_job().process


async def _send(run: Run, group: Group, writer: Writer, resumed: bool, closing: str | None) -> str:
    """Carry out a batch: the step whose result is the checkpoint.

    One that a dead process may have sent, and that is stopped before all of it was read back, is left as it was found:
    held would be a lie for what had been sent, and whoever takes it up next can still find out.
    """
    if closing is None:
        outcomes = await run.carry_out(group, writer, resumed=resumed)
        if resumed and run.was_cut_short(outcomes):
            _failed[run.plan_id] = halted = Halted(run.stopped or "", next_step=_TAKE_UP)
            raise _Unfinished from halted
    elif resumed:
        outcomes = tuple([await writer.look(action) for action in group.actions])
    else:
        outcomes = tuple(ended(action, "held", says=closing) for action in group.actions)
    return msgspec.json.encode(Sent(outcomes, run.stopped)).decode()


async def _store(plan: Plan, outcomes: tuple[Outcome, ...], started_at: str) -> None:
    """Put the outcome beside its plan, and the plan where a wiped disk has lost it.

    Run again after a crash, it finds the outcome there; what it holds is then the same, but for the time.
    """
    job = _the_job()
    job.store.put_plan(plan)
    if not job.store.has_outcome(plan.id):
        job.store.put_outcome(plan, outcomes, started_at=datetime.fromisoformat(started_at), finished_at=job.now())
