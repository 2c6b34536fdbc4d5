"""Nothing a caller sends makes the stand-in fail: it answers or refuses, and keeps its world in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.simulator.routes import ROUTES

FIELDS = (
    *("id", "email", "external_id", "role", "phone", "name", "owner_id", "custom_attributes", "from", "into", "users"),
    *("query", "sort", "pagination", "field", "operator", "value", "order", "per_page", "starting_after", "admin_id"),
    *("body", "model", "data_type", "options", "archived", "description", "read", "title", "signed_up_at", "avatar"),
)
LEAVES = (
    st.sampled_from(
        ["a1", "a2", "user", "lead", "AND", "OR", "IN", "=", ">", "created_at", "id", "contact", "string", "7", ""]
    )
    | st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), TREES, max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from([(method, path) for method, path, _ in ROUTES]), BODIES), min_size=1, max_size=12
    ),
    ids=st.sampled_from(["a1", "a2", "51", "7", "1", "é/..", "%"]),
)
def test_any_json_to_any_endpoint_is_answered(
    open_desk: Any, calls: list[tuple[tuple[str, str], Any]], ids: str
) -> None:
    """Each answer is a success or a refusal Intercom knows, and the state can always be dumped and loaded again."""
    desk = open_desk(
        {"id": "a1", "external_id": "1", "email": "a@x.org"},
        {"id": "a2", "role": "lead", "email": "a@x.org"},
        {"_tag": {"id": "7", "name": "t"}},
        {"_conversation": {"id": "51", "contacts": ["a1"]}},
    )
    for (method, path), body in calls:
        filled = path.replace("{id}", ids).replace("{tag_id}", "7").replace("{external_id:path}", ids)
        answer = desk.call(method, filled, {name: narrowed(value) for name, value in body.items()})
        assert answer.status_code in (200, 400, 404, 405, 409, 410, 422)
        answer.json()
    other = open_desk()
    other.simulator.seed(desk.simulator.dump_seed())
    assert desk.call("GET", "/_simulator/state").content == other.call("GET", "/_simulator/state").content


def narrowed(value: Any) -> Any:
    """Integers that the tests' own encoder takes: JSON allows larger ones, sent here as text."""
    if isinstance(value, list):
        return [narrowed(one) for one in value]
    if isinstance(value, dict):
        return {name: narrowed(one) for name, one in value.items()}
    too_large = isinstance(value, int) and not -(2**63) <= value < 2**64
    return str(value) if too_large else value
