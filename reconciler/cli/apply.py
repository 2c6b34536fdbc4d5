"""`reconcile apply`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import click
import msgspec

from reconciler import controller, from_settings
from reconciler.cli import show_error, terminal
from reconciler.cli.options import Asked, planning_options
from reconciler.cli.plan import ACTUAL, DESIRED, make
from reconciler.cli.plan import exit_code as plan_exit_code
from reconciler.cli.show import LINES_SHOWN, render
from reconciler.cli.stopping import Stopping, signals_noted
from reconciler.core import outcome as outcome_file
from reconciler.core.model import Progress, Target
from reconciler.core.outcome import Counts, RunOutcome
from reconciler.core.plan import Plan
from reconciler.errors import ExitCode, Halted, Paused, ReconcilerError, StateError
from reconciler.report.outcome import daily_summary, outcome_text
from reconciler.runs.approvals import approvals_wanting
from reconciler.runs.caution import Caution
from reconciler.runs.notify import Night, night_of, tell, with_earlier
from reconciler.runs.silence import heard, silence
from reconciler.runs.store import PlanStore
from reconciler.settings import Settings, settings_here

T = TypeVar("T")

MAX_PARALLEL = 100
"""Actions under way at a time, where nothing else is said: a batch of runs/durable.py. The client decides on calls."""


LINK_LASTS = timedelta(hours=72)
"""A long weekend: for so long the link in a notification opens the plan."""


@click.command("apply")
@click.argument("plan", required=False)
@planning_options
@click.option("--auto-approve", is_flag=True, help="Without PLAN: do not ask.")
@click.option(
    "--max-parallel",
    type=click.IntRange(1, 256),
    default=MAX_PARALLEL,
    show_default=True,
    metavar="N",
    help="Actions under way at a time.",
)
@click.option(
    "--canary/--no-canary",
    default=True,
    show_default=True,
    help="Begin with a few actions, and look at them before the rest (limits.yaml).",
)
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def command(
    *, plan: str | None, asked: Asked, auto_approve: bool, max_parallel: int, canary: bool, as_json: bool
) -> int:
    """Carry out PLAN, exactly as it is written. Without PLAN: make one, show it, ask, and apply it.

    A run that was interrupted is brought to its end first.
    """
    terminal.set_up_logging()
    settings = settings_here()
    if plan is not None and asked.narrowed:
        raise click.UsageError("A plan is applied as it is: its options were given when it was made.")
    if plan is None and not auto_approve and not terminal.at_a_terminal():
        raise click.UsageError("Nobody can be asked here. Name a plan, or say --auto-approve.")
    run = _Run(settings, from_settings.open_store(settings), max_parallel=max_parallel, canary=canary, as_json=as_json)
    try:
        code = run.with_settled(_apply(run, plan, asked, auto_approve=auto_approve))
    except (click.Abort, click.ClickException):
        raise
    except Exception as error:
        run.tell(error.exit_code if isinstance(error, ReconcilerError) else ExitCode.ERROR, error)
        raise
    run.tell(code)
    run.erase_old()
    return code


def _apply(run: _Run, plan: str | None, asked: Asked, *, auto_approve: bool) -> int:
    named = run.store.get_plan(plan) if plan is not None else None
    target = asked.target if named is None else named.target
    if named is not None and asked.named_target not in {None, target}:
        raise click.UsageError(f"Plan {named.id} is for {target}, not for {asked.named_target}.")
    run.target = target
    run.settings.require(ACTUAL[target], *((DESIRED[target],) if named is None else ()))
    if run.settings.paused:
        raise Paused("nothing is written: RECONCILER_PAUSED is set", next_step="Unset it, then run this again.")
    try:
        with run.allowed_to_write(target):
            run.settle(target, named)
            if run.was_stopped(named):
                return exit_code(None, run.stopping)
            if named is not None:
                return run.carry_out(named)
            made = _make_and_ask(run, asked, auto_approve=auto_approve)
            return made if isinstance(made, int) else run.carry_out(made)
    except Halted as error:
        if not run.was_stopped(named):
            raise Paused(f"nothing more is written: {error.what}", next_step=error.next_step) from error
        return exit_code(None, run.stopping)
    except (click.Abort, KeyboardInterrupt):
        if not run.wrote:
            raise
        click.echo("Interrupted. Nothing more was written; what was is in the outcome.", err=True)
        return ExitCode.PARTIAL


def _make_and_ask(run: _Run, asked: Asked, *, auto_approve: bool) -> Plan | int:
    """A new plan that somebody agreed to; or the exit code where there is nothing to apply, or nobody agreed."""
    made = make(run.settings, asked)
    click.echo(render(made, "text"), nl=False, err=run.as_json)
    run.night = Night(exit_code=ExitCode.DONE, plan=made.id, counts=Counts(held=made.summary.held))
    if made.applyable and not made.actions:  # who greps the log finds a quiet night, too
        click.echo(f"\n{daily_summary((), asked.target)}", nl=False, err=run.as_json)
    if not made.applyable or not made.actions:
        return plan_exit_code(made, detailed=False)
    if not auto_approve and not terminal.confirm("Apply this plan? Only `yes` is accepted"):
        click.echo("Nothing was written. The plan is stored.", err=True)
        run.night = None
        return ExitCode.DONE
    return made


class _Run:
    """One `reconcile apply`: the lock, what an earlier run left, and the plan itself."""

    def __init__(self, settings: Settings, store: PlanStore, *, max_parallel: int, canary: bool, as_json: bool) -> None:
        self.settings = settings
        self.store = store
        self.as_json = as_json
        self.target: Target = "contacts"
        """What it is about, once that is known."""
        self.night: Night | None = Night(exit_code=ExitCode.DONE)
        """What there is to tell of it so far; None where somebody at the terminal wanted none of it."""
        self._max_parallel = max_parallel
        self._canary = canary
        self._caution = Caution()
        self.stopping = Stopping()
        self._settled: dict[str, RunOutcome] = {}
        """What became of the runs that had been interrupted, by the id of the plan."""
        self._progress: Progress | None = None
        self.wrote = False
        """Whether anything may have been written by now."""

    @contextmanager
    def allowed_to_write(self, target: Target) -> Iterator[None]:
        """Nobody else applies while the block lasts, and whatever is begun is recorded."""
        rules = from_settings.read_rules(self.settings.rules)
        self._caution = Caution(rules.limits.canary if self._canary else (), rules.limits.error_budget)
        self._needed = rules.limits.approval
        with controller.allowed_to_write(
            from_settings.open_state(self.settings),
            holder=f"process {os.getpid()} on {socket.gethostname()}",
            store=self.store,
            open_writer=lambda: from_settings.open_writer(self.settings, rules, target),
            now=terminal.now,
            max_parallel=self._max_parallel,
            progress=self._report,
            stop=self.stopping.reason,
        ):
            yield

    def settle(self, target: Target, named: Plan | None) -> None:
        """Bring what was interrupted to its end, and show it."""
        for made in self._await(controller.settle(now=terminal.now, target=target)):
            self.wrote = True
            click.echo(f"Plan {made.id} had been interrupted; it was brought to its end.", err=True)
            asked_for = named is not None and named.id == made.id
            self._settled[made.id] = self._show(made, aside=self.as_json and not asked_for)

    def was_stopped(self, named: Plan | None) -> bool:
        """Whether a signal came before the plan was begun, so that nothing is: not even planning, which takes minutes.
        Says what to run then.
        """
        if self.stopping.signal is None or (named is not None and named.id in self._settled):
            return False
        again = "reconcile apply" if named is None else f"reconcile apply {named.id}"
        click.echo(f"Stopped by {self.stopping.signal.name}: nothing else was begun. Go on with: {again}", err=True)
        return True

    def with_settled(self, code: int) -> int:
        """The exit code of everything that was carried out: of the plan, and of what was settled before it."""
        troubled = any(one.summary.failed + one.summary.stale + one.summary.unknown for one in self._settled.values())
        return ExitCode.PARTIAL if troubled and code in {ExitCode.DONE, ExitCode.HELD} else code

    def carry_out(self, made: Plan) -> int:
        """Apply a plan, show what became of it, and say so by the exit code."""
        if made.id not in self._settled:
            applied = not self.store.has_outcome(made.id)
            applied = applied and self._await(controller.apply_durably(made, caution=self._caution_for(made)))
            if not applied:
                click.echo(f"Plan {made.id} was applied already. Nothing was written.", err=True)
                self.night = self.night if self._settled else None  # or whoever repeats it has good nights for ever
                return ExitCode.DONE
            self.wrote = True
            self._show(made)
        run = self.store.get_outcome(made.id)
        code = exit_code(run, self.stopping)
        self.night = night_of(run, exit_code=code)
        return code

    def _caution_for(self, made: Plan) -> Caution:
        """How this plan is carried out: in bulk where that is set, and without the classes that nobody approved."""
        wanting = approvals_wanting(made, store=self.store, needed=self._needed, at=terminal.now())
        for says in wanting.values():
            click.echo(f"Held: {says}", err=True)
        return msgspec.structs.replace(
            self._caution,
            in_bulk=from_settings.goes_in_bulk(made, self.settings),
            unapproved={str(do): says for do, says in wanting.items()},
        )

    def erase_old(self) -> None:
        """Take personal data out of old plans. What prevents it is said, and does not change how the run ended."""
        try:
            from_settings.erase_old(self.store, self.settings, now=terminal.now)
        except ReconcilerError as error:
            show_error(error)

    def tell(self, code: int, error: Exception | None = None) -> None:
        """Tell those who are to hear of it how this ended."""
        if self.night is None:
            return
        kind = None if error is None else type(error).__name__
        # Where the state database failed, it says so once. LockHeld and Paused are of it, and no such failure.
        warning = None if type(error) is StateError else self._silence()
        if warning is not None:
            click.echo(f"Warning: {warning}", err=True)
        earlier = [run for plan_id, run in self._settled.items() if plan_id != self.night.plan]
        night = msgspec.structs.replace(
            with_earlier(self.night, earlier), exit_code=code, error=kind, link=self._link(), silence=warning
        )
        notify, heartbeat = self.settings.notify, self.settings.heartbeat_url
        tell(
            night,
            notify=None if notify is None else notify.reveal(),
            heartbeat=None if heartbeat is None else heartbeat.reveal(),
        )

    def _silence(self) -> str | None:
        """What there is to say of the webhook, where one is set up. What prevents the look is said, and no more.

        Of the runs of a night only the one for contacts looks: they are what its events are about.
        """
        if self.target != "contacts" or not self.settings.intercom_client_secrets:
            return None
        try:
            with closing(from_settings.open_state(self.settings)) as database:
                return silence(heard(database), now=terminal.now()) if database.exists() else None
        except ReconcilerError as error:
            show_error(error)
            return None

    def _link(self) -> str | None:
        """Where who is told can read the plan, if the service is set up for it."""
        plan = self.night.plan if self.night is not None else None
        if plan is None or self.settings.api_token is None or self.settings.public_url is None:
            return None
        return from_settings.link_to(plan, self.settings, until=terminal.now() + LINK_LASTS)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        async def noting_signals() -> T:
            with signals_noted(self.stopping):
                return await work

        # Bars are drawn while something is written, and no longer: they would wipe the question off the screen.
        with terminal.showing_progress() as self._progress:
            return asyncio.run(noting_signals())

    def _report(self, stage: str, done: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(stage, done, total)

    def _show(self, made: Plan, *, aside: bool = False) -> RunOutcome:
        """Show what became of a plan. aside: for people alone, as stdout is for another."""
        run = self.store.get_outcome(made.id)
        if self.as_json and not aside:
            click.echo(outcome_file.encode(run).decode(), nl=False)
        else:
            text = outcome_text(
                run,
                width=terminal.width(),
                colour=terminal.in_colour(),
                limit_lines=LINES_SHOWN,
                target=made.target,
            )
            click.echo(text, nl=False, err=aside)
        return run


def exit_code(run: RunOutcome | None, stopping: Stopping) -> int:
    """143 after SIGTERM, 4 where anything failed, went stale or is unknown, 3 where something was held, else 0.

    run: None where none was begun.
    """
    if stopping.signal is signal.SIGTERM:
        return ExitCode.STOPPED
    counts = Counts() if run is None else run.summary
    if counts.failed or counts.stale or counts.unknown or stopping.signal is not None:
        return ExitCode.PARTIAL
    return ExitCode.HELD if counts.held else ExitCode.DONE
