"""Listing: nothing twice, nothing lost, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

BAD_CURSOR = (
    400,
    "client_error",
    "Invalid starting_after param. Please try again using a starting_after value from a paginated response",
)


def seed(count: int) -> list[dict[str, Any]]:
    """So many plain contacts."""
    return [{"id": f"c{number}", "external_id": str(number)} for number in range(count)]


def test_ten_a_page_unless_told_otherwise(open_desk: Any) -> None:
    """The default is 10 and the most 150; more is refused rather than cut, and the last page has no next."""
    desk = open_desk(*seed(160))
    first = desk.ok("GET", "/contacts")
    assert (len(first["data"]), first["total_count"], first["pages"]["total_pages"]) == (10, 160, 16)
    assert {"page", "per_page", "starting_after"} == set(first["pages"]["next"])
    page = desk.ok("GET", "/contacts?per_page=150")
    assert len(page["data"]) == 150
    last = desk.ok("GET", f"/contacts?per_page=150&starting_after={page['pages']['next']['starting_after']}")
    assert (len(last["data"]), last["pages"]["page"], last["pages"]["next"]) == (10, 2, None)


@pytest.mark.parametrize("per_page", ["151", "0", "-1", "ten", "1.5", "9" * 40])
def test_per_page_out_of_range_is_refused(desk: Any, per_page: str) -> None:
    """A page size Intercom does not offer is a 400, so that a client cannot believe it got more than it did."""
    assert desk.refused("GET", f"/contacts?per_page={per_page}")[1] == "parameter_invalid"


@pytest.mark.parametrize(
    "cursor", ["", "x", "WyJsaXN0Il0=", "WyJjb250YWN0cyIsMSwxXQ==", "WyJsaXN0IiwiMSIsMV0=", "e30=", "eHh4", "_w==", "é"]
)
def test_a_made_up_cursor_is_refused(desk: Any, cursor: str) -> None:
    """A cursor that no page gave out is refused in Intercom's own words, also one of another listing."""
    assert desk.refused("GET", f"/contacts?starting_after={cursor}") == BAD_CURSOR


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(1, 7),
    how=st.sampled_from(["list", "search up", "search down"]),
    steps=st.lists(st.tuples(st.sampled_from(["create", "archive", "update"]), st.integers(0, 30)), max_size=30),
)
def test_each_contact_comes_exactly_once(open_desk: Any, size: int, how: str, steps: list[tuple[str, int]]) -> None:
    """Contacts that exist from the first page to the last come once, while others are created, archived and changed."""
    desk = open_desk(*seed(31))
    doing, archived, seen, cursor = iter(steps), set(), [], None
    while True:
        paging = {"per_page": size, **({} if cursor is None else {"starting_after": cursor})}
        if how == "list":
            page = desk.call("GET", "/contacts", params=paging).json()
        else:
            sort = {"field": "external_id", "order": "ascending" if how == "search up" else "descending"}
            query = {"field": "role", "operator": "=", "value": "user"}
            page = desk.ok("POST", "/contacts/search", {"query": query, "pagination": paging, "sort": sort})
        seen += [one["id"] for one in page["data"]]
        what, which = next(doing, ("nothing", 0))
        if what == "create":
            desk.create(external_id=f"new {len(seen)}")
        elif what == "archive" and desk.call("POST", f"/contacts/c{which}/archive").status_code == 200:
            archived.add(f"c{which}")
        elif what == "update":
            desk.call("PUT", f"/contacts/c{which}", {"name": "changed"})
        if page["pages"]["next"] is None:
            break
        cursor = page["pages"]["next"]["starting_after"]
    assert len(seen) == len(set(seen))
    assert {f"c{one}" for one in range(31)} - archived <= set(seen)
