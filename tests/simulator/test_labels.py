"""Tags, notes, data attributes and conversations."""

from __future__ import annotations

from typing import Any

import pytest

ADMIN = "991267459"


def test_tags_go_on_by_id_and_come_off(desk: Any) -> None:
    """A tag is made by name, put on by id, and its contact's body refers to it without naming it."""
    contact = desk.create(external_id="1")
    tag = desk.ok("POST", "/tags", {"name": "VIP"})
    assert tag == desk.ok("POST", "/tags", {"name": "vip"})
    desk.clock.now += 5
    attached = desk.ok("POST", f"/contacts/{contact}/tags", {"id": tag["id"]})
    assert {**tag, "applied_at": 1_700_000_005, "applied_by": {"type": "admin", "id": ADMIN}} == attached
    assert [attached] == desk.ok("GET", f"/contacts/{contact}/tags")["data"]
    shown = desk.ok("GET", f"/contacts/{contact}")["tags"]
    assert [{"type": "tag", "id": tag["id"], "url": f"/tags/{tag['id']}"}] == shown["data"]
    assert attached == desk.ok("DELETE", f"/contacts/{contact}/tags/{tag['id']}")
    not_found = (404, "not_found", "Resource Not Found")
    assert not_found == desk.refused("DELETE", f"/contacts/{contact}/tags/{tag['id']}")
    assert not_found == desk.refused("POST", f"/contacts/{contact}/tags", {"id": "999"})
    assert desk.refused("POST", "/contacts/nobody/tags", {"id": tag["id"]}) == (404, "not_found", "User Not Found")


def test_a_body_shows_ten_tags_and_notes(open_desk: Any) -> None:
    """Beyond ten a reader must notice has_more and ask again, or it loses the rest."""
    desk = open_desk({"id": "a1", "tags": {"data": [{"id": str(number)} for number in range(12)]}})
    for number in range(11):
        desk.ok("POST", "/contacts/a1/notes", {"body": f"note {number}", "admin_id": ADMIN})
    body = desk.ok("GET", "/contacts/a1")
    for name, count in (("tags", 12), ("notes", 11)):
        assert (10, count, True) == (len(body[name]["data"]), body[name]["total_count"], body[name]["has_more"])
    assert len(desk.ok("GET", "/contacts/a1/tags")["data"]) == 12
    notes = desk.ok("GET", "/contacts/a1/notes")
    assert (notes["data"][0]["body"], notes["data"][0]["author"]["id"], notes["total_count"]) == ("note 10", ADMIN, 11)


def test_one_call_tags_many_people(open_desk: Any) -> None:
    """POST /tags is the only bulk endpoint of the stable API, and unknown people leave nobody tagged."""
    desk = open_desk({"id": "a1"}, {"id": "a2"})
    desk.ok("POST", "/tags", {"name": "VIP", "users": [{"id": "a1"}, {"id": "a2"}]})
    tag = desk.ok("GET", "/tags")["data"][0]
    assert {"a1", "a2"} == set(desk.found({"field": "tag_id", "operator": "=", "value": tag["id"]}))
    assert desk.call("POST", "/tags", {"name": "New", "users": [{"id": "a1"}, {"id": "nobody"}]}).status_code == 404
    assert [tag] == desk.ok("GET", "/tags")["data"]
    assert desk.refused("POST", "/tags", {"test": "invalid"}) == (400, "parameter_invalid", "invalid tag parameters")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"name": "x", "model": "contact", "data_type": "mithril"}, "Data Type isn't an option"),
        ({"name": "x", "model": "tree", "data_type": "string"}, "must be either contact or company"),
        ({"name": "!nv@l!d", "model": "contact", "data_type": "string"}, "must only contain alphanumeric"),
        (
            {"name": "region", "model": "contact", "data_type": "string"},
            "You already have 'region' in your people data.",
        ),
        ({"name": "size", "model": "contact", "data_type": "string"}, "You already have 'size' in your company data."),
        ({"name": "x", "model": "contact", "data_type": "options", "options": "a"}, "Options isn't an array"),
    ],
)
def test_a_data_attribute_is_refused(open_desk: Any, body: dict[str, Any], says: str) -> None:
    """The documented refusals, of which the shared name space with companies surprises most."""
    desk = open_desk({"_attribute": {"name": "size", "model": "company"}})
    status, code, message = desk.refused("POST", "/data_attributes", body)
    assert (status, code) == (400, "parameter_invalid")
    assert says in message


def test_attributes_exist_before_they_are_written(open_desk: Any) -> None:
    """An attribute can be written from its creation to its archiving, and is listed accordingly."""
    desk = open_desk({"_attribute": {"name": "used", "dependants": True}})
    custom = {one["name"]: one for one in desk.ok("GET", "/data_attributes?model=contact")["data"] if one["custom"]}
    assert list(custom) == ["member_number", "region", "facility", "positions", "member_type", "used"]
    new = desk.ok("POST", "/data_attributes", {"name": "ward", "model": "contact", "data_type": "integer"})
    assert new["full_name"] == "custom_attributes.ward"
    contact = desk.create(external_id="1", custom_attributes={"ward": 3})
    desk.ok("PUT", f"/data_attributes/{new['id']}", {"archived": True, "data_type": "string"})
    assert desk.call("PUT", f"/contacts/{contact}", {"custom_attributes": {"ward": 4}}).status_code == 400
    assert "ward" not in {one["name"] for one in desk.ok("GET", "/data_attributes?model=contact")["data"]}
    every = desk.ok("GET", "/data_attributes?model=contact&include_archived=true")["data"]
    assert next((one["data_type"], one["archived"]) for one in every if one["name"] == "ward") == ("integer", True)
    assert desk.refused("PUT", f"/data_attributes/{custom['used']['id']}", {"archived": True})[1] == "data_invalid"
    assert desk.refused("PUT", "/data_attributes/999", {})[:2] == (404, "field_not_found")
    assert desk.refused("GET", "/data_attributes?model=conversation")[:2] == (422, "parameter_invalid")


def test_there_is_room_for_250_attributes(desk: Any) -> None:
    """The 251st is refused, and archiving one makes room."""
    for number in range(245):
        desk.ok("POST", "/data_attributes", {"name": f"x{number}", "model": "contact", "data_type": "string"})
    one_more = {"name": "more", "model": "contact", "data_type": "string"}
    assert desk.refused("POST", "/data_attributes", one_more)[1] == "custom_data_limit_reached"
    desk.ok("PUT", "/data_attributes/1", {"archived": True})
    desk.ok("POST", "/data_attributes", one_more)


CONVERSATIONS: list[dict[str, Any]] = [
    {"id": "a1", "external_id": "1"},
    {"_conversation_attribute": {"name": "Member"}},
    {"_tag": {"id": "7", "name": "sync"}},
    {
        "_conversation": {
            "id": "51",
            "contacts": ["a1"],
            "created_at": 100,
            "updated_at": 200,
            "source": {"type": "email"},
        }
    },
    {"_conversation": {"id": "52", "contacts": ["a1"], "state": "closed", "created_at": 300}},
    {"_conversation": {"id": "53", "contacts": [], "state": "snoozed", "created_at": 400, "tags": [{"id": "7"}]}},
]


@pytest.mark.parametrize(
    ("field", "operator", "value", "found"),
    [
        ("contact_ids", "=", "a1", "51 52"),
        ("contact_ids", "IN", ["a1", "a2"], "51 52"),
        ("contact_ids", "!=", "a1", "53"),
        ("open", "=", True, "51 53"),
        ("state", "=", "closed", "52"),
        ("tag_ids", "=", "7", "53"),
        ("id", "=", "52", "52"),
        ("created_at", ">", 300, "52 53"),
        ("created_at", "<", 299, "51"),
        ("updated_at", "=", 200, "51"),
    ],
)
def test_conversations_are_found(open_desk: Any, field: str, operator: str, value: object, found: str) -> None:
    """Searching conversations, whose dates are compared to the second and "or equal", as their own page says."""
    query = {"query": {"field": field, "operator": operator, "value": value}}
    page = open_desk(*CONVERSATIONS).ok("POST", "/conversations/search", query)
    assert ("conversation.list", found.split()) == (page["type"], sorted(one["id"] for one in page["conversations"]))


def test_a_conversation_is_written_to(open_desk: Any) -> None:
    """Attributes that exist can be set and cleared; tagging and untagging both want an admin, even on DELETE."""
    desk = open_desk(*CONVERSATIONS)
    body = desk.ok("PUT", "/conversations/51", {"custom_attributes": {"Member": "12345"}})
    assert body["custom_attributes"] == {"Member": "12345"}
    assert body["contacts"]["contacts"] == [{"type": "contact", "id": "a1", "external_id": "1"}]
    unknown = (400, "parameter_invalid", "Conversation attribute 'anything' does not exist")
    assert unknown == desk.refused("PUT", "/conversations/51", {"custom_attributes": {"anything": 1}})
    assert [one["name"] for one in desk.ok("GET", "/conversations/attributes")["data"]] == ["Member"]
    assert desk.call("POST", "/conversations/51/tags", {"id": "7"}).status_code == 400
    tag = desk.ok("POST", "/conversations/51/tags", {"id": 7, "admin_id": int(ADMIN)})
    assert [one["id"] for one in desk.ok("GET", "/conversations/51")["tags"]["tags"]] == ["7"]
    assert desk.call("DELETE", "/conversations/51/tags/7").status_code == 400
    assert tag == desk.ok("DELETE", "/conversations/51/tags/7", {"admin_id": ADMIN})
    assert desk.refused("DELETE", "/conversations/51/tags/7", {"admin_id": ADMIN}) == (
        404,
        "tag_not_found",
        "Tag not found",
    )
    gone = (404, "not_found", "Conversation not found")
    assert gone == desk.refused("POST", "/conversations/99/tags", {"id": "7", "admin_id": ADMIN})


def test_an_admin_says_something_in_a_conversation(open_desk: Any) -> None:
    """A note or a comment by an admin becomes a part, which shows where the conversation is read alone."""
    desk = open_desk(*CONVERSATIONS)
    said = {"type": "admin", "admin_id": ADMIN, "body": "a < b"}
    body = desk.ok("POST", "/conversations/52/reply", said | {"message_type": "note"})
    assert [(one["part_type"], one["body"]) for one in body["conversation_parts"]["conversation_parts"]] == [
        ("note", "<p>a &lt; b</p>")
    ]
    assert body["state"] == "closed"
    assert desk.ok("POST", "/conversations/52/reply", said | {"message_type": "comment"})
    assert desk.ok("GET", "/conversations/52")["conversation_parts"]["total_count"] == 2
    query = {"query": {"field": "id", "operator": "=", "value": "52"}}
    found = desk.ok("POST", "/conversations/search", query)["conversations"]
    assert found[0]["conversation_parts"]["total_count"] == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"message_type": "quick_reply"}, "only comments and notes of admins are simulated"),
        ({"type": "user"}, "only comments and notes of admins are simulated"),
        ({"body": " "}, "body"),
        ({"admin_id": None}, "admin_id"),
    ],
)
def test_what_is_no_note_is_refused(open_desk: Any, changes: dict[str, Any], says: str) -> None:
    """Without an admin, a body or a kind that is simulated nothing is said."""
    desk = open_desk(*CONVERSATIONS)
    note = {"type": "admin", "message_type": "note", "admin_id": ADMIN, "body": "n"} | changes
    status, _, message = desk.refused("POST", "/conversations/52/reply", note)
    assert status == 400
    assert says in message
