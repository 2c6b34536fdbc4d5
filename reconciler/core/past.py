"""Contacts that were archived and are there again: what a comparison and a timeline both ask of stored records.

Four modules look back, each for another reader: `history.py` is what the planner remembers of the last days, for
limits and freezing; `compare.py` holds two plans against each other; `trends.py` is one line a run; `timeline.py` is
all that happened to one subject. None of the last three decides anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from reconciler.core import erasure
from reconciler.core.actions import Action, Outcome
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan

_CONTACT_ROW = "intercom contacts/"
"""How the evidence of a contact's own values begins."""


class Archived(msgspec.Struct, frozen=True):
    """A contact that a run archived. `plan` asked for it, `at` is when its run ended: UTC, ISO 8601, like all times."""

    contact: str
    plan: str
    at: str


class CameBack(msgspec.Struct, frozen=True):
    """A contact that was archived and, without us, is live again. `seen` is when it was read."""

    contact: str
    archived_by: str
    archived_at: str
    seen: str


def ends(plan: Plan, run: RunOutcome | None) -> dict[str, Outcome]:
    """Id of an action of the plan → what became of it.

    Where ids were taken out of either record, by what they are about: the same kind, member, row and contact.
    """
    if run is None:
        return {}
    found = {outcome.action: outcome for outcome in run.outcomes if not erasure.is_gone(outcome.action)}
    ended = {action.id: found.pop(action.id) for action in plan.actions if action.id in found}
    gone = [outcome for outcome in run.outcomes if erasure.is_gone(outcome.action)]
    left: dict[tuple[str | None, ...], deque[Outcome]] = {}
    for outcome in (*found.values(), *gone):
        left.setdefault(_about(outcome), deque()).append(outcome)
    for action in plan.actions:
        same = left.get(_about(action)) if action.id not in ended else None
        if same and (erasure.is_gone(action.id) or erasure.is_gone(same[0].action)):
            ended[action.id] = same.popleft()
    return ended


def _about(one: Action | Outcome) -> tuple[str | None, ...]:
    """A create has no contact, and its outcome the one that it made."""
    return one.do, one.member, one.row, None if one.do == "create" else one.contact


def archives(run: RunOutcome) -> Iterator[Archived]:
    """The contacts that a run archived for sure."""
    for outcome in run.outcomes:
        if outcome.do == "archive" and outcome.outcome == "done" and outcome.contact is not None:
            yield Archived(outcome.contact, run.plan, run.finished_at)


def restored(outcome: Outcome) -> str | None:
    """The contact that we ourselves brought back by this: an unarchive, or a create that found it archived."""
    return outcome.contact if outcome.outcome == "done" and outcome.do in {"unarchive", "create"} else None


def read_at(plan: Plan) -> str:
    """When the contacts that the plan was decided on had been read: UTC, ISO 8601."""
    return plan.inputs.actual.read_at or plan.created_at


def seen_live(plan: Plan) -> frozenset[str]:
    """The contacts that the plan names and that were live when it was made.

    A snapshot holds live contacts only, so whatever a plan finds or changes is live; but for what it unarchives. A
    contact that is as it should be is named nowhere: that it is back shows once there is something to say of it.
    """
    return frozenset(_named(plan))


def _named(plan: Plan) -> Iterator[str]:
    away = {action.contact for action in plan.actions if action.do == "unarchive"}
    for action in plan.actions:
        yield from (one for one in (action.contact, action.into) if one is not None and one not in away)
    for finding in plan.findings:
        if finding.contact is not None and finding.contact not in away:
            yield finding.contact
        for evidence in finding.evidence:
            contact = evidence.origin.removeprefix(_CONTACT_ROW)
            if contact != evidence.origin and contact not in away:
                yield contact


def came_back(runs: Iterable[RunOutcome], plan: Plan) -> tuple[CameBack, ...]:
    """The contacts that these runs, in any order, archived and left so, and that `plan` found live later on."""
    moment = read_at(plan)
    latest: dict[str, tuple[str, Archived | None]] = {}
    for run in runs:
        if run.finished_at >= moment:
            continue
        ends = [(contact, None) for contact in map(restored, run.outcomes) if contact is not None]
        for contact, archived in [*ends, *((one.contact, one) for one in archives(run))]:
            if contact not in latest or latest[contact][0] <= run.finished_at:
                latest[contact] = (run.finished_at, archived)
    back = (latest[contact] for contact in sorted(seen_live(plan)) if contact in latest)
    return tuple(CameBack(one.contact, one.plan, at, moment) for at, one in back if one is not None)
