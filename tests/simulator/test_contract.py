"""The stand-in against Intercom's published description, where a copy of it lies beside the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.simulator.routes import ROUTES

DESCRIPTION = Path(__file__).resolve().parents[3] / "shared" / "intercom-openapi-2.16.yaml"
UNDECLARED = {
    *("opted_out_subscription_types", "opted_in_subscription_types", "utm_campaign", "utm_content", "utm_medium"),
    *("utm_source", "utm_term", "referrer"),
}
"""Fields of every contact example in the description that its schema does not declare."""


@pytest.fixture(scope="module")
def description() -> Any:
    """The description, read once."""
    if not DESCRIPTION.exists():
        pytest.skip(f"no copy of Intercom's description 2.16 at ../shared/{DESCRIPTION.name}")
    return yaml.load(DESCRIPTION.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def nameless(path: str) -> str:
    """A path whose parameters have no names: they differ between versions."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_route_is_in_the_description(description: Any) -> None:
    """No endpoint is invented: each method and path that is served is described."""
    described = {(method.upper(), nameless(path)) for path, one in description["paths"].items() for method in one}
    assert {(method, nameless(path)) for method, path, _ in ROUTES} <= described


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
