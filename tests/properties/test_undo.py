"""What was applied can be taken back: for each action that says so, to the very values."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from reconciler import controller
from reconciler.core.actions import Outcome
from reconciler.core.guards import Accepted
from reconciler.core.plan import Plan
from reconciler.runs.store import PlanStore
from tests.properties.found import FOUND
from tests.properties.night import Desk, open_desk, run
from tests.properties.strategies import Union, unions
from tests.support.campaign import WORLDS

STRIPPED = str.maketrans("", "", " ()-")
"""What Intercom strips from a phone, so that no write can bring it back (help article 6311200)."""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all worlds."""
    with asyncio.Runner() as one:
        yield one


@given(union=unions())
@settings(max_examples=WORLDS, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_undo_restores_what_it_promises(runner: asyncio.Runner, union: Union) -> None:
    """Plan, apply, undo, apply: the owned fields of every exactly undoable action are as they were before the first."""
    check(runner, union)


@pytest.mark.parametrize("union", FOUND.values(), ids=FOUND.keys())
def test_worlds_that_were_found(runner: asyncio.Runner, union: Union) -> None:
    """Each world that once went wrong."""
    check(runner, union)


def check(runner: asyncio.Runner, union: Union) -> None:
    """There and back, and what must hold then."""
    with open_desk(union) as desk:
        before = desk.state()
        made, back, outcomes = run(runner, there_and_back(desk))
        after = desk.state()
    planned = {action.id for action in made.actions if action.undo == "exact"}
    exact = {action.contact for action in made.actions if action.undo == "exact"}
    assert {one.outcome for one in outcomes if one.contact in exact} <= {"done"}, outcomes
    for action in made.actions:
        if action.id in planned and action.contact is not None:
            assert owned(after[action.contact], union) == owned(before[action.contact], union), action
    told = {finding.contact for finding in back.findings}
    assert {action.contact for action in made.actions if action.contact is not None} <= told


async def there_and_back(desk: Desk) -> tuple[Plan, Plan, tuple[Outcome, ...]]:
    """Two plans: one of the rules, one that takes it back."""
    made = await desk.plan("first")
    await desk.apply(made, "first")
    store = PlanStore(str(desk.folder / "first"))
    back = controller.undo(
        made,
        store.get_outcome(made.id),
        rules=desk.union.rules,
        store=PlanStore(str(desk.folder / "back")),
        accepted=Accepted(),
        now=desk.clock.moment,
    )
    return made, back, await desk.apply(back, "back")


def owned(contact: dict[str, Any], union: Union) -> dict[str, Any]:
    """The fields we own, and whether it is live."""
    values = {field: value_of(contact, field) for field in union.rules.contacts.fields}
    return values | {"_state": contact["_state"]}


def value_of(contact: dict[str, Any], field: str) -> Any:
    """A field by its path, blank as None, a phone as Intercom keeps it."""
    prefix, _, name = field.partition("custom_attributes.")
    value = contact["custom_attributes"].get(name) if not prefix and name else contact.get(field)
    if field == "phone" and isinstance(value, str):
        value = value.translate(STRIPPED)
    return value or None
