"""The conflict ladder: what a 409 leads to, step by step, against hand-made answers and against the stand-in."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.errors import ScopeMissing
from reconciler.simulator import Call, Fault, Options, Simulator
from reconciler.targets.intercom.execute import execute
from tests.targets.support import (
    CANARIES,
    TOKEN,
    Intercom,
    Reply,
    answer,
    client_of,
    clock,
    contact,
    refusal,
    run,
    target_over,
)

LIVE = refusal(409, "conflict", "A contact matching those details already exists with id=c9")
ARCHIVED = refusal(409, "conflict", "An archived contact matching those details already exists with id=c9")
THIRD = refusal(409, "conflict", "Multiple existing users match this email address")
GONE = refusal(404, "not_found", "User Not Found")
BACK = answer(200, {"type": "contact", "id": "c9", "archived": False})
AWAY = answer(200, {"type": "contact", "id": "c9", "archived": True})
UNBLOCKED = answer(200, {"type": "contact", "id": "c9", "blocked": False})
BLOCKED = refusal(400, "not_restorable", "This user was blocked and cannot be recreated")
MERGED = refusal(400, "bad_request", "User has been merged and is not restorable.")
DELETED = refusal(400, "bad_request", "User has been marked for permanent deletion and is not restorable")
LOST = httpx.ReadTimeout("no answer")
REFUSED = refusal(400, "parameter_invalid")

POST, GET, PUT = "POST /contacts", "GET /contacts/c9", "PUT /contacts/c9"
UNARCHIVE, ARCHIVE, UNBLOCK = (f"POST /contacts/c9/{verb}" for verb in ("unarchive", "archive", "unblock"))

CREATE = Action(
    id="n1",
    do="create",
    member="12345",
    set={"role": "user", "external_id": "12345", "email": "jane.canary@example.org", "name": "Jane Canary"},
)
UPDATE = Action(id="u1", do="update", contact="c1", member="12345", set={"external_id": "12345"})
PROMOTE = Action(id="p1", do="promote", contact="c1", member="12345", set={"role": "user", "external_id": "12345"})
UUID = "0e2f4a9c-5b7d-4c1e-9a63-000000000001"


def holder(**fields: Any) -> httpx.Response:
    """The contact that the 409 names."""
    return answer(200, contact("c9", **fields))


def act(action: Action, *replies: Reply, restore_archived: bool = True) -> Outcome:
    """What became of it."""
    intercom = Intercom(list(replies))

    async def main() -> Outcome:
        async with client_of(intercom) as client:
            return await execute(client, action, reread=False, restore_archived=restore_archived)

    return run(main)


Case = tuple[str, Action, list[Reply], str, list[str], str]

CASES: list[Case] = [
    # reason, action, what Intercom answers, outcome, calls, what is said
    ("the member's own contact, as wanted", CREATE, [LIVE, holder()], "done", [f"{POST} 409", f"{GET} 200"], "already"),
    (
        "the member's own contact, with another name",
        CREATE,
        [LIVE, holder(name="Jane Doe")],
        "failed",
        [f"{POST} 409", f"{GET} 200"],
        "differs in name",
    ),
    (
        "a spouse's contact with the same e-mail",
        CREATE,
        [LIVE, holder(external_id="777")],
        "failed",
        [f"{POST} 409", f"{GET} 200"],
        "another's",
    ),
    (
        "the holder is archived by the time it is read",
        CREATE,
        [LIVE, GONE],
        "failed",
        [f"{POST} 409", f"{GET} 404"],
        "plan again",
    ),
    (
        "an update whose number a duplicate has: the contact itself is not as wanted",
        UPDATE,
        [LIVE, holder()],
        "failed",
        ["PUT /contacts/c1 409", f"{GET} 200"],
        "duplicate",
    ),
    (
        "a promotion whose number a user has",
        PROMOTE,
        [answer(200, contact(role="lead")), LIVE, holder()],
        "failed",
        ["GET /contacts/c1 200", "PUT /contacts/c1 409", f"{GET} 200"],
        "duplicate",
    ),
    ("a third text", CREATE, [THIRD], "failed", [f"{POST} 409"], "does not name"),
    (
        "an archived contact of the member, by number",
        CREATE,
        [ARCHIVED, BACK, holder(name="old"), holder()],
        "done",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} 200"],
        "restored",
    ),
    (
        "by e-mail, with an old UUID",
        CREATE,
        [ARCHIVED, BACK, holder(external_id=UUID), holder()],
        "done",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} 200"],
        "restored",
    ),
    (
        "by e-mail, with the number that it gave up as a duplicate",
        CREATE,
        [ARCHIVED, BACK, holder(external_id="duplicate-c9"), holder()],
        "done",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} 200"],
        "restored",
    ),
    (
        "by e-mail, with another's number: put back",
        CREATE,
        [ARCHIVED, BACK, holder(external_id="777"), AWAY],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{ARCHIVE} 200"],
        "another's",
    ),
    (
        "with neither number nor e-mail: put back",
        CREATE,
        [ARCHIVED, BACK, holder(external_id=None, email="x@example.org"), AWAY],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{ARCHIVE} 200"],
        "neither",
    ),
    (
        "a number that a third contact holds: put back",
        CREATE,
        [ARCHIVED, BACK, holder(external_id=None), LIVE, AWAY],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} 409", f"{ARCHIVE} 200"],
        "archived again",
    ),
    (
        "a value that it does not take: put back",
        CREATE,
        [ARCHIVED, BACK, holder(name="old"), REFUSED, AWAY],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} 400", f"{ARCHIVE} 200"],
        "archived again",
    ),
    (
        "what cannot be put back is said to be live",
        CREATE,
        [ARCHIVED, BACK, holder(external_id="777"), REFUSED],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{ARCHIVE} 400"],
        "is live",
    ),
    (
        "somebody put it back before us",
        CREATE,
        [ARCHIVED, BACK, holder(external_id="777"), GONE],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{ARCHIVE} 404"],
        "another's",
    ),
    (
        "an unarchive whose answer is lost, done",
        CREATE,
        [ARCHIVED, LOST, holder(), holder(), holder()],
        "done",
        [f"{POST} 409", f"{UNARCHIVE} no answer", f"{GET} 200", f"{GET} 200", f"{PUT} 200"],
        "recovered",
    ),
    (
        "the update after it is lost, and cannot be read back",
        CREATE,
        [ARCHIVED, BACK, holder(name="old"), LOST, GONE],
        "unknown",
        [f"{POST} 409", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} no answer", f"{GET} 404"],
        "archived, deleted",
    ),
    (
        "a blocked person, where Intercom can unblock",
        CREATE,
        [ARCHIVED, BLOCKED, UNBLOCKED, BACK, holder(name="old"), holder()],
        "done",
        [f"{POST} 409", f"{UNARCHIVE} 400", f"{UNBLOCK} 200", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} 200"],
        "restored",
    ),
    (
        "a blocked person, where it cannot",
        CREATE,
        [ARCHIVED, BLOCKED, GONE],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 400", f"{UNBLOCK} 404"],
        "unblock in the Intercom UI",
    ),
    (
        "an unblock that changes nothing",
        CREATE,
        [ARCHIVED, BLOCKED, UNBLOCKED, BLOCKED],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 400", f"{UNBLOCK} 200", f"{UNARCHIVE} 400"],
        "unblock in the Intercom UI",
    ),
    (
        "an unblock whose answer is lost: the unarchive shows whether it took",
        CREATE,
        [ARCHIVED, BLOCKED, LOST, BACK, holder(), holder()],
        "done",
        [f"{POST} 409", f"{UNARCHIVE} 400", f"{UNBLOCK} no answer", f"{UNARCHIVE} 200", f"{GET} 200", f"{PUT} 200"],
        "unblock was lost",
    ),
    ("merged", CREATE, [ARCHIVED, MERGED], "failed", [f"{POST} 409", f"{UNARCHIVE} 400"], "merged into another"),
    (
        "pending deletion",
        CREATE,
        [ARCHIVED, DELETED],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 400"],
        "deleted for good",
    ),
    (
        "an unknown third text of the unarchive",
        CREATE,
        [ARCHIVED, refusal(400, "bad_request", "No.")],
        "failed",
        [f"{POST} 409", f"{UNARCHIVE} 400"],
        "bad_request (No.)",
    ),
    ("gone since", CREATE, [ARCHIVED, GONE], "failed", [f"{POST} 409", f"{UNARCHIVE} 404"], "gone by now"),
    (
        "an update that meets an archived contact restores nobody",
        UPDATE,
        [ARCHIVED],
        "failed",
        ["PUT /contacts/c1 409"],
        "Contact c9, archived",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_the_ladder(case: Case) -> None:
    """Each step is in the outcome, none is guessed, and no text holds anybody's data."""
    reason, action, replies, verdict, calls, says = case
    outcome = act(action, *replies)
    assert (outcome.outcome, list(outcome.calls)) == (verdict, calls), f"{reason}: {outcome.says}"
    assert says in outcome.says
    assert not any(canary in outcome.says for canary in CANARIES)


def test_what_was_done_is_recorded_with_the_contact() -> None:
    """A restored contact counts as the created one, with what it was sent; one found is sent nothing."""
    restored = act(CREATE, ARCHIVED, BACK, holder(name="old"), holder())
    assert (restored.contact, restored.sent) == ("c9", CREATE.set)
    present = act(CREATE, LIVE, holder())
    assert (present.contact, present.sent, present.read_back) == ("c9", {}, CREATE.set)
    kept = act(CREATE, LIVE, holder(name="Jane Doe"))
    assert (kept.contact, kept.sent, kept.code, kept.request_id) == (None, {}, "conflict", "req-1")


def test_restoring_can_be_refused() -> None:
    """Who wants archived contacts to stay archived says so once, and each create that meets one is reported."""
    outcome = act(CREATE, ARCHIVED, restore_archived=False)
    assert (outcome.outcome, outcome.code, list(outcome.calls)) == ("failed", "conflict", [f"{POST} 409"])
    assert "may not restore" in outcome.says


def test_a_missing_scope_ends_everything_here_too() -> None:
    """A 403 in the middle of the ladder stops all writes, with the calls so far."""
    with pytest.raises(ScopeMissing) as caught:
        act(CREATE, ARCHIVED, refusal(403, "forbidden"))
    assert caught.value.__notes__ == [f"Action n1, calls so far: {POST} 409, {UNARCHIVE} 403"]


# the stand-in

SEED: list[dict[str, Any]] = [
    {"id": "c1", "external_id": "1", "email": "a@example.org", "name": "Ann", "_archived": True},
    {"id": "c2", "external_id": "2", "email": "b@example.org", "_blocked": True},
    {"id": "c3", "external_id": "3", "email": "c@example.org", "_merged_into": "c4"},
    {"id": "c4", "external_id": "4", "email": "d@example.org"},
]


def world(**options: Any) -> Simulator:
    """The stand-in with the contacts above, in virtual time."""
    simulator = Simulator(
        Options(token=TOKEN, **options),
        clock=lambda: 1_800_000_003.0,
        reset_error=httpx.ReadError,
        timeout_error=httpx.ReadTimeout,
    )
    simulator.seed([msgspec.json.encode(line) for line in SEED])
    simulator.clock = simulator.world.clock = clock
    return simulator


def create_in(simulator: Simulator, *numbers: str, **fields: Any) -> list[Outcome]:
    """Create users under these numbers, one after the other."""

    async def main() -> list[Outcome]:
        async with target_over(simulator) as target:
            return [
                await target.execute(
                    Action(id=f"n{number}", do="create", member=number, set={"external_id": number} | fields),
                    reread=False,
                )
                for number in numbers
            ]

    return run(main)


def state_of(simulator: Simulator, contact_id: str) -> str:
    """Where a contact is."""
    return simulator.world.people.get(contact_id).state  # type: ignore[union-attr]  # it was seeded


def test_the_members_archived_contact_comes_back() -> None:
    """Instead of a second one, and with what the plan wants of it."""
    simulator = world()
    (outcome,) = create_in(simulator, "1", name="Anna")
    assert (outcome.outcome, outcome.contact) == ("done", "c1"), outcome.says
    assert state_of(simulator, "c1") == "live"
    assert len(simulator.world.people) == len(SEED)


def test_a_person_blocked_and_one_merged_are_reported_and_the_run_goes_on() -> None:
    """No call of the public description unblocks, and a merged contact never comes back."""
    simulator = world(blocked_as_archived=True)
    blocked, merged, restored = create_in(simulator, "2", "3", "1")
    assert [blocked.outcome, merged.outcome, restored.outcome] == ["failed", "failed", "done"]
    assert "unblock in the Intercom UI" in blocked.says
    assert blocked.calls[-1] == "POST /contacts/c2/unblock 404"
    assert "merged into another" in merged.says


def test_a_blocked_person_comes_back_where_intercom_can_unblock() -> None:
    """The endpoint exists somewhere, or will one day; then nothing more is needed."""
    simulator = world(blocked_as_archived=True, unblock_endpoint=True)
    (outcome,) = create_in(simulator, "2")
    assert (outcome.outcome, outcome.contact) == ("done", "c2"), outcome.says
    assert state_of(simulator, "c2") == "live"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.RATE_LIMIT])
def test_no_single_fault_on_the_ladder_doubles_or_loses_anybody(fault: Fault) -> None:
    """Whichever of its calls goes wrong: one contact has the number, or the outcome tells that something is open."""
    clean = world()
    create_in(clean, "1", name="Anna")
    for struck in range(1, len(clean.calls) + 1):
        simulator = world(hold=1.0)

        def strike(call: Call, phase: str, struck: int = struck) -> Fault | None:
            return fault if call.number == struck and phase == "before" else None

        simulator.hook = strike
        (outcome,) = create_in(simulator, "1", name="Anna")
        if outcome.outcome == "done":
            assert simulator.world.people.get("c1").name == "Anna", f"call {struck}"  # type: ignore[union-attr]  # seeded
        else:
            assert outcome.outcome == "unknown", f"call {struck}: {outcome.says}"
        assert len(simulator.world.people) == len(SEED)


@pytest.mark.parametrize("lag", [0.0, 60.0, 600.0])
def test_a_contact_that_the_snapshot_missed_is_not_created_twice(lag: float) -> None:
    """A stale plan, and a search that lags by minutes: the second create meets the first one, and is done; and search
    was never asked.
    """
    simulator = world(lag=lag)
    first, second = create_in(simulator, "9", "9", name="Ida", email="i@example.org")
    (other,) = create_in(simulator, "9", name="Ida May", email="i@example.org")
    assert [one.outcome for one in (first, second, other)] == ["done", "done", "failed"]
    assert first.contact == second.contact
    assert len(simulator.world.people) == len(SEED) + 1
    assert not any("search" in call.path for call in simulator.calls)
