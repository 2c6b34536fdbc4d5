"""Checks of the nights: what was planned and done, and what stands in the way of the next one."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.core.health import Check, amber, green, red
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.doctor.around import Around
from reconciler.doctor.facts import NotLookedAt
from reconciler.doctor.words import ago, lasting
from reconciler.report.facts import breached, counts_line
from reconciler.report.outcome import counts_line as ended_line
from reconciler.runs.notify import FAILURES_NOTED

ONE_NIGHT, TWO_NIGHTS = timedelta(hours=26), timedelta(hours=50)
"""From the end of a night to that of the next but so many, with two hours to spare."""

LONG_RUN = timedelta(hours=3)
"""20,000 members at 167 calls a second take minutes."""

MANY_ORPHANS, ORPHANS_FLOOR = 0.01, 50
"""Share of the contacts, and number, above which orphans are worth a look (as the limit on archives in limits.yaml)."""

_RUN_NOW = "Run `reconcile apply --auto-approve`; if it fails, its last lines say why."
_ORPHAN = "orphan-contact"


def plans(around: Around) -> Check:
    """Plans can be kept, and those that are can be read."""
    found = around.records.value(asks="plans")
    place = around.settings.plans
    if found.not_read:
        return amber(
            "plans",
            f"{found.count} in {place}, {found.not_read} of the newest are of another release or damaged",
            "Nothing, right after an upgrade; else restore the folder from a backup.",
        )
    return green("plans", f"{found.count} in {place}")


def newest_plan(around: Around) -> Check:
    """There is a plan of last night, and it was not refused."""
    plan = _newest(around, "plan")
    if plan is None:
        return amber("plan", "none is stored", "Run `reconcile plan`.")
    age = ago(datetime.fromisoformat(plan.created_at), around.now)
    says = f"{plan.id}, {age}: {counts_line(plan)}"
    if not plan.applyable:
        return red("plan", says, "Look at the source first; docs/runbook.md, `Exit 3: held or refused`.")
    if around.now - datetime.fromisoformat(plan.created_at) > ONE_NIGHT:
        return amber("plan", says, "Run `reconcile plan`.")
    return green("plan", says)


def held(around: Around) -> Check:
    """No class of actions is over its limit."""
    plan = _newest(around, "held")
    if plan is None or not plan.summary.held:
        return green("held", "nothing")
    classes = ", ".join(check.limit for check in breached(plan))
    return amber(
        "held",
        f"{plan.summary.held} actions of plan {plan.id}: {classes} over the limit",
        f"Read them: `reconcile show {plan.id}`. If they are right: `reconcile plan --accept CLASS=N --reason TEXT`.",
    )


def orphans(around: Around) -> Check:
    """Few contacts carry a member number that nobody holds."""
    plan = _newest(around, "orphans")
    if plan is None:
        return green("orphans", "no plan to look at")
    mended = {because.finding for action in plan.actions for because in action.because}
    count = sum(1 for one in plan.findings if one.rule == _ORPHAN and one.id not in mended)
    says = f"{count} in plan {plan.id}"
    if count > max(ORPHANS_FLOOR, MANY_ORPHANS * (plan.inputs.actual.count or 0)):
        return amber("orphans", says, f"`reconcile plan --rule {_ORPHAN}`; rules/findings.yaml says what is done.")
    return green("orphans", says)


def positions(around: Around) -> Check:
    """Where the positions are mirrored, last night's job did it, and what it wrote was done."""
    records = around.records.value(asks="positions")
    plan, run = records.newest("positions"), records.last_run("positions")
    if plan is None:
        return green("positions", "no plan of theirs is stored: not mirrored from here")
    made = datetime.fromisoformat(plan.created_at)
    says = f"{plan.id}, {ago(made, around.now)}: {counts_line(plan)}"
    step = "docs/runbook.md, `Positions are stale`."
    if not plan.applyable:
        return red("positions", says, step)
    if run is not None and _failures(run):
        return amber("positions", f"{says} Plan {run.plan}: {ended_line(run)}", step)
    return amber("positions", says, step) if around.now - made > ONE_NIGHT else green("positions", says)


def last_run(around: Around) -> Check:
    """What was written last was done: few actions failed or ended unknown."""
    run = around.records.value(asks="last-run").last_run("contacts")
    if run is None:
        return green("last-run", "nothing has been applied lately")
    says = f"plan {run.plan}: {ended_line(run)}"
    step = f"The reasons are in {run.plan}.outcome.json; `reconcile plan` sees what is left to do."
    if _failures(run) > FAILURES_NOTED:
        return red("last-run", says, step)
    return amber("last-run", says, step) if _failures(run) else green("last-run", says)


def _failures(run: RunOutcome) -> int:
    return run.summary.failed + run.summary.unknown


def last_success(around: Around) -> Check:
    """A night ended well within the last two."""
    found = around.records.value(asks="last-success")
    success = found.last_success("contacts")
    if success is not None:
        says = f"{success:%Y-%m-%d %H:%M} UTC, {ago(success, around.now)}"
        if around.now - success <= ONE_NIGHT:
            return green("last-success", says)
        if around.now - success <= TWO_NIGHTS:
            return amber("last-success", f"{says}: one night is missing", _RUN_NOW)
        return red("last-success", f"{says}: nights are missing", _RUN_NOW)
    if not found.count:
        return amber("last-success", "none yet: no plan is stored here", _RUN_NOW)
    return red("last-success", f"none among the newest {len(found.plans)} nights", _RUN_NOW)


def _newest(around: Around, asks: str) -> Plan | None:
    return around.records.value(asks=asks).newest("contacts")


# --- the state database -----------------------------------------------------------------------------------------------


def state(around: Around) -> Check:
    """The state database can be reached, and outlives this machine where the plans do."""
    found = around.state.value(asks="state")
    if found.place.startswith("sqlite") and around.settings.plans.startswith("s3://"):
        return amber(
            "state",
            f"{found.place}: on this machine, while the plans are not",
            "Set RECONCILER_STATE_URL to a PostgreSQL database, so that another machine can take up a run.",
        )
    return green("state", found.place if found.there else f"{found.place}: made by the first run")


def lock(around: Around) -> Check:
    """Nobody holds the lock, or not for longer than a run takes."""
    holder = around.state.value(asks="lock").holder
    if holder is None:
        return green("lock", "free; nobody ever took it")
    when = f"since {holder.since:%Y-%m-%d %H:%M} UTC"
    if not holder.alive:
        return green("lock", f"free; last taken {holder.since:%Y-%m-%d %H:%M} UTC by {holder.who}")
    held_for = around.now - holder.since
    if held_for > LONG_RUN:
        return amber(
            "lock",
            f"held by {holder.who} {when}, {lasting(held_for)}",
            "See whether it still writes (its log). `reconcile pause` stops its writing, whatever it does.",
        )
    return green("lock", f"held by {holder.who} {when}")


def pause(around: Around) -> Check:
    """Writing is not paused."""
    if around.settings.paused:
        return amber("pause", "RECONCILER_PAUSED is set: nothing is written", "Unset it once writing is safe again.")
    reason = around.state.value(asks="pause").paused
    if reason is not None:
        return amber("pause", reason, "`reconcile resume`, once writing is safe again.")
    return green("pause", "not paused")


def interrupted(around: Around) -> Check:
    """No run was left unfinished."""
    unfinished = around.books.value(asks="interrupted").unfinished
    if not unfinished:
        return green("interrupted", "no run")
    says = f"plan {', '.join(unfinished)}"
    if _is_held(around):
        return green("interrupted", f"{says} is being applied now")
    return amber(
        "interrupted",
        f"{says} was begun and is not at its end",
        "`reconcile apply --auto-approve` first brings it to its end.",
    )


def _is_held(around: Around) -> bool:
    try:
        holder = around.state.value(asks="interrupted").holder
    except NotLookedAt:  # the check of the state database says why
        return False
    return holder is not None and holder.alive
