"""A person's consent to classes of actions (limits.yaml, `approval`): given for one plan, and asked for before it
runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from reconciler.core.actions import Do
from reconciler.core.approval import Approval, command, counts_of, unapproved
from reconciler.core.assembly import timestamp
from reconciler.core.plan import Plan, digest_of, encode
from reconciler.errors import PlanRefused
from reconciler.runs.runnable import check_runnable
from reconciler.runs.store import PlanStore


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
