"""Contacts that people edit between plan and apply: exactly those are stale, and the rest is done (failure mode B1).

Every subset of the contacts that a plan finds and may be surprised by; a plan of twenty minutes, so that even a plain
update reads its contact first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.runs.apply import apply_plan
from reconciler.simulator import Options, Simulator, build_app
from reconciler.targets.intercom import IntercomTarget
from tests.report.plans import make_plan
from tests.targets.support import START, TOKEN, clock, run
from tests.targets.test_faults_campaign import ACTIONS, OWNED, WORLD, Night, differences, flagged, quiet_night

EDITS: dict[str, tuple[str, dict[str, Any]]] = {
    "a1": ("c2", {"external_id": "77"}),
    "u1": ("c1", {"external_id": "78"}),
    "u3": ("c3", {"custom_attributes": {"region": "NNE"}}),
    "p4": ("c4", {"role": "user", "external_id": "79"}),
    "m5": ("c5", {"role": "user", "external_id": "80", "email": "dora.own@example.org"}),
    "u6": ("c6", {"custom_attributes": {"region": "NNE"}}),
    "a8": ("c8", {"external_id": "81"}),
    "u10": ("c10", {"name": "Hall"}),
}
"""For each action that expects something of a contact: whom a person edits, and how."""

SUBSETS = [[name for bit, name in enumerate(EDITS) if number >> bit & 1] for number in range(2 ** len(EDITS))]
CHUNK = 32


def night(edited: Iterable[str]) -> Night:
    """Edit the contacts of these actions, then apply the plan."""
    simulator = Simulator(
        Options(token=TOKEN),
        clock=lambda: START,
        reset_error=httpx.ReadError,
        timeout_error=httpx.ReadTimeout,
    )
    simulator.seed(WORLD)
    simulator.clock = clock
    transport = httpx.ASGITransport(app=build_app(simulator))
    made = datetime.fromtimestamp(START, UTC) - timedelta(minutes=20)
    plan = make_plan(
        *ACTIONS,
        workspace=simulator.world.workspace.id,
        created_at=made.isoformat(),
        expires_at=(made + timedelta(days=1)).isoformat(),
    )

    async def main() -> tuple[Outcome, ...]:
        headers = {"authorization": f"Bearer {TOKEN}", "intercom-version": "2.16"}
        async with httpx.AsyncClient(transport=transport, base_url="http://intercom.test", headers=headers) as person:
            for name in edited:
                contact, changed = EDITS[name]
                (await person.put(f"/contacts/{contact}", json=changed)).raise_for_status()
        async with IntercomTarget(
            token=TOKEN, base_url="http://intercom.test", owned=OWNED, transport=transport, clock=clock
        ) as target:
            return await apply_plan(
                plan,
                target,
                now=lambda: datetime.fromtimestamp(clock(), UTC),
                max_parallel=4,
                progress=lambda _what, _done, _total: None,
                stop=lambda: None,
            )

    return Night(simulator, run(main))


def expected(edited: list[str]) -> dict[str, str]:
    """What becomes of each action: stale if its contact was edited, held if it waits for one that was not done."""
    ends = {one.action: str(one.outcome) for one in quiet_night().outcomes}
    for action in ACTIONS:
        ends[action.id] = _end(action, edited, ends)
    return ends


def _end(action: Action, edited: list[str], ends: dict[str, str]) -> str:
    if any(ends[before] != "done" for before in action.after):
        return "held"
    return "stale" if action.id in edited else ends[action.id]


def has(contact: dict[str, Any], changed: dict[str, Any]) -> bool:
    """Whether the contact is as the person left it."""
    flat = contact | {"custom_attributes": {"region": contact["custom_attributes"].get("region")}}
    return all(flat[field] == value for field, value in changed.items())


@pytest.mark.parametrize("first", range(0, len(SUBSETS), CHUNK))
def test_exactly_the_edited_are_stale_and_the_rest_is_done(first: int) -> None:
    """Whoever edited a contact keeps what they wrote, and nobody else's contact waits for it."""
    for edited in SUBSETS[first : first + CHUNK]:
        one = night(edited)
        assert {outcome.action: outcome.outcome for outcome in one.outcomes} == expected(edited), edited
        assert differences(one) <= flagged(one), edited
        contacts = dict(one.contacts())
        stale = [outcome.action for outcome in one.outcomes if outcome.outcome == "stale"]
        assert all(has(contacts[EDITS[name][0]], EDITS[name][1]) for name in stale), edited
