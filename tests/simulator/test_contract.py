"""The stand-in against Intercom's published description, where a copy of it lies beside the repository."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reconciler.simulator.routes import PREVIEW_ROUTES, ROUTES
from tests.support.openapi import description_of

UNDECLARED = {
    *("opted_out_subscription_types", "opted_in_subscription_types", "utm_campaign", "utm_content", "utm_medium"),
    *("utm_source", "utm_term", "referrer"),
}
"""Fields of every contact example in the description that its schema does not declare."""


@pytest.fixture(scope="module")
def description() -> Any:
    """The description, read once."""
    return description_of("2.16").document


def nameless(path: str) -> str:
    """A path whose parameters have no names: they differ between versions."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_route_is_in_the_description(description: Any) -> None:
    """No endpoint is invented: each method and path that is served is described."""
    for served, document in ((ROUTES, description), (PREVIEW_ROUTES, description_of("Preview").document)):
        described = {(method.upper(), nameless(path)) for path, one in document["paths"].items() for method in one}
        assert {(method, nameless(path)) for method, path, _ in served} <= described


def test_a_contact_has_the_fields_of_the_schema(desk: Any, description: Any) -> None:
    """Every declared field is there, with a value of its type, and no other but those the examples show."""
    contact = desk.create(email="ann@x.org", name="Ann", custom_attributes={"region": "North"})
    body = desk.ok("GET", f"/contacts/{contact}")
    declared = description["components"]["schemas"]["contact"]["properties"]
    assert set(body) == set(declared) - {"merge_history"} | UNDECLARED
    types = {"string": str, "integer": int, "boolean": bool, "object": dict}
    for name, schema in declared.items():
        if "type" in schema and body.get(name) is not None:
            assert isinstance(body[name], types.get(schema["type"], list)), name


def test_a_conversation_and_an_attribute_have_declared_fields_only(open_desk: Any, description: Any) -> None:
    """What is shown of a conversation, a tag, a note and an attribute is a part of what the description declares."""
    desk = open_desk({"id": "a1"}, {"_conversation": {"id": "51", "contacts": ["a1"]}})
    schemas = description["components"]["schemas"]
    shown = {
        "conversation": desk.ok("GET", "/conversations/51"),
        "data_attribute": desk.ok("GET", "/data_attributes?model=contact")["data"][-1],
        "tag": desk.ok("POST", "/tags", {"name": "t"}),
        "note": desk.ok("POST", "/contacts/a1/notes", {"body": "n"}),
        "admin_with_app": desk.ok("GET", "/me"),
    }
    for name, body in shown.items():
        assert set(body) <= set(schemas[name]["properties"]), name


SAYS: list[tuple[str, str, object]] = [
    ("GET", "/contacts/a1/merge_history", None),
    ("GET", "/contacts/a1/tags", None),
    ("GET", "/contacts/a1/notes", None),
    ("POST", "/contacts/a1/notes", {"body": "n"}),
    ("GET", "/tags", None),
    ("POST", "/tags", {"name": "t"}),
    ("POST", "/contacts/a1/tags", {"id": "101"}),
    ("DELETE", "/contacts/a1/tags/101", None),
    ("PUT", "/data_attributes/1", {"description": "d"}),
    ("GET", "/conversations/attributes", None),
    ("GET", "/conversations/51", None),
    ("PUT", "/conversations/51", {"custom_attributes": {}}),
    (
        "POST",
        "/conversations/51/reply",
        {"type": "admin", "message_type": "note", "admin_id": "991267459", "body": "n"},
    ),
    ("GET", "/conversations/51", None),
    ("POST", "/conversations/51/tags", {"id": "101", "admin_id": "991267459"}),
    ("DELETE", "/conversations/51/tags/101", {"admin_id": "991267459"}),
]
"""What our client of contacts never asks; what it does is held against the description in tests/targets."""


def test_the_other_answers_are_as_described(open_desk: Any) -> None:
    """Tags, notes, attributes and conversations: every body that is taken and every one that is answered."""
    desk = open_desk({"id": "a1", "external_id": "1"}, {"_conversation": {"id": "51", "contacts": ["a1"]}})
    for method, path, body in SAYS:
        operation = description_of("2.16").operation(method, path)
        if body is not None:
            operation.check_request(body)
        answer = desk.call(method, path, body)
        assert answer.status_code == 200, f"{method} {path}: {answer.text}"
        operation.check_answer(answer.status_code, answer.json())
