"""What waits for what: an action for those in its `after`, and for the action before it of the same member."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from reconciler.core.actions import Action
from reconciler.errors import PlanUnreadable


def waits_of(actions: tuple[Action, ...]) -> dict[str, tuple[str, ...]]:
    """For each action, in the order in which they may run, the ids of those that must have ended before it."""
    by_id = {action.id: action for action in actions}
    _check_ids(actions, known=by_id)
    waits: dict[str, tuple[str, ...]] = {}
    last_of: dict[str, str] = {}
    for action in (by_id[action_id] for action_id in _order(actions, by_id)):
        lane = action.member or action.contact or action.id
        before = last_of.get(lane)
        waits[action.id] = action.after if before is None else (*action.after, before)
        last_of[lane] = action.id
    return waits


def _check_ids(actions: tuple[Action, ...], *, known: dict[str, Action]) -> None:
    if len(known) != len(actions):
        raise _unsound("two of its actions have the same id")
    for action in actions:
        stranger = next((before for before in action.after if before not in known), None)
        if stranger is not None:
            raise _unsound(f"action {action.id} waits for {stranger}, which is not in the plan")
    try:
        TopologicalSorter({action.id: action.after for action in actions}).prepare()
    except CycleError as error:
        raise _unsound("these actions wait for each other: " + ", ".join(error.args[1])) from error


def _unsound(what: str) -> PlanUnreadable:
    return PlanUnreadable(f"the plan cannot be carried out: {what}", next_step="Make a new plan with `reconcile plan`.")


def _order(actions: tuple[Action, ...], by_id: dict[str, Action]) -> Iterable[str]:
    """Plan order, but each action after those in its `after`, wherever the plan lists them."""
    order: dict[str, None] = {}
    for action in actions:
        stack = [action.id]
        while stack:
            missing = [before for before in by_id[stack[-1]].after if before not in order]
            if missing:
                stack.extend(reversed(missing))
            else:
                order.setdefault(stack.pop())
    return order
