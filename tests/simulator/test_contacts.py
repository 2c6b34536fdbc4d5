"""Identity and life of contacts: who may be created, what clashes with whom, and what cannot be undone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

USER_NOT_FOUND = (404, "not_found", "User Not Found")
BLOCKED = (400, "not_restorable", "This user was blocked and cannot be recreated")
NOT_DUPLICATES = (
    "Contacts can only be merged when they are duplicates (matching email or phone). "
    "Pass skip_duplicate_validation=true to override this check."
)


def live_twin(contact_id: str) -> tuple[int, str, str]:
    """The 409 that names a live contact."""
    return 409, "conflict", f"A contact matching those details already exists with id={contact_id}"


def archived_twin(contact_id: str) -> tuple[int, str, str]:
    """The 409 that names an archived contact."""
    return 409, "conflict", f"An archived contact matching those details already exists with id={contact_id}"


def test_create_answers_200_with_the_whole_contact(desk: Any) -> None:
    """Create answers 200, not 201, with every field a reader may want, and the id is 24 hexadecimal digits."""
    body = desk.ok(
        "POST", "/contacts", {"email": "Ann@Example.com", "phone": "+1 (765) 465-7031", "owner_id": "991267459"}
    )
    assert len(body["id"]) == 24
    assert set(body["id"]) <= set("0123456789abcdef")
    assert (
        body["type"],
        body["role"],
        body["email"],
        body["phone"],
    ) == ("contact", "user", "Ann@Example.com", "+17654657031")
    assert (body["created_at"], body["updated_at"]) == (1_700_000_000, 1_700_000_000)
    assert {"type": "list", "data": [], "url": f"/contacts/{body['id']}/tags", "total_count": 0, "has_more": False} == (
        body["tags"]
    )
    assert body == desk.ok("GET", f"/contacts/{body['id']}")
    assert not {"archived", "blocked"} & set(body)


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({}, "parameter_invalid", "One of email, external_id or role is required"),
        ({"name": "Ann"}, "parameter_invalid", "One of email, external_id or role is required"),
        ({"role": "user"}, "parameter_invalid", "needs an external_id or an email"),
        ({"role": "admin"}, "parameter_invalid", "role must be user or lead"),
        ({"role": "lead", "external_id": "1"}, "parameter_invalid", "external_id cannot be set"),
        ({"email": None, "external_id": "1"}, "parameter_invalid", "email must be a string"),
        ({"email": "a@x.org", "external_id": None}, "parameter_invalid", "external_id must be a string"),
        ({"email": ["a@x.org"]}, "parameter_invalid", "email must be a string"),
        ({"external_id": "1", "email_verified": True}, "parameter_invalid", "email_verified requires an email"),
        (
            {"external_id": "1", "owner_id": "7"},
            "parameter_invalid",
            "The owner specified is not a member of the workspace",
        ),
        ({"external_id": "1", "signed_up_at": "today"}, "parameter_invalid", "unix timestamp"),
        ({"external_id": "1", "custom_attributes": []}, "parameter_invalid", "must be an object"),
        (
            {"external_id": "1", "custom_attributes": {"x": 1}},
            "parameter_invalid",
            "Custom attribute 'x' does not exist",
        ),
        ({"external_id": "1", "custom_attributes": {"region": "r" * 256}}, "parameter_invalid", "too long"),
        ({"external_id": "1", "custom_attributes": {"region": ["r"]}}, "parameter_invalid", "not of type"),
        ({"external_id": "1", "custom_attributes": {"region": {"r": 1}}}, "parameter_invalid", "not of type"),
        (
            {"external_id": "1", "custom_attributes": {"seniority": "ten"}},
            "parameter_invalid",
            "must be of type integer",
        ),
        (
            {"external_id": "1", "custom_attributes": {"seniority": True}},
            "parameter_invalid",
            "must be of type integer",
        ),
        ({"external_id": "1", "custom_attributes": {"retired": "yes"}}, "parameter_invalid", "must be of type boolean"),
    ],
)
def test_create_refuses(open_desk: Any, body: dict[str, Any], code: str, says: str) -> None:
    """A body Intercom would refuse is refused here too, and leaves nothing behind."""
    desk = open_desk(
        {"_attribute": {"name": "seniority", "data_type": "integer"}},
        {"_attribute": {"name": "retired", "data_type": "boolean"}},
    )
    status, given_code, message = desk.refused("POST", "/contacts", body)
    assert (400, code) == (status, given_code)
    assert says in message
    assert desk.ok("GET", "/contacts")["total_count"] == 0


def test_create_is_never_an_upsert(desk: Any) -> None:
    """A second user with the same external id, or the same e-mail in any case, is a 409 that names the first one."""
    first = desk.create(external_id="1", email="ann@x.org")
    assert live_twin(first) == desk.refused("POST", "/contacts", {"external_id": "1"})
    assert live_twin(first) == desk.refused("POST", "/contacts", {"external_id": "2", "email": " ANN@x.org"})


def test_leads_may_share_an_email_with_anybody(desk: Any) -> None:
    """Leads are exempt from uniqueness: with each other and with a user, before or after them."""
    desk.create(role="lead", email="ann@x.org")
    desk.create(role="lead", email="ann@x.org")
    desk.create(email="ann@x.org")
    desk.create(role="lead", email="ann@x.org")
    assert desk.ok("GET", "/contacts")["total_count"] == 4


def test_an_archived_contact_shows_only_in_the_409(desk: Any) -> None:
    """Archived contacts are gone from every reading endpoint, and only a clash still tells their id."""
    contact = desk.create(external_id="1", email="ann@x.org")
    archived = desk.ok("POST", f"/contacts/{contact}/archive")
    assert {"type": "contact", "id": contact, "external_id": "1", "archived": True} == archived
    assert desk.refused("GET", f"/contacts/{contact}") == USER_NOT_FOUND
    assert desk.refused("GET", "/contacts/find_by_external_id/1") == USER_NOT_FOUND
    assert desk.found({"field": "id", "operator": "=", "value": contact}) == []
    assert desk.ok("GET", "/contacts")["total_count"] == 0
    assert archived_twin(contact) == desk.refused("POST", "/contacts", {"email": "ann@x.org"})
    assert desk.ok("POST", f"/contacts/{contact}/unarchive")["archived"] is False
    assert live_twin(contact) == desk.refused("POST", "/contacts", {"email": "ann@x.org"})


def test_update_changes_only_what_it_names(desk: Any) -> None:
    """A PUT is partial: custom attributes merge key by key, null clears one, and updated_at moves."""
    contact = desk.create(external_id="1", name="Ann", custom_attributes={"region": "North", "facility": "ZAU"})
    desk.clock.now += 60
    body = desk.ok(
        "PUT", f"/contacts/{contact}", {"phone": "(1) 2-3", "custom_attributes": {"region": None, "positions": "x"}}
    )
    assert (
        body["name"],
        body["phone"],
        body["custom_attributes"],
    ) == ("Ann", "123", {"facility": "ZAU", "positions": "x"})
    assert body["updated_at"] - body["created_at"] == 60


def test_update_clashes_with_other_users(desk: Any) -> None:
    """A PUT that claims another user's identifier is a 409; keeping one's own, in another spelling, is not."""
    first = desk.create(external_id="1", email="ann@x.org")
    gone = desk.create(external_id="2", email="bob@x.org")
    desk.ok("POST", f"/contacts/{gone}/archive")
    third = desk.create(external_id="3", email="cid@x.org")
    assert live_twin(first) == desk.refused("PUT", f"/contacts/{third}", {"email": "Ann@x.org"})
    assert archived_twin(gone) == desk.refused("PUT", f"/contacts/{third}", {"external_id": "2"})
    assert desk.ok("PUT", f"/contacts/{third}", {"email": "CID@x.org", "external_id": "3"})["email"] == "CID@x.org"
    assert desk.refused("PUT", f"/contacts/{gone}", {"name": "B"}) == (404, "not_found", "Contact Not Found")


def test_historical_duplicates_can_still_be_edited(open_desk: Any) -> None:
    """Two seeded users with one e-mail are each other's past: an update that claims nothing new goes through."""
    desk = open_desk({"id": "a1", "email": "ann@x.org"}, {"id": "a2", "email": "ann@x.org"})
    assert desk.ok("PUT", "/contacts/a2", {"name": "Ann", "email": "ann@x.org"})["name"] == "Ann"
    assert live_twin("a1") == desk.refused("POST", "/contacts", {"email": "ann@x.org"})


def test_a_lead_becomes_a_user_but_never_back(desk: Any) -> None:
    """Promotion takes role and external id in one call, clashes like a create, and cannot be undone."""
    lead = desk.create(role="lead", email="ann@x.org")
    status, code, _ = desk.refused("PUT", f"/contacts/{lead}", {"external_id": "1"})
    assert (status, code) == (400, "parameter_invalid")
    assert desk.ok("PUT", f"/contacts/{lead}", {"role": "user", "external_id": "1"})["role"] == "user"
    no_way_back = (400, "client_error", "Contact with user role can't be converted to a lead")
    assert no_way_back == desk.refused("PUT", f"/contacts/{lead}", {"role": "lead"})
    second = desk.create(role="lead", email="ann@x.org")
    assert live_twin(lead) == desk.refused("PUT", f"/contacts/{second}", {"role": "user", "external_id": "2"})


@pytest.mark.parametrize("external_id", ["a/b", "..", "../me", "a%2Fb", "ü ?&#", "x/archive", "1.5", "%"])
def test_an_external_id_may_hold_anything(desk: Any, external_id: str) -> None:
    """Ids from other systems hold slashes and worse; quoted into the path, each finds its own contact."""
    contact = desk.create(external_id=external_id)
    path = "/contacts/find_by_external_id/" + quote(external_id, safe="").replace(".", "%2E")
    assert contact == desk.ok("GET", path)["id"]


def test_find_by_external_id_finds_users_only(open_desk: Any) -> None:
    """A lead that somehow holds an external id stays invisible to this endpoint, and a merged contact is a 410."""
    desk = open_desk(
        {"id": "a1", "role": "lead", "external_id": "1"},
        {"id": "a2", "external_id": "2", "_merged_into": "a3"},
        {"id": "a3", "external_id": "3"},
    )
    assert desk.refused("GET", "/contacts/find_by_external_id/1") == USER_NOT_FOUND
    assert desk.call("GET", "/contacts/find_by_external_id/2").headers["link"] == '</contacts/a3>; rel="canonical"'


def test_delete_is_permanent_and_keeps_the_identifiers_for_a_while(desk: Any) -> None:
    """After DELETE neither reading nor restoring works, and the external id stays locked until the deletion is
    carried out.
    """
    contact = desk.create(external_id="1")
    desk.ok("POST", f"/contacts/{contact}/archive")
    deleted = desk.ok("DELETE", f"/contacts/{contact}")
    assert {"type": "contact", "id": contact, "external_id": "1", "deleted": True} == deleted
    assert archived_twin(contact) == desk.refused("POST", "/contacts", {"external_id": "1"})
    status, code, message = desk.refused("POST", f"/contacts/{contact}/unarchive")
    assert (status, code) == (400, "bad_request")
    assert message.endswith("marked for permanent deletion and is not restorable")
    desk.clock.now += 7 * 86_400
    assert desk.refused("POST", f"/contacts/{contact}/unarchive") == USER_NOT_FOUND
    assert contact != desk.create(external_id="1")


def test_a_blocked_person_may_be_named_like_an_archived_one(open_desk: Any) -> None:
    """No source says which refusal comes first; a client has to live with either. An unarchive then tells the truth."""
    desk = open_desk({"id": "a1", "external_id": "1", "_blocked": True}, blocked_as_archived=True)
    assert archived_twin("a1") == desk.refused("POST", "/contacts", {"external_id": "1"})
    assert desk.refused("POST", "/contacts/a1/unarchive") == BLOCKED


def test_a_blocked_person_cannot_come_back(open_desk: Any) -> None:
    """Block hides the contact and its conversations; its details are refused for good, and there is no unblock
    endpoint.
    """
    desk = open_desk({"id": "a1", "external_id": "1", "email": "ann@x.org", "_open_conversations": 1})
    query = {"query": {"field": "contact_ids", "operator": "=", "value": "a1"}}
    assert desk.ok("POST", "/conversations/search", query)["total_count"] == 1
    assert desk.ok("POST", "/contacts/a1/block")["blocked"] is True
    assert desk.ok("POST", "/conversations/search", query)["total_count"] == 0
    assert desk.refused("GET", "/contacts/a1") == USER_NOT_FOUND
    for body in ({"external_id": "1"}, {"email": "ANN@x.org"}, {"role": "lead", "email": "ann@x.org"}):
        assert desk.refused("POST", "/contacts", body) == BLOCKED
    assert desk.refused("POST", "/contacts/a1/unarchive") == BLOCKED
    assert desk.call("POST", "/contacts/a1/unblock").status_code == 404


def test_unblock_exists_only_on_request(open_desk: Any) -> None:
    """A workspace that has grown an unblock endpoint can be simulated, because Intercom may add one."""
    desk = open_desk({"id": "a1", "external_id": "1", "_blocked": True}, unblock_endpoint=True)
    assert desk.ok("POST", "/contacts/a1/unblock")["blocked"] is False
    assert desk.ok("GET", "/contacts/a1")["id"] == "a1"


def test_unarchive_refuses_what_was_merged_or_replaced(open_desk: Any) -> None:
    """A merged contact never comes back, and an archived one not while somebody else lives under its name."""
    desk = open_desk(
        {"id": "a1", "external_id": "1", "_merged_into": "a2"},
        {"id": "a2", "external_id": "2"},
        {"id": "a3", "external_id": "2", "_archived": True},
    )
    merged = (400, "bad_request", "User has been merged and is not restorable.")
    assert merged == desk.refused("POST", "/contacts/a1/unarchive")
    assert live_twin("a2") == desk.refused("POST", "/contacts/a3/unarchive")
    assert archived_twin("a1") == desk.refused("POST", "/contacts", {"external_id": "1"})


def test_merge_moves_a_lead_into_its_user(open_desk: Any) -> None:
    """Only duplicates merge; then the lead is a 410 that points to the user, who has its tags, notes and
    conversations.
    """
    desk = open_desk(
        {"id": "a1", "role": "lead", "email": "ann@x.org", "_open_conversations": 2, "tags": {"data": [{"id": "7"}]}},
        {"id": "a2", "external_id": "2", "email": "bob@x.org"},
        {"id": "a3", "role": "lead"},
    )
    desk.ok("POST", "/contacts/a1/notes", {"body": "hello"})
    both = {"from": "a1", "into": "a2"}
    assert desk.refused("POST", "/contacts/merge", both) == (400, "invalid_merge", NOT_DUPLICATES)
    assert desk.refused("POST", "/contacts/merge", {"from": "a1", "into": "a3"})[1] == "invalid_merge"
    desk.ok("PUT", "/contacts/a2", {"email": "Ann@x.org"})
    user = desk.ok("POST", "/contacts/merge", both)
    assert (user["id"], user["tags"]["total_count"], user["notes"]["total_count"]) == ("a2", 1, 1)
    gone = desk.call("GET", "/contacts/a1")
    assert (gone.status_code, gone.headers["link"]) == (410, '</contacts/a2>; rel="canonical"')
    assert gone.json()["errors"][0]["code"] == "contact_merged"
    query = {"query": {"field": "contact_ids", "operator": "=", "value": "a2"}}
    assert desk.ok("POST", "/conversations/search", query)["total_count"] == 2
    history = desk.ok("GET", "/contacts/a2/merge_history")
    assert [one["source_contact_id"] for one in history["data"]] == ["a1"]
    assert desk.call("GET", "/contacts/a3/merge_history").status_code == 404


def test_chains_of_merges_are_followed_three_hops(open_desk: Any) -> None:
    """The Link header names the end of the chain, but gives up after three hops as Intercom does."""
    ids = ["a1", "a2", "a3", "a4", "a5"]
    desk = open_desk(*({"id": one, "_merged_into": following} for one, following in pairwise(ids)), {"id": "a5"})
    assert desk.call("GET", "/contacts/a2").headers["link"] == '</contacts/a5>; rel="canonical"'
    assert desk.call("GET", "/contacts/a1").headers["link"] == '</contacts/a4>; rel="canonical"'


EMAILS = st.sampled_from(["ann@x.org", "ANN@x.org", "bob@x.org", None])
IDS = st.sampled_from(["1", "2", None])


@settings(max_examples=40, deadline=None)
@given(email=EMAILS, external_id=IDS)
def test_create_archive_create_always_gives_the_archived_409(
    open_desk: Any, email: str | None, external_id: str | None
) -> None:
    """Whatever a user was known by, creating it again after an archive names the archived one."""
    body = {name: value for name, value in {"email": email, "external_id": external_id}.items() if value is not None}
    if not body:
        return
    desk = open_desk()
    contact = desk.create(**body)
    desk.ok("POST", f"/contacts/{contact}/archive")
    assert archived_twin(contact) == desk.refused("POST", "/contacts", body)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["create", "archive", "unarchive", "delete", "block"]), EMAILS, IDS), max_size=25
    )
)
def test_no_two_live_users_ever_share_an_identifier(
    open_desk: Any, steps: list[tuple[str, str | None, str | None]]
) -> None:
    """Whatever is done in whatever order, uniqueness among live users survives, and each refusal is one Intercom
    knows.
    """
    desk, born = open_desk(), []
    for number, (what, email, external_id) in enumerate(steps):
        if what == "create":
            answer = desk.call(
                "POST", "/contacts", {"email": email or f"{number}@y.org", "external_id": external_id or f"n{number}"}
            )
            born += [answer.json()["id"]] if answer.status_code == 200 else []
        elif born:
            method, path = ("DELETE", "") if what == "delete" else ("POST", f"/{what}")
            answer = desk.call(method, f"/contacts/{born[number % len(born)]}{path}")
        else:
            continue
        assert answer.status_code in (200, 400, 404, 409)
    live = desk.ok("GET", "/contacts?per_page=150")["data"]
    for name in ("email", "external_id"):
        held = [one[name].lower() for one in live]
        assert len(held) == len(set(held))
