"""What the stored records tell whoever plans: the runs of the last days, and what the source held the last time."""

from __future__ import annotations

from datetime import datetime

from reconciler.core.guards import LastGood
from reconciler.core.history import REMEMBERED, History, PastRun, history_of
from reconciler.core.model import Target
from reconciler.runs.store import PlanStore


def recall(store: PlanStore, *, at: datetime) -> History:
    """What the runs did whose outcomes were stored in the last days before `at`."""
    return history_of(past_runs(store, at=at))


def past_runs(store: PlanStore, *, at: datetime) -> tuple[PastRun, ...]:
    """The runs whose outcomes were stored in the last days before `at`, oldest first."""
    runs = store.outcomes_since(at - REMEMBERED)
    return tuple(PastRun(run, takes_back=store.took_back(run)) for run in runs)


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
