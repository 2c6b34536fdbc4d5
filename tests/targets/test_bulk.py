"""Updates in bulk: fewer calls where there are many, and never a job's word taken for anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.errors import Unauthorized
from reconciler.simulator import Call, Fault, Options, Simulator, build_app
from reconciler.targets.intercom import IntercomTarget, Patience
from reconciler.targets.intercom.bulk import POLLS, costs_less, is_plain
from tests.targets.support import START, TOKEN, clock, run, target_over

Hook = Callable[[Call, str], Fault | None]

OWNED = frozenset({"region", "shoe_size"})
MANY = 250
BULK = ("PUT", "/contacts/bulk")


def world(contacts: int = MANY, **options: Any) -> Simulator:
    """So many members of one region."""
    simulator = Simulator(
        Options(token=TOKEN, **options),
        clock=lambda: START,
        reset_error=httpx.ReadError,
        timeout_error=httpx.ReadTimeout,
    )
    people = [
        {"id": f"c{number}", "external_id": str(number), "custom_attributes": {"region": "NEA"}}
        for number in range(contacts)
    ]
    simulator.seed([msgspec.json.encode(line) for line in people])
    simulator.clock = simulator.world.clock = clock
    return simulator


def move(number: int, **changes: Any) -> Action:
    """A member moves to another region."""
    action = Action(
        id=f"u{number}",
        do="update",
        contact=f"c{number}",
        member=str(number),
        expect={"custom_attributes.region": "NEA"},
        set={"custom_attributes.region": "NWP"},
    )
    return msgspec.structs.replace(action, **changes)


EVERYBODY = [move(number) for number in range(MANY)]


def apply(
    simulator: Simulator, actions: list[Action], *, reread: bool = False, hook: Hook | None = None
) -> tuple[Outcome, ...]:
    """Carry the actions out in bulk."""
    simulator.hook = hook

    async def main() -> tuple[Outcome, ...]:
        async with target_over(simulator, owned=OWNED, patience=Patience(attempts=3)) as target:
            return await target.execute_bulk(actions, reread=reread)

    return run(main)


def asked(simulator: Simulator, method: str, path: str) -> int:
    """How many calls of one kind were answered."""
    return sum((call.method, call.path) == (method, path) for call in simulator.calls)


def regions(simulator: Simulator) -> set[Any]:
    """The regions that members have now."""
    return {contact.custom_attributes["region"] for contact in simulator.world.people}


def test_many_updates_are_a_few_calls() -> None:
    """100 a call, one job watched, and all contacts read back by list: each outcome holds its own calls."""
    simulator = world()
    outcomes = apply(simulator, EVERYBODY)
    assert [outcome.action for outcome in outcomes] == [action.id for action in EVERYBODY]
    assert {outcome.outcome for outcome in outcomes} == {"done"}
    assert regions(simulator) == {"NWP"}
    assert outcomes[0].calls == ("PUT /contacts/bulk 202", "GET /contacts 200")
    assert outcomes[0].sent == outcomes[0].read_back == {"custom_attributes.region": "NWP"}
    assert len(simulator.calls) <= math.ceil(MANY / 100) + math.ceil(MANY / 150) + 10
    assert {call.path for call in simulator.calls if call.method == "PUT"} == {"/contacts/bulk"}


def test_with_reread_only_what_is_as_expected_goes_in_bulk() -> None:
    """A contact that a person edited since the plan is stale, and one that is as wanted needs nothing."""
    simulator = world()
    for number, region in ((3, "NSW"), (4, "NWP")):
        known = simulator.world.people.get(f"c{number}")
        assert known is not None
        simulator.world.people.put(msgspec.structs.replace(known, custom_attributes={"region": region}), at=None)
    outcomes = apply(simulator, EVERYBODY, reread=True)
    assert [outcome.outcome for outcome in outcomes] == ["done"] * 3 + ["stale"] + ["done"] * (MANY - 4)
    assert outcomes[4].calls == ("GET /contacts/c4 200",)
    assert regions(simulator) == {"NWP", "NSW"}


def test_few_updates_go_alone() -> None:
    """Their own answers show the contact, so reading all contacts for them would be a waste."""
    simulator = world()
    outcomes = apply(simulator, EVERYBODY[:5])
    assert [outcome.calls for outcome in outcomes] == [(f"PUT /contacts/c{number} 200",) for number in range(5)]
    assert len(simulator.calls) == 5


@pytest.mark.parametrize(
    ("updates", "contacts", "reread", "less"),
    [
        (20_000, 20_000, False, True),
        (2_000, 20_000, False, True),
        (140, 20_000, False, False),
        (160, 20_000, False, True),
        (9, 9, False, False),
        (10, 10, False, True),
        (145, 20_000, True, True),
        (0, 0, False, False),
    ],
)
def test_bulk_is_taken_where_it_costs_less(updates: int, contacts: int, *, reread: bool, less: bool) -> None:
    """All contacts have to be listed after it, whoever was changed."""
    assert costs_less(updates, contacts, reread=reread) is less


def test_a_caller_who_knows_how_many_contacts_there_are_saves_a_call() -> None:
    """Two hundred of very many: no call but those that write."""
    simulator = world()

    async def main() -> tuple[Outcome, ...]:
        async with target_over(simulator, owned=OWNED) as target:
            return await target.execute_bulk(EVERYBODY[:200], reread=False, contacts=50_000)

    assert {outcome.outcome for outcome in run(main)} == {"done"}
    assert len(simulator.calls) == 200


@pytest.mark.parametrize(
    "action",
    [
        move(1, set={"external_id": "7"}),
        move(1, set={"email": "a@example.org"}),
        move(1, set={"role": "user"}),
        move(1, set={"custom_attributes.region": None}),
        move(1, set={}),
        Action(id="a1", do="archive", contact="c1"),
        Action(id="n1", do="create", set={"name": "Ann"}),
    ],
    ids=["external id", "e-mail", "role", "clearing", "nothing", "archive", "create"],
)
def test_only_plain_updates_go_in_bulk(action: Action) -> None:
    """Identifiers may be in conflict, of which a job says nothing; and no field of the bulk update is nullable."""
    assert not is_plain(action)


def test_everything_else_is_done_alone_beside_it() -> None:
    """The caller need not sort its actions, and one value that cannot be sent keeps no other from it."""
    simulator = world()
    others = [
        move(0, id="e0", set={"external_id": "e0"}, expect={}),
        move(1, id="x1", set={"name": "x" * 300}, expect={}),
    ]
    outcomes = apply(simulator, [*EVERYBODY[2:], *others])
    assert [outcome.outcome for outcome in outcomes] == ["done"] * (MANY - 1) + ["failed"]
    assert outcomes[-2].calls == ("PUT /contacts/c0 200",)
    assert outcomes[-1].code == "unsendable"


def test_what_the_job_rejects_is_done_alone_and_says_why() -> None:
    """The job names nobody; a call of its own does."""
    simulator = world()
    archived = simulator.world.people.get("c7")
    assert archived is not None
    simulator.world.people.put(msgspec.structs.replace(archived, state="archived"), at=None)
    outcomes = apply(simulator, EVERYBODY)
    assert [outcome.action for outcome in outcomes if outcome.outcome != "done"] == ["u7"]
    assert (outcomes[7].outcome, outcomes[7].code) == ("stale", "not_found")
    assert outcomes[7].calls == ("PUT /contacts/bulk 202", "GET /contacts/c7 404")


def test_a_job_that_ends_and_did_nothing_is_found_out() -> None:
    """Done is what the contacts show, and what they do not show is sent alone."""
    simulator = world()
    simulator.jobs._took = lambda item: item["id"] != "c9"  # type: ignore[method-assign]
    outcomes = apply(simulator, EVERYBODY)
    assert {outcome.outcome for outcome in outcomes} == {"done"}
    assert regions(simulator) == {"NWP"}
    assert outcomes[8].calls == ("PUT /contacts/bulk 202", "GET /contacts/c8 200", "PUT /contacts/c8 200")


def test_a_job_that_never_ends_is_waited_for_only_so_long() -> None:
    """Then the contacts are looked at, and written alone; should the job run after all, it writes the same."""
    simulator = world(bulk_seconds=3600.0)
    outcomes = apply(simulator, EVERYBODY)
    assert {outcome.outcome for outcome in outcomes} == {"done"}
    assert regions(simulator) == {"NWP"}
    assert asked(simulator, "GET", "/contacts/bulk/job_v2_3") == len(POLLS)


REFUSALS = [(403, "forbidden"), (400, "intercom_version_invalid"), (404, "not_found"), (422, "parameter_invalid")]


@pytest.mark.parametrize(("status", "code"), REFUSALS)
def test_without_the_preview_everything_goes_alone(status: int, code: str) -> None:
    """It may be withdrawn any day, or the token lack its scope; that is asked once, and stops no other write."""
    simulator = world()
    app = httpx.ASGITransport(app=build_app(simulator))
    refused = 0

    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal refused
            if request.url.path != "/contacts/bulk":
                return await app.handle_async_request(request)
            refused += 1
            return httpx.Response(status, json={"type": "error.list", "errors": [{"code": code, "message": "no"}]})

    async def main() -> tuple[Outcome, ...]:
        async with IntercomTarget(
            token=TOKEN, base_url="http://intercom.test", owned=OWNED, transport=Refusing(), clock=clock
        ) as target:
            return await target.execute_bulk(EVERYBODY, reread=False)

    outcomes = run(main)
    assert {outcome.outcome for outcome in outcomes} == {"done"}
    assert outcomes[0].calls == (f"PUT /contacts/bulk {status}", "PUT /contacts/c0 200")
    assert outcomes[-1].calls == (f"PUT /contacts/c{MANY - 1} 200",) or refused == 1
    assert regions(simulator) == {"NWP"}


FAULTS = [fault for fault in Fault if fault is not Fault.RATE_LIMIT]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_is_looked_up_and_never_believed(fault: Fault) -> None:
    """Whichever bulk call loses its answer, before or after its effect: everybody ends as wanted, and is known to."""
    for struck in range(1, 4):
        simulator = world(hold=1.0)
        seen = 0

        def strike(call: Call, phase: str, struck: int = struck) -> Fault | None:
            nonlocal seen
            if (call.method, call.path) != BULK or phase != "before":
                return None
            seen += 1
            return fault if seen == struck else None

        outcomes = apply(simulator, EVERYBODY, hook=strike)
        assert {outcome.outcome for outcome in outcomes} == {"done"}, f"call {struck}"
        assert all(outcome.sent for outcome in outcomes)
        assert regions(simulator) == {"NWP"}
        assert asked(simulator, *BULK) == 3


def test_where_nothing_can_be_read_back_the_outcome_is_unknown() -> None:
    """Intercom goes down between the job and the reading: nobody may call these failed, or done."""
    simulator = world()

    def down(call: Call, phase: str) -> Fault | None:
        sent = asked(simulator, *BULK) >= 3
        return Fault.ERROR_BEFORE if sent and phase == "before" and "bulk" not in call.path else None

    outcomes = apply(simulator, EVERYBODY, hook=down)
    assert {outcome.outcome for outcome in outcomes} == {"unknown"}
    assert outcomes[0].sent == {"custom_attributes.region": "NWP"}


def test_a_token_that_ends_is_raised_while_nothing_is_sent_and_told_after_that() -> None:
    """What went out must stay on record."""
    before = world()
    before.options = replace(before.options, token="another")
    with pytest.raises(Unauthorized):
        apply(before, EVERYBODY)
    after = world()

    def ends(call: Call, phase: str) -> Fault | None:
        if phase == "before" and call.path.startswith("/contacts/bulk/"):
            after.options = replace(after.options, token="another")
        return None

    outcomes = apply(after, EVERYBODY, hook=ends)
    assert {(outcome.outcome, outcome.code) for outcome in outcomes} == {("unknown", "unauthorized")}


def test_stopped_before_it_was_read_back() -> None:
    """What went in bulk may have taken, and no other word is true of it."""
    simulator = world()
    stopped: list[str] = []

    def pauses(call: Call, phase: str) -> Fault | None:
        if (call.method, call.path) == ("GET", "/contacts"):
            stopped.append("paused")
            return Fault.ERROR_BEFORE if phase == "before" else None
        return None

    simulator.hook = pauses

    async def main() -> tuple[Outcome, ...]:
        async with target_over(simulator, owned=OWNED, patience=Patience(attempts=1)) as target:
            target.halt_when(lambda: stopped[0] if stopped else None)
            return await target.execute_bulk(EVERYBODY, reread=False, contacts=MANY)

    outcomes = run(main)
    assert stopped
    assert {one.outcome for one in outcomes} == {"unknown"}
    assert {one.says for one in outcomes} == {"It went in bulk, and was then looked at alone. paused"}


def test_attributes_known_to_be_wrong_are_held_here_too() -> None:
    """They would be rejected by the job without a word."""
    simulator = world()
    wrong = move(0, id="s0", set={"custom_attributes.shoe_size": "43"})

    async def main() -> tuple[Outcome, ...]:
        async with target_over(simulator, owned=OWNED) as target:
            await target.check_attributes()
            return await target.execute_bulk([wrong, *EVERYBODY], reread=False)

    outcomes = run(main)
    assert [outcome.outcome for outcome in outcomes] == ["held"] + ["done"] * MANY
