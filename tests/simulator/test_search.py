"""The search language: every operator on every type, the limits, days, and how far search is behind."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.simulator import Workspace

PEOPLE: list[dict[str, Any]] = [
    {"_attribute": {"name": "seniority", "data_type": "integer"}},
    {"_attribute": {"name": "retired", "data_type": "boolean"}},
    {"_attribute": {"name": "joined", "data_type": "date"}},
    {
        "id": "a1",
        "external_id": "1",
        "name": "Ann Lee",
        "email": "Ann@X.org",
        "created_at": 1577869200,  # 2020-01-01 09:00 UTC
        "custom_attributes": {"seniority": 5, "retired": False, "region": "North"},
        "tags": {"data": [{"id": "7"}, {"id": "8"}]},
    },
    {
        "id": "a2",
        "external_id": "2",
        "name": "Bob Lee",
        "email": "bob@y.org",
        "created_at": 1577923200,  # 2020-01-02 00:00 UTC
        "custom_attributes": {"seniority": 10, "retired": True, "joined": 1577869200},
        "tags": {"data": [{"id": "7"}]},
    },
    {"id": "a3", "role": "lead", "created_at": 1577836799, "phone": "+1765"},  # 2019-12-31 23:59:59 UTC
]


@pytest.mark.parametrize(
    ("field", "operator", "value", "found"),
    [
        ("name", "=", "Ann Lee", "a1"),
        ("name", "!=", "Ann Lee", "a2 a3"),
        ("name", "=", None, "a3"),
        ("name", "!=", None, "a1 a2"),
        ("name", "IN", ["Ann Lee", "Bob Lee"], "a1 a2"),
        ("name", "NIN", ["Ann Lee"], "a2 a3"),
        ("name", "~", "Lee", "a1 a2"),
        ("name", "!~", "nn", "a2 a3"),
        ("name", "^", "Bob", "a2"),
        ("name", "$", "Lee", "a1 a2"),
        ("email", "=", "ann@x.ORG", "a1"),
        ("email", "~", "@X", "a1"),
        ("email_domain", "=", "y.org", "a2"),
        ("id", "=", "a3", "a3"),
        ("id", "IN", ["a1", "a9"], "a1"),
        ("external_id", "=", "2", "a2"),
        ("phone", "=", "+1765", "a3"),
        ("role", "=", "lead", "a3"),
        ("unsubscribed_from_emails", "=", False, "a1 a2 a3"),
        ("unsubscribed_from_emails", "!=", "false", ""),
        ("tag_id", "=", "8", "a1"),
        ("tag_id", "!=", "8", "a2 a3"),
        ("custom_attributes.region", "=", "North", "a1"),
        ("custom_attributes.seniority", ">", 5, "a2"),
        ("custom_attributes.seniority", ">=", "5", "a1 a2"),
        ("custom_attributes.seniority", "<", 10, "a1"),
        ("custom_attributes.seniority", "<=", 4, ""),
        ("custom_attributes.seniority", "NIN", [5], "a2 a3"),
        ("custom_attributes.retired", "=", True, "a2"),
        ("custom_attributes.joined", "=", 1577836800, "a2"),
        ("created_at", "=", 1577836800, "a1"),
        ("created_at", "=", "1577900000", "a1"),
        ("created_at", ">", 1577869200, "a2"),
        ("created_at", "<", 1577869200, "a3"),
    ],
)
def test_an_operator_on_its_type(open_desk: Any, field: str, operator: str, value: object, found: str) -> None:
    """Each operator the description allows for a type selects what it says; dates by whole days of the workspace."""
    desk = open_desk(*PEOPLE)
    assert found.split() == sorted(desk.found({"field": field, "operator": operator, "value": value}))


@pytest.mark.parametrize(
    ("field", "operators"),
    [
        ("name", "< > <= >="),
        ("tag_id", "IN NIN ~ !~ ^ $ < >"),
        ("has_hard_bounced", "< > <= >= ~ ^ $"),
        ("custom_attributes.seniority", "~ !~ ^ $"),
        ("created_at", "!= >= <= IN NIN ~"),
        ("custom_attributes.joined", "!= >= <= IN NIN"),
        ("company_id", "="),
        ("archived", "="),
        ("custom_attributes.unknown", "="),
        ("custom_attributes", "="),
        (None, "="),
    ],
)
def test_an_operator_on_another_type_is_an_error(open_desk: Any, field: str | None, operators: str) -> None:
    """What the description does not allow is refused instead of being answered with something plausible."""
    desk = open_desk(*PEOPLE)
    for operator in operators.split():
        value = [1577836800] if "IN" in operator else 1577836800
        query = {"query": {"field": field, "operator": operator, "value": value}}
        assert desk.refused("POST", "/contacts/search", query)[:2] == (400, "parameter_invalid")


def one(number: int) -> dict[str, object]:
    """A filter that matches one contact."""
    return {"field": "id", "operator": "=", "value": f"a{number}"}


def group(operator: str, *filters: object) -> dict[str, object]:
    """A group."""
    return {"operator": operator, "value": list(filters)}


@pytest.mark.parametrize(
    "query",
    [
        None,
        [],
        {},
        group("AND"),
        group("XOR", one(1)),
        group("OR", *(one(number) for number in range(16))),
        group("AND", group("OR", group("AND", one(1)))),
        {"operator": "AND", "value": "a1"},
        {"field": "id", "operator": "IN", "value": "a1"},
        {"field": "id", "operator": "=", "value": 1},
        {"field": "created_at", "operator": "=", "value": "today"},
        {"field": "created_at", "operator": "=", "value": 10**12},
        {"field": "name", "operator": "~", "value": None},
    ],
)
def test_a_malformed_query_is_an_error(open_desk: Any, query: object) -> None:
    """Fifteen filters in a group and two levels of groups are the most; a milder reading would hide a client's
    mistake.
    """
    desk = open_desk(*PEOPLE)
    assert desk.refused("POST", "/contacts/search", {"query": query})[:2] == (400, "parameter_invalid")


def test_groups_combine(open_desk: Any) -> None:
    """(1 OR 2) AND (2 OR 3) is 2, at the full width of a group."""
    desk = open_desk(*PEOPLE)
    assert desk.found(group("AND", group("OR", one(1), one(2)), group("OR", one(2), one(3)))) == ["a2"]
    assert {"a1", "a2", "a3"} == set(desk.found(group("OR", *(one(number) for number in range(15)))))


def test_search_pages_in_the_body_only(open_desk: Any) -> None:
    """A cursor in the URL is silently ignored and gives page 1 for ever: a client that puts it there must be caught."""
    desk = open_desk(*PEOPLE)
    everyone = {"query": {"field": "id", "operator": "!=", "value": "x"}, "pagination": {"per_page": 2}}
    first = desk.ok("POST", "/contacts/search", everyone)
    cursor = first["pages"]["next"]["starting_after"]
    assert first == desk.ok("POST", f"/contacts/search?starting_after={cursor}", everyone)
    everyone["pagination"] = {"per_page": 2, "starting_after": cursor}
    second = desk.ok("POST", "/contacts/search", everyone)
    assert ([row["id"] for row in first["data"]], [row["id"] for row in second["data"]]) == (["a2", "a1"], ["a3"])
    assert (second["total_count"], second["pages"]["page"], second["pages"]["next"]) == (3, 2, None)


def test_sort(open_desk: Any) -> None:
    """Any field sorts, missing values lowest; `desc` for `descending` is refused in Intercom's words since 2.16."""
    desk = open_desk(*PEOPLE)
    everyone = {"field": "id", "operator": "!=", "value": "x"}
    assert desk.found(everyone, sort={"field": "name", "order": "ascending"}) == ["a3", "a1", "a2"]
    assert desk.found(everyone, sort={"field": "custom_attributes.seniority"}) == ["a2", "a1", "a3"]
    wrong = {"query": everyone, "sort": {"field": "name", "order": "desc"}}
    message = "Invalid sort order 'desc'. Must be one of: ascending, descending"
    assert (400, "invalid_sort_order", message) == desk.refused("POST", "/contacts/search", wrong)


def test_fifty_a_page(open_desk: Any) -> None:
    """Search shows 50 by default, not the 10 of the list, and 150 at most."""
    desk = open_desk(*({"external_id": str(number)} for number in range(60)))
    everyone: dict[str, object] = {"query": {"field": "role", "operator": "=", "value": "user"}}
    assert len(desk.ok("POST", "/contacts/search", everyone)["data"]) == 50
    assert desk.call("POST", "/contacts/search", everyone | {"pagination": {"per_page": 151}}).status_code == 400


def test_days_are_those_of_the_workspace(open_desk: Any) -> None:
    """9:00 UTC on New Year's Day is still New Year's Day in Los Angeles, but 3:00 UTC is not, and DST days are 23
    hours.
    """
    zone = ZoneInfo("America/Los_Angeles")
    spring = int(datetime(2020, 3, 8, 12, tzinfo=zone).timestamp())
    desk = open_desk(
        {"id": "a1", "created_at": 1577869200},
        {"id": "a2", "created_at": 1577847600},
        {"id": "a3", "created_at": int(datetime(2020, 3, 8, 23, 59, 59, tzinfo=zone).timestamp())},
        {"id": "a4", "created_at": int(datetime(2020, 3, 9, tzinfo=zone).timestamp())},
        workspace=Workspace(timezone="America/Los_Angeles"),
    )
    assert desk.ok("GET", "/me")["app"]["timezone"] == "America/Los_Angeles"
    assert desk.found({"field": "created_at", "operator": "=", "value": 1577869200}) == ["a1"]
    assert desk.found({"field": "created_at", "operator": "=", "value": spring}) == ["a3"]
    assert desk.found({"field": "created_at", "operator": ">", "value": spring}) == ["a4"]


def test_search_lags_behind_writes(open_desk: Any) -> None:
    """For `lag` seconds search shows the past: the new are missing, the changed are as before, the archived still
    there.
    """
    desk = open_desk({"id": "a1", "external_id": "1", "name": "Old"}, {"id": "a2", "external_id": "2"}, lag=60)
    new = desk.create(external_id="3")
    desk.ok("PUT", "/contacts/a1", {"name": "New", "external_id": "11"})
    desk.ok("POST", "/contacts/a2/archive")
    everyone = {"field": "role", "operator": "=", "value": "user"}
    for waited in (0, 59):
        desk.clock.now += waited
        found = desk.ok("POST", "/contacts/search", {"query": everyone})["data"]
        assert {row["id"]: row["name"] for row in found} == {"a1": "Old", "a2": None}
        assert desk.found({"field": "external_id", "operator": "=", "value": "1"}) == ["a1"]
        assert desk.found({"field": "external_id", "operator": "=", "value": "11"}) == []
        assert desk.ok("GET", "/contacts/a1")["name"] == "New"
    desk.clock.now += 1
    assert {"a1", new} == set(desk.found(everyone))
    assert desk.found({"field": "external_id", "operator": "=", "value": "11"}) == ["a1"]


def test_two_changes_within_the_lag_appear_one_by_one(open_desk: Any) -> None:
    """Search catches up change by change, not all at once."""
    desk = open_desk({"id": "a1", "name": "v0"}, lag=10)
    for version in ("v1", "v2"):
        desk.clock.now += 5
        desk.ok("PUT", "/contacts/a1", {"name": version})
    seen = []
    for _ in range(4):
        seen.append(
            next(name for name in ("v0", "v1", "v2") if desk.found({"field": "name", "operator": "=", "value": name}))
        )
        desk.clock.now += 5
    assert seen == ["v0", "v1", "v2", "v2"]


NAMES = st.sampled_from([None, "", "a", "b", "ab", "B"])
TEXT_TESTS = {
    "=": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    "IN": lambda have, want: have in want,
    "NIN": lambda have, want: have not in want,
    "~": lambda have, want: have is not None and want in have,
    "!~": lambda have, want: have is None or want not in have,
    "^": lambda have, want: have is not None and have.startswith(want),
    "$": lambda have, want: have is not None and have.endswith(want),
}


@st.composite
def filters(draw: Any) -> dict[str, Any]:
    """A valid filter on name or external_id."""
    operator = draw(st.sampled_from(sorted(TEXT_TESTS)))
    text = st.sampled_from(["", "a", "b", "ab"])
    value = draw(st.lists(text, max_size=3) if "IN" in operator else text)
    return {"field": draw(st.sampled_from(["name", "external_id"])), "operator": operator, "value": value}


def naive(query: dict[str, Any], row: dict[str, Any]) -> bool:
    """What a query means, said in the plainest way."""
    if query["operator"] == "AND":
        return all(naive(part, row) for part in query["value"])
    if query["operator"] == "OR":
        return any(naive(part, row) for part in query["value"])
    return bool(TEXT_TESTS[query["operator"]](row[query["field"]], query["value"]))  # type: ignore[no-untyped-call]


GROUPS = st.builds(
    lambda operator, value: group(operator, *value),
    st.sampled_from(["AND", "OR"]),
    st.lists(filters(), min_size=1, max_size=15),
)
QUERIES = filters() | st.builds(
    lambda operator, value: group(operator, *value), st.just("AND"), st.lists(GROUPS, min_size=1, max_size=15)
)


@settings(max_examples=60, deadline=None)
@given(people=st.lists(st.tuples(NAMES, NAMES), max_size=8), query=QUERIES)
def test_search_equals_a_naive_filter(
    open_desk: Any, people: list[tuple[str | None, str | None]], query: dict[str, Any]
) -> None:
    """Indexes, caches and parsed predicates change nothing about what a query selects."""
    rows = [{"id": f"c{number}", "name": name, "external_id": key} for number, (name, key) in enumerate(people)]
    desk = open_desk(*rows)
    assert sorted(str(row["id"]) for row in rows if naive(query, row)) == sorted(desk.found(query))
