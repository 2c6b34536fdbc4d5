"""What was applied is taken back through the real client: in part, twice, and where identifiers changed hands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.core.drafts import released
from reconciler.core.guards import Accepted
from reconciler.core.model import silent
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.rules import Limits
from reconciler.core.undo import undo_plan
from reconciler.runs.apply import Stop, apply_plan
from reconciler.simulator import Call, Fault, Options, Simulator
from tests.report.plans import make_plan
from tests.targets.support import START, TOKEN, clock, run, target_over

UUID = "0e2f4a9c-5b7d-4c1e-9a63-000000000001"
SURVIVOR = {"id": "c1", "role": "user", "external_id": UUID, "email": "s@example.org"}
DUPLICATE = {"id": "c2", "role": "user", "external_id": "1", "email": "d@example.org"}
LEAD = {"id": "c2", "role": "lead", "external_id": None, "email": "d@example.org"}

GIVEN_UP: dict[str, Any] = {name: released(name, "c2") for name in ("external_id", "email")}
ARCHIVE = Action(
    id="a2",
    do="archive",
    contact="c2",
    member="1",
    expect={"role": "user", "external_id": "1", "email": "d@example.org"},
    set=GIVEN_UP,
)
MERGE = Action(
    id="m2",
    do="merge",
    contact="c2",
    into="c1",
    member="1",
    expect={"role": "lead", "email": "d@example.org"},
    set={"email": GIVEN_UP["email"]},
    undo="none",
)
TAKE_OVER = Action(
    id="u1",
    do="update",
    contact="c1",
    member="1",
    expect={"external_id": UUID, "email": "s@example.org"},
    set={"external_id": "1", "email": "d@example.org"},
    after=("a2",),
)


def workspace(*people: dict[str, Any]) -> Simulator:
    """Contacts, and nothing else."""
    simulator = Simulator(Options(token=TOKEN), clock=lambda: START)
    simulator.seed([msgspec.json.encode(one) for one in people])
    simulator.clock = clock
    return simulator


def plan_of(simulator: Simulator, *actions: Action) -> Plan:
    """A plan for this workspace."""
    at = datetime.fromtimestamp(START - 60, UTC)
    times = {"created_at": at.isoformat(), "expires_at": at.replace(year=at.year + 1).isoformat()}
    return make_plan(*actions, workspace=simulator.world.workspace.id, **times)


def applied(simulator: Simulator, plan: Plan, *, stop: Stop = lambda: None) -> tuple[Outcome, ...]:
    """Carry it out, one action after the other."""

    async def main() -> tuple[Outcome, ...]:
        async with target_over(simulator) as target:
            at = datetime.fromtimestamp(START, UTC)
            return await apply_plan(plan, target, now=lambda: at, max_parallel=1, progress=silent, stop=stop)

    return run(main)


def taken_back(plan: Plan, outcomes: tuple[Outcome, ...]) -> Plan:
    """The plan that takes back what was done."""
    times = {"started_at": "", "finished_at": ""}
    done = RunOutcome(plan=plan.id, plan_digest="", summary=count(outcomes), outcomes=outcomes, **times)
    at = datetime.fromtimestamp(START + 1, UTC)
    return undo_plan(plan, done, now=at, tool="t", limits=Limits(), accepted=Accepted(), previous=None)


def contacts(simulator: Simulator) -> dict[str, tuple[str, str | None, str | None]]:
    """State, external id and e-mail of each contact."""
    states = msgspec.json.decode(simulator.state_json())
    return {
        one["id"]: (state, one["external_id"], one["email"])
        for state in ("live", "archived", "merged")
        for one in states[state]
    }


def verdicts(outcomes: tuple[Outcome, ...]) -> list[str]:
    """How each action ended."""
    return [one.outcome for one in outcomes]


def once_archived(simulator: Simulator, contact: str) -> Stop:
    """Nothing more is begun once a contact is archived."""
    return lambda: "paused" if contacts(simulator)[contact][0] == "archived" else None


def no_archive(call: Call, _phase: str) -> Fault | None:
    """Other apps use up the limit once identifiers are given up."""
    return Fault.RATE_LIMIT if call.path.endswith(("/archive", "/merge")) else None


def test_stopped_before_the_survivor_took_them() -> None:
    """The identifiers that a duplicate gave up come back to it, as nobody else has got them."""
    simulator = workspace(SURVIVOR, DUPLICATE)
    before = contacts(simulator)
    plan = plan_of(simulator, ARCHIVE, TAKE_OVER)
    outcomes = applied(simulator, plan, stop=once_archived(simulator, "c2"))
    assert verdicts(outcomes) == ["done", "held"]
    assert verdicts(applied(simulator, taken_back(plan, outcomes))) == ["done"]
    assert contacts(simulator) == before


def test_taken_back_and_taken_back_again() -> None:
    """The second undo is the first apply again: what is archived once more gives up its identifiers once more."""
    simulator = workspace(SURVIVOR, DUPLICATE)
    before = contacts(simulator)
    plan = plan_of(simulator, ARCHIVE, TAKE_OVER)
    outcomes = applied(simulator, plan)
    after = contacts(simulator)
    for wanted in (before, after, before):
        plan = taken_back(plan, outcomes)
        outcomes = applied(simulator, plan)
        assert verdicts(outcomes) == ["done", "done"]
        assert contacts(simulator) == wanted


def test_a_created_contact_gives_up_what_another_gets_back() -> None:
    """It is archived, and of archived contacts, too, Intercom keeps e-mails unique."""
    simulator = workspace({"id": "c1", "role": "user", "external_id": "1", "email": "x@example.org"})
    before = contacts(simulator)
    update = Action(
        id="u1",
        do="update",
        contact="c1",
        member="1",
        expect={"email": "x@example.org"},
        set={"email": "y@example.org"},
    )
    wanted: dict[str, Any] = {"role": "user", "external_id": "2", "email": "x@example.org"}
    create = Action(id="n2", do="create", member="2", set=wanted, after=("u1",), undo="partial")
    plan = plan_of(simulator, update, create)
    outcomes = applied(simulator, plan)
    assert verdicts(outcomes) == ["done", "done"]
    assert verdicts(applied(simulator, taken_back(plan, outcomes))) == ["done", "done"]
    assert contacts(simulator)["c1"] == before["c1"]


@pytest.mark.parametrize(("action", "person"), [(ARCHIVE, DUPLICATE), (MERGE, LEAD)], ids=["archive", "merge"])
@pytest.mark.parametrize("seen_by", ["the run", "whoever closed it"])
def test_what_failed_after_it_gave_up_its_identifiers(action: Action, person: dict[str, Any], seen_by: str) -> None:
    """No plan would tie it to its member any more: the outcome says so, and an undo gives them back."""
    simulator = workspace(SURVIVOR, person)
    before = contacts(simulator)
    plan = plan_of(simulator, action)
    simulator.hook = no_archive
    outcomes = applied(simulator, plan)
    simulator.hook = None
    assert contacts(simulator)["c2"][2] == GIVEN_UP["email"]
    if seen_by != "the run":
        outcomes = (looked_at(simulator, action),)
        assert "it gave up its identifiers" in outcomes[0].says
    assert verdicts(outcomes) == ["failed"]
    assert verdicts(applied(simulator, taken_back(plan, outcomes))) == ["done"]
    assert contacts(simulator) == before


def looked_at(simulator: Simulator, action: Action) -> Outcome:
    """What a run that is closed says of it."""

    async def main() -> Outcome:
        async with target_over(simulator) as target:
            return await target.look(action)

    return run(main)
