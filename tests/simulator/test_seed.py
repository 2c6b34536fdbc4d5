"""Seeding: what a line may say, how a wrong one is reported, and that a dump rebuilds the world."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.simulator import Options, SeedError, Simulator

WORLD: list[dict[str, Any]] = [
    {"_attribute": {"name": "seniority", "data_type": "integer", "description": "years"}},
    {"_conversation_attribute": {"name": "Member"}},
    {"_tag": {"id": "7", "name": "VIP"}},
    {
        "id": "a1",
        "external_id": "1",
        "email": "a@x.org",
        "phone": "(765) 465-7031",
        "custom_attributes": {"seniority": 0},
    },
    {
        "id": "a2",
        "external_id": "1",
        "_archived": True,
        "browser": "Lynx",
        "location": {"type": "location", "city": "Ayr"},
    },
    {"id": "a3", "email": "b@x.org", "_blocked": True, "_open_conversations": 1, "signed_up_at": 0},
    {
        "id": "a4",
        "role": "lead",
        "_merged_into": "a1",
        "tags": {"data": [{"type": "tag", "id": "7", "url": "/tags/7"}]},
    },
    {"role": "lead", "avatar": {"type": "avatar", "image_url": "https://x.org/1.png"}, "name": "Zoë 😀"},
    {"_note": {"contact_id": "a1", "body": "hello"}},
    {"_conversation": {"contacts": {"contacts": [{"id": "a1"}]}, "tags": {"tags": [{"id": "7"}]}, "state": "snoozed"}},
]


def test_a_dump_rebuilds_the_same_world(open_desk: Any) -> None:
    """Dumped and loaded elsewhere, the state is equal byte for byte, and the next contact gets the same id."""
    desk = open_desk(*WORLD)
    desk.ok("POST", "/contacts/a1/tags", {"id": "7"})
    desk.ok("POST", "/contacts/a1/notes", {"body": "again"})
    desk.ok("DELETE", f"/contacts/{desk.create(external_id='9')}")
    other = open_desk()
    other.simulator.seed(desk.simulator.dump_seed())
    assert desk.call("GET", "/_simulator/state").content == other.call("GET", "/_simulator/state").content
    assert list(desk.simulator.dump_seed()) == list(other.simulator.dump_seed())
    assert desk.create(external_id="10") == other.create(external_id="10")


def test_the_state_is_whole_and_sorted(open_desk: Any) -> None:
    """The state shows what the API hides: the archived, the merged, the blocked, each list by id."""
    state = open_desk(*WORLD).ok("GET", "/_simulator/state")
    assert {"a2", "a3", "a4"} == {one["id"] for name in ("archived", "blocked", "merged") for one in state[name]}
    assert state["merged"][0]["_merged_into"] == "a1"
    for rows in state.values():
        assert sorted(row["id"] for row in rows) == [row["id"] for row in rows]


def test_a_body_as_read_is_a_seed_line(open_desk: Any) -> None:
    """What GET returned can be fed back: rehearsals load a simulator from a snapshot."""
    desk = open_desk(*WORLD)
    bodies = desk.ok("GET", "/contacts?per_page=150")["data"]
    again = open_desk(
        {"_attribute": {"name": "seniority", "data_type": "integer"}}, *(one | {"notes": None} for one in bodies)
    )
    rebuilt = again.ok("GET", "/contacts?per_page=150")["data"]
    assert {one["id"]: one | {"notes": 0} for one in bodies} == {one["id"]: one | {"notes": 0} for one in rebuilt}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "seed line 2: Input data was truncated"),
        (b"[]", "seed line 2: not a JSON object"),
        (b'{"role": "admin"}', "seed line 2: Invalid enum value 'admin' - at `$.role`"),
        (b'{"external_id": 5}', "seed line 2: Expected `str | null`, got `int` - at `$.external_id`"),
        (b'{"created_at": -1}', "seed line 2: Expected `int` >= 0 - at `$.created_at`"),
        (b'{"custom_attributes": {"region": 1e300}}', "seed line 2: custom attribute 'region' is too large a number"),
        (b'{"id": "a1"}', "seed line 2: id 'a1' was given before"),
        (b'{"id": "a/b"}', "seed line 2: id 'a/b' is not letters, digits, - and _"),
        (b'{"custom_attributes": {"x": 1}}', "seed line 2: custom attribute 'x' is not defined"),
        (b'{"_archived": true, "_blocked": true}', "seed line 2: a contact cannot be archived and blocked"),
        (b'{"_merged_into": "zz"}', "seed line 2: _merged_into names 'zz'"),
        (b'{"_attribute": {"name": "x", "data_type": "y"}}', "seed line 2: data_type 'y' is none of"),
        (b'{"_attribute": {"name": "x", "typ": "y"}}', "seed line 2: Object contains unknown field `typ`"),
        (b'{"_conversation": {"contacts": ["zz"]}}', "seed line 2: the conversation names contact 'zz'"),
    ],
)
def test_a_wrong_line_is_named(line: bytes, says: str) -> None:
    """A seed of 20,000 lines is useless to debug without the number of the wrong one."""
    with pytest.raises(SeedError) as refusal:
        Simulator(Options()).seed(['{"id": "a1"}', line])
    assert says in str(refusal.value)
