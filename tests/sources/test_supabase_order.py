"""Supabase whose pages are in no order, or hold what is no text: refused, or set apart, and never taken in silence."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec
import pytest

from reconciler.core.model import SourceData
from reconciler.core.plan import decode, encode
from reconciler.core.rules import Sources
from reconciler.errors import SourceIncomplete
from tests.services.postgrest.server import SERVICE_KEY
from tests.services.supabase import Between, project
from tests.services.worlds import member, position
from tests.sources.planning import planned
from tests.sources.test_sql import SOURCES, ignore

MEMBERS = [member(str(100 + at), email=f"m{at}@example.org") for at in range(30)]
HELD = [position("100")]
TIMED = msgspec.convert(
    msgspec.to_builtins(SOURCES)
    | {
        "sql": {
            "members": {"table": "members", "columns": SOURCES.sql.members.columns | {"updated_at": "updated_at"}},
            "positions": msgspec.to_builtins(SOURCES.sql.positions),
        }
    },
    Sources,
)


def changed(change: Callable[[httpx.Request], httpx.Request]) -> Between:
    """A proxy that asks for something else than it was asked for."""
    return Between(lambda _number, request, real: real.handle_request(change(request)))


def without_order(request: httpx.Request) -> httpx.Request:
    """A proxy that drops what it does not know, `order` among it; rows then come as they were written."""
    url = request.url.copy_remove_param("order")
    return httpx.Request(request.method, url, headers=request.headers)


def with_an_earlier_page(request: httpx.Request) -> httpx.Request:
    """A cache that takes every page after the second for the second."""
    where = request.url.params.get("membernumber", "")
    if where.startswith("gte.") and where > "gte.109":
        request = httpx.Request(
            request.method, request.url.copy_set_param("membernumber", "gte.109"), headers=request.headers
        )
    return request


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_order, r"30 rows were counted and \d+ came"),
        (with_an_earlier_page, "a key came again after others: the key order is broken between pages"),
    ],
)
def test_pages_in_no_order_are_refused(
    postgres_shared_url: str, change: Callable[[httpx.Request], httpx.Request], says: str
) -> None:
    """Rows would be missing and others there twice: the missing would be orphans, whatever the count says."""
    with (
        project(postgres_shared_url, MEMBERS[20:] + MEMBERS[:20], HELD, max_rows=10) as supabase,
        pytest.raises(SourceIncomplete, match=says),
    ):
        supabase.read(transport=changed(change))


def in_the_second_reading(change: Callable[[str], str]) -> Between:
    """A proxy that asks for keys after other ones than it was asked for, once all rows were read."""

    def handle(_number: int, request: httpx.Request, real: httpx.BaseTransport) -> httpx.Response:
        asked = request.url.params
        where = asked.get("membernumber", "")
        if asked["select"] == "membernumber" and where.startswith("gte."):
            url = request.url.copy_set_param("membernumber", change(where))
            request = httpx.Request(request.method, url, headers=request.headers)
        return real.handle_request(request)

    return Between(handle)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda where: min(where, "gte.109"), "a key came again after others: the key order is broken between pages"),
        (lambda where: max(where, "gte.115"), "the keys changed between the first reading and the second"),
        (lambda where: "gte.200" if where > "gte.109" else where, "keys were missing in the second reading"),
    ],
    ids=["an earlier page", "a later page", "no page"],
)
def test_a_second_reading_that_is_another_is_refused(
    postgres_shared_url: str, change: Callable[[str], str], says: str
) -> None:
    """The keys must come again as they came: in order, the same, and all of them."""
    with (
        project(postgres_shared_url, MEMBERS, HELD, max_rows=10) as supabase,
        pytest.raises(SourceIncomplete, match=f"do not add up .* in the last one {says}"),
    ):
        supabase.read(transport=in_the_second_reading(change))


def test_half_a_character_sets_its_row_apart(postgres_shared_url: str) -> None:
    r"""`\ud800` is JSON and no text: nothing that holds it can be written as UTF-8, neither a plan nor a request."""

    def halved(_number: int, request: httpx.Request, real: httpx.BaseTransport) -> httpx.Response:
        answer = real.handle_request(request)
        body = answer.read().replace(b'"CANARY"', b'"\\ud800"')
        headers = [(name, value) for name, value in answer.headers.items() if name != "content-length"]
        return httpx.Response(answer.status_code, headers=headers, content=body)

    rows = [*MEMBERS, member("200", lastname="CANARY", email="half@example.org")]
    contact = {"id": "c1", "external_id": "200", "email": "half@example.org", "name": "Old Name"}
    with project(postgres_shared_url, rows, HELD) as supabase:
        made = planned(supabase.source(transport=Between(halved)), [contact])
    assert made.applyable
    assert {action.do for action in made.actions} == {"create"}
    assert len(made.actions) == len(MEMBERS)
    assert [one.member for one in made.findings if one.rule == "quarantined-row"] == ["200"]
    assert decode(encode(made), where="x") == made


def read_timed(url: str, *updates: str) -> SourceData:
    """The thirty members in a table that says when each was changed."""
    with project(url, MEMBERS, HELD) as supabase:
        supabase.shim.execute("ALTER TABLE members ALTER updated_at DROP DEFAULT, ALTER updated_at TYPE text", *updates)
        return supabase.source(SERVICE_KEY, sources=TIMED).read(ignore)


def test_the_latest_change_is_read_where_the_rules_name_it(postgres_shared_url: str) -> None:
    """In UTC, whatever zone each row is written in; one without a zone is taken to be in UTC."""
    data = read_timed(
        postgres_shared_url,
        "UPDATE members SET updated_at = '2026-11-20 10:00:00' WHERE membernumber <> '105'",
        "UPDATE members SET updated_at = '2026-11-20T09:00:00-05:00' WHERE membernumber = '105'",
    )
    assert data.changed_at == "2026-11-20T14:00:00+00:00"
    assert data.quarantined == ()


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("0000-00-00 00:00:00", "is no date"),
        ("2026-02-30", "is no date"),
        ("yesterday", "is no date"),
        ("1969-12-31T23:59:59", "is not between 1970 and 2100"),
        ("2100-01-01", "is not between 1970 and 2100"),
        ("9999-12-31T23:59:59-14:00", "is no date"),
    ],
)
def test_an_impossible_date_sets_its_row_apart(postgres_shared_url: str, time: str, reason: str) -> None:
    """E10: such a date says nothing of when, and must not become the latest change."""
    data = read_timed(
        postgres_shared_url,
        "UPDATE members SET updated_at = '2026-11-20T10:00:00'",
        f"UPDATE members SET updated_at = '{time}' WHERE membernumber = '105'",
    )
    assert [(one.number, one.reasons) for one in data.quarantined] == [("105", (("updated_at", reason),))]
    assert data.changed_at == "2026-11-20T10:00:00+00:00"


def test_without_a_name_for_it_no_time_of_change_is_read(postgres_shared_url: str) -> None:
    """It is off as shipped: a mirror need not have such a column."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        assert supabase.read().changed_at is None
        assert not any("updated_at" in str(call.query) for call in supabase.shim.calls)
