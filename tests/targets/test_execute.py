"""One action: compared, written, verified, and read back where an answer is lost."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.errors import PlanRefused, ScopeMissing, Unauthorized
from reconciler.targets.intercom.execute import execute
from tests.targets.support import CANARIES, Intercom, Reply, answer, client_of, contact, html, refusal, run

LINK = '</contacts/c9>; rel="canonical"'
LOST = httpx.ReadTimeout("no answer")
GONE = refusal(404, "not_found", "User Not Found")
MERGED = refusal(410, "contact_merged", link=LINK)
ARCHIVED = answer(200, {"type": "contact", "id": "c1", "archived": True})
UNARCHIVED = answer(200, {"type": "contact", "id": "c1", "archived": False})
PUT, GET = "PUT /contacts/c1", "GET /contacts/c1"
POST_ARCHIVE, POST_UNARCHIVE = "POST /contacts/c1/archive", "POST /contacts/c1/unarchive"
POST_MERGE, GET_INTO = "POST /contacts/merge", "GET /contacts/c9"
FIND = "GET /contacts/find_by_external_id/{external_id}"


def found(**fields: Any) -> httpx.Response:
    """The contact, as GET and PUT answer it."""
    return answer(200, contact(**fields))


def survivor(**fields: Any) -> httpx.Response:
    """The user that a lead is merged into."""
    return answer(200, contact("c9", **fields))


def act(action: Action, *replies: Reply, reread: bool = False) -> tuple[Outcome, Intercom]:
    """What became of it, and who was asked."""
    intercom = Intercom(list(replies))

    async def main() -> Outcome:
        async with client_of(intercom) as client:
            return await execute(client, action, reread=reread)

    return run(main), intercom


UPDATE = Action(
    id="u1",
    do="update",
    contact="c1",
    member="12345",
    expect={"phone": "765", "custom_attributes.region": "Eastern"},
    set={"phone": "+17654657031", "custom_attributes.region": "Western"},
)
BEFORE: dict[str, Any] = {"phone": "765", "custom_attributes": {"region": "Eastern"}}
AFTER: dict[str, Any] = {"phone": "+17654657031", "custom_attributes": {"region": "Western"}}
PROMOTE = Action(
    id="p1",
    do="promote",
    contact="c1",
    expect={"role": "lead", "external_id": None},
    set={"role": "user", "external_id": "12345"},
)
LEAD: dict[str, Any] = {"role": "lead", "external_id": None}
CREATE = Action(
    id="n1",
    do="create",
    member="12345",
    set={"role": "user", "external_id": "12345", "email": "jane.canary@example.org", "name": "Jane Canary"},
)
ARCHIVE = Action(id="a1", do="archive", contact="c1", expect={"external_id": "12345"})
ARCHIVE_AFTER_PUT = Action(
    id="a2", do="archive", contact="c1", expect={"external_id": "12345"}, set={"external_id": "archived-12345"}
)
GIVEN_UP = {"external_id": "archived-12345"}
MERGE = Action(id="m1", do="merge", contact="c1", into="c9", expect={"role": "lead"})
SURE_MERGE = Action(
    id="m2",
    do="merge",
    contact="c1",
    into="c9",
    member="777",
    expect={"role": "lead"},
    expect_into={"external_id": "wp_5"},
)
UNARCHIVE = Action(id="r1", do="unarchive", contact="c1", set={"external_id": "777"})

Case = tuple[str, Action, bool, list[Reply], str, list[str]]

CASES: list[Case] = [
    # reason, action, reread, what Intercom answers, outcome, calls
    ("an update is one call", UPDATE, False, [found(**AFTER)], "done", [f"{PUT} 200"]),
    ("an update compared first", UPDATE, True, [found(**BEFORE), found(**AFTER)], "done", [f"{GET} 200", f"{PUT} 200"]),
    ("an update that somebody made already", UPDATE, True, [found(**AFTER)], "done", [f"{GET} 200"]),
    (
        "half of it made already: the rest is still wanted",
        UPDATE,
        True,
        [found(phone="765", custom_attributes={"region": "Western"}), found(**AFTER)],
        "done",
        [f"{GET} 200", f"{PUT} 200"],
    ),
    ("a contact that a person edited", UPDATE, True, [found(**BEFORE | {"phone": "999"})], "stale", [f"{GET} 200"]),
    ("a contact archived since", UPDATE, True, [GONE], "stale", [f"{GET} 404"]),
    ("a contact archived since, not compared", UPDATE, False, [GONE], "stale", [f"{PUT} 404"]),
    ("a contact merged since", UPDATE, True, [MERGED], "stale", [f"{GET} 410"]),
    ("a contact merged since, not compared", UPDATE, False, [MERGED], "stale", [f"{PUT} 410"]),
    ("a value that Intercom drops", UPDATE, False, [found(**BEFORE)], "failed", [f"{PUT} 200"]),
    (
        "an effect before a 5xx",
        UPDATE,
        False,
        [refusal(500, "x"), found(**AFTER)],
        "done",
        [f"{PUT} 500", f"{GET} 200"],
    ),
    (
        "a 5xx before the effect: sent once more",
        UPDATE,
        False,
        [html(502), found(**BEFORE), found(**AFTER)],
        "done",
        [f"{PUT} 502", f"{GET} 200", f"{PUT} 200"],
    ),
    (
        "two lost answers, the second with its effect",
        UPDATE,
        False,
        [LOST, found(**BEFORE), LOST, found(**AFTER)],
        "done",
        [f"{PUT} no answer", f"{GET} 200", f"{PUT} no answer", f"{GET} 200"],
    ),
    (
        "two lost answers and no effect: never a third",
        UPDATE,
        False,
        [LOST, found(**BEFORE), LOST, found(**BEFORE)],
        "unknown",
        [f"{PUT} no answer", f"{GET} 200", f"{PUT} no answer", f"{GET} 200"],
    ),
    (
        "a lost answer, and then another value than either",
        UPDATE,
        False,
        [LOST, found(**AFTER | {"phone": "999"})],
        "unknown",
        [f"{PUT} no answer", f"{GET} 200"],
    ),
    (
        "a lost answer and no read-back",
        UPDATE,
        False,
        [LOST],
        "unknown",
        [f"{PUT} no answer", *[f"{GET} no answer"] * 3],
    ),
    (
        "a lost answer, and the token ends before the read-back",
        UPDATE,
        False,
        [LOST, refusal(401, "unauthorized")],
        "unknown",
        [f"{PUT} no answer", f"{GET} 401"],
    ),
    (
        "a lost answer to a contact that is gone meanwhile",
        UPDATE,
        False,
        [LOST, GONE],
        "unknown",
        [f"{PUT} no answer", f"{GET} 404"],
    ),
    ("a body cut off", UPDATE, False, [html(200), found(**AFTER)], "done", [f"{PUT} 200", f"{GET} 200"]),
    ("no connection at all", UPDATE, False, [httpx.ConnectError("x")], "failed", [f"{PUT} no answer"] * 3),
    ("throttled to the end", UPDATE, False, [refusal(429, "rate_limit_exceeded")], "failed", [f"{PUT} 429"] * 3),
    ("identifiers held by another", UPDATE, False, [refusal(409, "conflict", "x")], "failed", [f"{PUT} 409"]),
    ("a value it does not take", UPDATE, False, [refusal(400, "parameter_invalid")], "failed", [f"{PUT} 400"]),
    (
        "a promotion is always compared first",
        PROMOTE,
        False,
        [found(**LEAD), found()],
        "done",
        [f"{GET} 200", f"{PUT} 200"],
    ),
    ("a lead that became another user", PROMOTE, False, [found(external_id="9")], "stale", [f"{GET} 200"]),
    ("a create", CREATE, False, [found()], "done", ["POST /contacts 200"]),
    (
        "a create whose answer is lost, found",
        CREATE,
        False,
        [LOST, found()],
        "done",
        ["POST /contacts no answer", f"{FIND} 200"],
    ),
    (
        "a create whose answer is lost, not found: never sent again",
        CREATE,
        False,
        [LOST, GONE],
        "unknown",
        ["POST /contacts no answer", f"{FIND} 404"],
    ),
    (
        "a create whose answer is lost, found with other values",
        CREATE,
        False,
        [LOST, found(name="Somebody")],
        "unknown",
        ["POST /contacts no answer", f"{FIND} 200"],
    ),
    (
        "a create of a run that was lost, looked for first",
        CREATE,
        True,
        [found()],
        "done",
        [f"{FIND} 200"],
    ),
    (
        "a create looked for first, not there",
        CREATE,
        True,
        [GONE, found()],
        "done",
        [f"{FIND} 404", "POST /contacts 200"],
    ),
    ("a create whose external id another has", CREATE, True, [found(email="x@example.org")], "stale", [f"{FIND} 200"]),
    ("a create of a blocked person", CREATE, False, [refusal(400, "not_restorable")], "failed", ["POST /contacts 400"]),
    (
        "an archive is always compared first",
        ARCHIVE,
        False,
        [found(), ARCHIVED],
        "done",
        [f"{GET} 200", f"{POST_ARCHIVE} 200"],
    ),
    ("an archive of what is gone", ARCHIVE, False, [GONE], "stale", [f"{GET} 404"]),
    ("an archive of a contact that was edited", ARCHIVE, False, [found(external_id="9")], "stale", [f"{GET} 200"]),
    (
        "identifiers are given up before the archive",
        ARCHIVE_AFTER_PUT,
        False,
        [found(), found(**GIVEN_UP), ARCHIVED],
        "done",
        [f"{GET} 200", f"{PUT} 200", f"{POST_ARCHIVE} 200"],
    ),
    (
        "an archive taken up again in the middle",
        ARCHIVE_AFTER_PUT,
        True,
        [found(**GIVEN_UP), ARCHIVED],
        "done",
        [f"{GET} 200", f"{POST_ARCHIVE} 200"],
    ),
    (
        "an archive whose answer is lost, done",
        ARCHIVE,
        False,
        [found(), LOST, GONE],
        "done",
        [f"{GET} 200", f"{POST_ARCHIVE} no answer", f"{GET} 404"],
    ),
    (
        "an archive whose answer is lost, not done: sent once more",
        ARCHIVE_AFTER_PUT,
        False,
        [found(), found(**GIVEN_UP), LOST, found(**GIVEN_UP), ARCHIVED],
        "done",
        [f"{GET} 200", f"{PUT} 200", f"{POST_ARCHIVE} no answer", f"{GET} 200", f"{POST_ARCHIVE} 200"],
    ),
    (
        "an archive sent once more that finds the first one's effect",
        ARCHIVE,
        False,
        [found(), LOST, found(), GONE, GONE],
        "done",
        [f"{GET} 200", f"{POST_ARCHIVE} no answer", f"{GET} 200", f"{POST_ARCHIVE} 404", f"{GET} 404"],
    ),
    (
        "an archive whose answer is lost, and the contact edited",
        ARCHIVE,
        False,
        [found(), LOST, found(external_id="9")],
        "unknown",
        [f"{GET} 200", f"{POST_ARCHIVE} no answer", f"{GET} 200"],
    ),
    (
        "an archive that says it is none",
        ARCHIVE,
        False,
        [found(), UNARCHIVED],
        "failed",
        [f"{GET} 200", f"{POST_ARCHIVE} 200"],
    ),
    (
        "identifiers that cannot be given up stop the archive",
        ARCHIVE_AFTER_PUT,
        False,
        [found(), refusal(409, "conflict", "x")],
        "failed",
        [f"{GET} 200", f"{PUT} 409"],
    ),
    (
        "a merge",
        MERGE,
        False,
        [found(**LEAD), survivor(), survivor()],
        "done",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} 200"],
    ),
    ("a merge made already", MERGE, False, [MERGED], "done", [f"{GET} 410"]),
    ("a merge of a lead that became a user", MERGE, False, [found()], "stale", [f"{GET} 200"]),
    ("a merge of a lead that vanished", MERGE, False, [GONE], "stale", [f"{GET} 404"]),
    (
        "a merge whose answer is lost, done: 410, and the survivor is there",
        MERGE,
        False,
        [found(**LEAD), survivor(), LOST, MERGED, survivor()],
        "done",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} no answer", f"{GET} 410", f"{GET_INTO} 200"],
    ),
    (
        "the same with the 404 of older texts",
        MERGE,
        False,
        [found(**LEAD), survivor(), LOST, GONE, survivor()],
        "done",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} no answer", f"{GET} 404", f"{GET_INTO} 200"],
    ),
    (
        "a merge whose answer is lost, and both are gone",
        MERGE,
        False,
        [found(**LEAD), survivor(), LOST, GONE, GONE],
        "unknown",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} no answer", f"{GET} 404", f"{GET_INTO} 404"],
    ),
    (
        "a merge whose answer is lost, not done: sent once more",
        MERGE,
        False,
        [found(**LEAD), survivor(), LOST, found(**LEAD), survivor()],
        "done",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} no answer", f"{GET} 200", f"{POST_MERGE} 200"],
    ),
    (
        "a merge that Intercom does not believe",
        MERGE,
        False,
        [found(**LEAD), survivor(), refusal(400, "invalid_merge")],
        "failed",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} 400"],
    ),
    (
        "a merge into somebody who is gone: the lead keeps its identifiers",
        MERGE,
        False,
        [found(**LEAD), GONE],
        "stale",
        [f"{GET} 200", f"{GET_INTO} 404"],
    ),
    (
        "a merge into somebody who was merged since",
        MERGE,
        False,
        [found(**LEAD), MERGED],
        "stale",
        [f"{GET} 200", f"{GET_INTO} 410"],
    ),
    (
        "a merge into a lead",
        MERGE,
        False,
        [found(**LEAD), answer(200, contact("c9", role="lead"))],
        "stale",
        [f"{GET} 200", f"{GET_INTO} 200"],
    ),
    (
        "a merge into a user who is another member's by now",
        SURE_MERGE,
        False,
        [found(**LEAD), survivor(external_id="888")],
        "stale",
        [f"{GET} 200", f"{GET_INTO} 200"],
    ),
    (
        "a merge into a user who has lost the member's number",
        SURE_MERGE,
        False,
        [found(**LEAD), survivor(external_id=None)],
        "stale",
        [f"{GET} 200", f"{GET_INTO} 200"],
    ),
    (
        "a merge into a user who is as it was",
        SURE_MERGE,
        False,
        [found(**LEAD), survivor(external_id="wp_5"), survivor()],
        "done",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} 200"],
    ),
    (
        "a merge into a user who has got the member's number meanwhile",
        SURE_MERGE,
        False,
        [found(**LEAD), survivor(external_id="777"), survivor()],
        "done",
        [f"{GET} 200", f"{GET_INTO} 200", f"{POST_MERGE} 200"],
    ),
    (
        "an unarchive, then its fields",
        UNARCHIVE,
        False,
        [UNARCHIVED, found(external_id="777")],
        "done",
        [f"{POST_UNARCHIVE} 200", f"{PUT} 200"],
    ),
    (
        "an unarchive compared first: an archived contact cannot be read",
        UNARCHIVE,
        True,
        [GONE, UNARCHIVED, found(external_id="777")],
        "done",
        [f"{GET} 404", f"{POST_UNARCHIVE} 200", f"{PUT} 200"],
    ),
    (
        "an unarchive taken up again in the middle",
        UNARCHIVE,
        True,
        [found(), found(external_id="777")],
        "done",
        [f"{GET} 200", f"{PUT} 200"],
    ),
    (
        "an unarchive whose answer is lost, not done",
        UNARCHIVE,
        False,
        [LOST, GONE, UNARCHIVED, found(external_id="777")],
        "done",
        [f"{POST_UNARCHIVE} no answer", f"{GET} 404", f"{POST_UNARCHIVE} 200", f"{PUT} 200"],
    ),
    (
        "an unarchive of what was merged",
        UNARCHIVE,
        False,
        [refusal(400, "bad_request", "User has been merged and is not restorable.")],
        "failed",
        [f"{POST_UNARCHIVE} 400"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_what_becomes_of_an_action(case: Case) -> None:
    """Each call in order, and never one more than the case needs."""
    reason, action, reread, replies, verdict, calls = case
    outcome, _ = act(action, *replies, reread=reread)
    assert (outcome.outcome, list(outcome.calls)) == (verdict, calls), f"{reason}: {outcome.says}"
    assert (outcome.action, outcome.do, outcome.member) == (action.id, action.do, action.member)
    if verdict != "done":
        assert outcome.says, "whatever is not done says why"
    told = " ".join([outcome.says, *outcome.calls])
    assert not any(canary in told for canary in CANARIES)


def test_what_is_sent_is_what_the_plan_says() -> None:
    """Design §4.6: no field more, no field less, nested as Intercom wants it."""
    _, intercom = act(UPDATE, found(**AFTER))
    assert intercom.bodies() == [{"phone": "+17654657031", "custom_attributes": {"region": "Western"}}]
    _, intercom = act(CREATE, found())
    assert intercom.bodies() == [dict(CREATE.set)]


def test_a_done_outcome_holds_what_was_sent_and_read_back() -> None:
    """The record that an auditor and an undo read."""
    outcome, _ = act(UPDATE, found(**AFTER))
    assert outcome.sent == dict(UPDATE.set)
    assert outcome.read_back == dict(UPDATE.set)
    created, _ = act(CREATE, answer(200, contact("c77")))
    assert created.contact == "c77"


def test_a_stale_outcome_names_the_fields_and_holds_their_values() -> None:
    """The sentence has names only; the values stand in the record, which is kept like a plan."""
    outcome, intercom = act(UPDATE, found(**BEFORE | {"phone": "+15550001111"}), reread=True)
    assert outcome.says == "Contact c1 changed since the plan was made: phone."
    assert outcome.read_back == {"phone": "+15550001111"}
    assert outcome.sent == {}
    assert len(intercom.requests) == 1


def test_a_dropped_value_is_named() -> None:
    """Intercom answers 200 and keeps something else: a plan that trusted it would never converge."""
    outcome, _ = act(UPDATE, found(phone="+17654657031", custom_attributes={"region": "WESTERN"}))
    assert outcome.code == "not_persisted"
    assert "custom_attributes.region" in outcome.says
    assert "phone" not in outcome.says
    assert outcome.read_back["custom_attributes.region"] == "WESTERN"


def test_a_blocked_person_is_for_people_to_unblock() -> None:
    """No call exists for it in any version."""
    outcome, _ = act(CREATE, refusal(400, "not_restorable", "This user was blocked and cannot be recreated"))
    assert outcome.code == "not_restorable"
    assert "Blocked people" in outcome.says


def test_a_recovered_write_says_so() -> None:
    """At-least-once with read-back; the record tells which of the two it was."""
    outcome, _ = act(UPDATE, LOST, found(**AFTER))
    assert "recovered by read-back" in outcome.says
    again, _ = act(UPDATE, LOST, found(**BEFORE), found(**AFTER))
    assert "sent again" in again.says


@pytest.mark.parametrize(
    ("reply", "kind"), [(refusal(401, "unauthorized"), Unauthorized), (refusal(403, "forbidden"), ScopeMissing)]
)
def test_a_token_that_may_not_write_ends_everything(reply: httpx.Response, kind: type[Exception]) -> None:
    """No further write can succeed, and a storm of them would do harm. The error's note lists what was called."""
    with pytest.raises(kind) as caught:
        act(ARCHIVE_AFTER_PUT, found(), found(**GIVEN_UP), reply)
    assert caught.value.__notes__ == [
        f"Action a2, calls so far: {GET} 200, {PUT} 200, {POST_ARCHIVE} {reply.status_code}"
    ]


def test_deleting_is_no_action_on_contacts() -> None:
    """It belongs to the positions target; a contact deleted is lost for ever."""
    intercom = Intercom([found()])

    async def main() -> None:
        async with client_of(intercom) as client:
            await execute(client, Action(id="d1", do="delete", contact="c1"), reread=True)

    with pytest.raises(PlanRefused, match="never deleted"):
        run(main)
    assert not intercom.requests


ANSWERING: list[tuple[str, Action, list[Reply], tuple[str, str | None], list[str]]] = [
    ("one that is as planned", ARCHIVE, [found()], ("stale", "open_conversation"), [f"{GET} 200"]),
    (
        "one that has given up its identifiers already: left live, no plan would find it again",
        ARCHIVE_AFTER_PUT,
        [found(**GIVEN_UP), ARCHIVED],
        ("done", None),
        [f"{GET} 200", f"{POST_ARCHIVE} 200"],
    ),
    ("one that is archived already", ARCHIVE, [GONE], ("stale", "not_found"), [f"{GET} 404"]),
    (
        "one that is only updated",
        UPDATE,
        [found(**BEFORE), found(**AFTER)],
        ("done", None),
        [f"{GET} 200", f"{PUT} 200"],
    ),
]


@pytest.mark.parametrize(
    ("reason", "action", "replies", "verdict", "calls"), ANSWERING, ids=[one[0] for one in ANSWERING]
)
def test_a_contact_with_an_open_conversation(
    reason: str, action: Action, replies: list[Reply], verdict: tuple[str, str | None], calls: list[str]
) -> None:
    """It is not archived, unless that has begun; nothing else minds."""
    intercom = Intercom(list(replies))

    async def main() -> Outcome:
        async with client_of(intercom) as client:
            return await execute(client, action, reread=True, open_conversations=2)

    ended = run(main)
    assert ((ended.outcome, ended.code), list(ended.calls)) == (verdict, calls), reason
