"""What the stored plans and outcomes tell of the nights before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.core.trends import by_fewer_rules
from reconciler.core.undo import takes_back
from reconciler.errors import PlanUnreadable
from reconciler.runs.store import PlanStore

NIGHTS = 20
"""So many of the newest nights are looked at: a week of two jobs, and some by hand."""

MOST_READ = 1_000
"""Plans that are read to find them: the web service stores one for every event that had something to write."""


@dataclass(frozen=True, slots=True)
class Records:
    """plans: those of the newest nights, newest first. runs: their outcomes, by plan. count: of all plans.

    not_read: how many of those looked at are of another release, or damaged.

    A plan for some members, for an event, by `--rule`, or that takes back a run, is no night: it tells nothing of the
    union, and one a day would hide that no night came.
    """

    count: int
    plans: tuple[Plan, ...]
    runs: dict[str, RunOutcome]
    not_read: int = 0

    def newest(self, target: str) -> Plan | None:
        """The newest plan of a target."""
        return next((plan for plan in self.plans if plan.target == target), None)

    def last_run(self, target: str) -> RunOutcome | None:
        """The outcome of the newest plan of a target that has one."""
        return next((self.runs[one.id] for one in self.plans if one.target == target and one.id in self.runs), None)

    def last_success(self, target: str) -> datetime | None:
        """When a night of a target last ended well: nothing failed or is unknown, or there was nothing to do."""
        plans = [plan for plan in self.plans if plan.target == target]
        ends = [end for plan in plans if (end := _good_end(plan, self.runs.get(plan.id))) is not None]
        return max(ends, default=None)


def read_records(store: PlanStore) -> Records:
    """The newest records. Raises ReconcilerError where the place cannot be read or, as far as can be seen, not written;
    PlanUnreadable where the newest record is damaged, since nothing may be built on it.
    """
    store.look_ready()
    ids = store.list_ids()
    plans: list[Plan] = []
    runs: dict[str, RunOutcome] = {}
    not_read = 0
    for plan_id in reversed(ids[-MOST_READ:]):
        if len(plans) == NIGHTS:
            break
        try:
            plan = store.get_plan(plan_id)
            if not _is_night(plan):
                continue
            run = store.get_outcome(plan_id) if store.has_outcome(plan_id) else None
        except PlanUnreadable:
            not_read += 1  # said by the check, and no reason to be silent about the others
            continue
        plans.append(plan)
        if run is not None:
            runs[plan_id] = run
    return Records(len(ids), tuple(plans), runs, not_read)


def _is_night(plan: Plan) -> bool:
    """Whether all was read and decided, as every night; but for members left out on purpose (`--exclude`)."""
    if plan.inputs.members.count is None or takes_back(plan):
        return False
    return plan.basis is None or not (plan.basis.only or by_fewer_rules(plan.basis))


def _good_end(plan: Plan, run: RunOutcome | None) -> datetime | None:
    if run is not None:
        return None if run.summary.failed or run.summary.unknown else datetime.fromisoformat(run.finished_at)
    nothing_to_do = plan.applyable and not plan.actions
    return datetime.fromisoformat(plan.created_at) if nothing_to_do else None
