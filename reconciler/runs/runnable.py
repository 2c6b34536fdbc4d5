"""Whether a plan may be carried out here and now: asked before the first write."""

from __future__ import annotations

from datetime import datetime

from reconciler.core.plan import Plan
from reconciler.errors import PlanRefused, PlanUnreadable
from reconciler.targets import Writer


def check_runnable(plan: Plan, *, at: datetime) -> None:
    """Raises PlanRefused where the plan is not applyable, or has expired at this time."""
    if not plan.applyable:
        raise PlanRefused(
            f"plan {plan.id} is not applyable: " + "; ".join(plan.refused_because),
            next_step="Mend what the plan names, then make a new one with `reconcile plan`.",
        )
    if at >= time_of(plan.expires_at, plan=plan):
        raise PlanRefused(
            f"plan {plan.id} expired at {plan.expires_at}",
            next_step="Make a new plan with `reconcile plan`.",
        )


async def check_workspace(plan: Plan, writer: Writer) -> None:
    """Raises PlanRefused where the writer opens another workspace than the plan's."""
    workspace = await writer.workspace()
    if workspace.id == plan.workspace:
        return
    if plan.target == "positions":
        raise PlanRefused(
            f"plan {plan.id} was made for the project {plan.workspace}, but SUPABASE_URL names {workspace.id}",
            next_step="Apply it with the settings of its own project, or make a new one with `reconcile plan "
            "--target positions`.",
        )
    raise PlanRefused(
        f"plan {plan.id} was made for workspace {plan.workspace}, but the token opens {workspace.id}",
        next_step="Apply it with the token of its own workspace, or make a new plan with `reconcile plan`.",
    )


def time_of(text: str, *, plan: Plan) -> datetime:
    """A time that a plan holds. Raises PlanUnreadable where it is none, or without its zone."""
    next_step = "Make a new plan with `reconcile plan`."
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise PlanUnreadable(f"plan {plan.id} holds a time that is none: {text!r}", next_step=next_step) from error
    if time.tzinfo is None:
        raise PlanUnreadable(f"plan {plan.id} holds a time without its zone: {text!r}", next_step=next_step)
    return time
