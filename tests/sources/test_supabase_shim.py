"""The PostgREST stand-in itself, through the official client and over bare HTTP: what docs/postgrest-shim.md lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from postgrest.exceptions import APIError
from postgrest.types import CountMethod, ReturnMethod
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions

from tests.services.postgrest.server import ANON_KEY, SERVICE_KEY, Shim

ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, name text, flag boolean, amount numeric(8, 2), "odd name" text);
INSERT INTO items SELECT n, 'n' || n, n % 2 = 0, n / 4.0, NULLIF(n % 3, 0)::text FROM generate_series(1, 15) AS n;
CREATE TABLE menagerie (id int);
"""


@pytest.fixture(scope="module")
def shim(postgres_shared_url: str) -> Iterator[Shim]:
    """A server without a limit of its own."""
    with Shim(postgres_shared_url, max_rows=None) as running:
        yield running


@pytest.fixture(scope="module")
def client(shim: Shim) -> Iterator[Client]:
    """The official client."""
    with httpx.Client() as http:
        yield create_client(
            shim.base_url, SERVICE_KEY, SyncClientOptions(httpx_client=http, postgrest_client_retry=False)
        )


@pytest.fixture(autouse=True)
def _items(shim: Shim) -> None:
    shim.max_rows = None
    shim.execute("DROP TABLE IF EXISTS items, menagerie", *ITEMS.strip().splitlines())


def get(shim: Shim, query: str, method: str = "GET", **headers: str) -> httpx.Response:
    """A request as PostgREST's own tests make it."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(method, f"{shim.base_url}/rest/v1/{query}", headers={"apikey": SERVICE_KEY, **given})


# ranges


@dataclass(frozen=True, slots=True)
class Range:
    query: str
    status: int
    content_range: str
    count: int
    headers: dict[str, str] = field(default_factory=dict)
    max_rows: int | None = None


EXACT = {"Prefer": "count=exact"}
RANGES = [
    Range("items", 200, "0-14/*", 15),
    Range("items?id=eq.1", 200, "0-0/*", 1),
    Range("menagerie", 200, "*/*", 0),
    Range("items?limit=3", 200, "0-2/*", 3),
    Range("items?limit=3&offset=2", 200, "2-4/*", 3),
    Range("items?limit=0", 200, "*/*", 0),
    Range("items?offset=-4", 200, "0-14/*", 15),
    Range("items", 200, "0-14/15", 15, EXACT),
    Range("items?limit=2&offset=3", 206, "3-4/15", 2, EXACT),
    Range("items?id=gt.8", 200, "0-6/7", 7, EXACT),
    Range("menagerie", 200, "*/0", 0, EXACT),
    Range("items?offset=100", 416, "*/15", 0, EXACT),
    Range("menagerie?offset=1", 416, "*/0", 0, EXACT),
    Range("items?offset=15", 206, "*/15", 0, EXACT),
    Range("items?offset=100", 200, "*/*", 0),
    Range("items", 200, "0-1/*", 2, {"Range": "0-1"}),
    Range("items", 200, "10-14/*", 5, {"Range": "10-100"}),
    Range("items", 200, "5-14/*", 10, {"Range": "5-"}),
    Range("items?limit=3", 200, "0-1/*", 2, {"Range": "0-1"}),
    Range("items", 206, "0-9/15", 10, EXACT, max_rows=10),
    Range("items?limit=12", 206, "0-9/15", 10, EXACT, max_rows=10),
    Range("items?limit=4", 206, "0-3/15", 4, EXACT, max_rows=10),
    Range("items?offset=10", 206, "10-14/15", 5, EXACT, max_rows=10),
    Range("items", 200, "0-9/*", 10, max_rows=10),
]


@pytest.mark.parametrize("case", RANGES, ids=lambda case: f"{case.query} {case.headers} {case.max_rows}")
def test_ranges(shim: Shim, case: Range) -> None:
    """Status, Content-Range and rows, as in PostgREST's RangeSpec and "Pagination and Count"."""
    shim.max_rows = case.max_rows
    response = get(shim, case.query, **case.headers)
    assert (response.status_code, response.headers["content-range"]) == (case.status, case.content_range)
    if response.is_success:
        assert len(response.json()) == case.count
        head = get(shim, case.query, "HEAD", **case.headers)
        assert (head.status_code, head.headers["content-range"], head.content) == (
            case.status,
            case.content_range,
            b"",
        )


@pytest.mark.parametrize(
    ("query", "headers", "details"),
    [
        ("items?offset=100", EXACT, "An offset of 100 was requested, but there are only 15 rows."),
        ("items?limit=-1", {}, "Limit should be greater than or equal to zero."),
        (
            "items",
            {"Range": "1-0"},
            "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
        ),
    ],
)
def test_ranges_that_cannot_be(shim: Shim, query: str, headers: dict[str, str], details: str) -> None:
    """416 with PGRST103 and the reason."""
    response = get(shim, query, **headers)
    assert response.status_code == 416
    assert response.json() == {
        "code": "PGRST103",
        "message": "Requested range not satisfiable",
        "details": details,
        "hint": None,
    }


# filters and order


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("id=eq.3", [3]),
        ("id=neq.3&id=lt.5", [1, 2, 4]),
        ("id=gt.13", [14, 15]),
        ("id=gte.14&id=lte.14", [14]),
        ("id=not.gt.2", [1, 2]),
        ("flag=is.true&id=lt.5", [2, 4]),
        ("odd%20name=is.null", [3, 6, 9, 12, 15]),
        ("%22odd%20name%22=not.is.null&id=lt.4", [1, 2]),
        ("odd%20name=is.not_null&id=lt.4", [1, 2]),
        ("id=in.(1,3,77)", [1, 3]),
        ('name=in.("n1",n2)', [1, 2]),
        ("id=in.()", []),
        ("name=eq.", []),
        ("or=(id.eq.1,id.eq.15)", [1, 15]),
        ("or=(id.lt.2,and(id.gt.4,id.lt.7))", [1, 5, 6]),
        ("and=(id.gt.2,or(name.eq.n3,name.eq.%22n4%22))", [3, 4]),
        ("not.or=(id.gt.2,id.lt.2)", [2]),
        ("or=(id.not.in.(1,2,3,4,5,6,7,8,9,10,11,12,13),not.and(id.gt.1,flag.is.false))&id=lt.4", [1, 2]),
        ("or=(id.gt.14,and(id.eq.14,name.gt.n13))", [14, 15]),
        ("order=id.desc&limit=2", [15, 14]),
        ("order=odd%20name.desc.nullslast,id.asc&limit=1", [2]),
        ('order="odd name".nullsfirst,id.desc&limit=1', [15]),
        ("order=flag,id&limit=2", [1, 3]),
    ],
)
def test_filters_and_order(shim: Shim, query: str, ids: list[int]) -> None:
    """Operators, negation, lists, logic trees, quoting, and where nulls are sorted ("Tables and Views")."""
    response = get(shim, f"items?select=id&{query}" + ("" if "order" in query else "&order=id"))
    assert response.status_code == 200, response.text
    assert [row["id"] for row in response.json()] == ids


def test_rows_are_json_as_postgresql_makes_it(shim: Shim) -> None:
    """Numbers stay numbers with their digits, and only the columns of `select` come."""
    response = get(shim, 'items?select=id,amount,flag,"odd name"&id=eq.3')
    assert response.text.replace(" ", "") == '[{"id":3,"amount":0.75,"flag":false,"oddname":null}]'
    assert response.headers["content-type"] == "application/json; charset=utf-8"


# errors


@pytest.mark.parametrize(
    ("query", "status", "code", "message"),
    [
        ("nowhere", 404, "PGRST205", "Could not find the table 'public.nowhere' in the schema cache"),
        ("pg_class", 404, "PGRST205", "Could not find the table 'public.pg_class' in the schema cache"),
        ("items?select=id,shoe", 400, "42703", "column items.shoe does not exist"),
        ("items?shoe=eq.1", 400, "42703", "column items.shoe does not exist"),
        ("items?order=shoe", 400, "42703", "column items.shoe does not exist"),
        ("items?id=eq.many", 400, "22P02", 'invalid input syntax for type integer: "many"'),
        ("items?id=resembles.3", 400, "PGRST100", '"failed to parse filter (resembles.3)" (line 1, column 1)'),
    ],
)
def test_errors(shim: Shim, query: str, status: int, code: str, message: str) -> None:
    """Bodies of code, message, details and hint, with PostgreSQL's own code where the error is its own ("Errors")."""
    response = get(shim, query)
    body = response.json()
    assert set(body) == {"code", "message", "details", "hint"}
    assert (response.status_code, body["code"], body["message"]) == (status, code, message)
    assert response.headers["proxy-status"] == f"PostgREST; error={code}"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "No API key found in request"),
        ({"apikey": "x"}, "Invalid API key"),
        ({"apikey": SERVICE_KEY, "authorization": "Bearer x"}, "Invalid API key"),
    ],
)
def test_a_key_is_wanted(shim: Shim, headers: dict[str, str], message: str) -> None:
    """The gateway before PostgREST answers 401, in words of its own and without a code."""
    response = httpx.get(f"{shim.base_url}/rest/v1/items", headers=headers)
    assert (response.status_code, response.json()["message"]) == (401, message)
    assert "code" not in response.json()


def test_row_level_security_is_an_empty_list_to_the_anon_key(shim: Shim) -> None:
    """200, no rows, a count of 0; a write is refused."""
    shim.row_level_security("items")
    response = get(shim, "items", apikey=ANON_KEY, **EXACT)
    assert (response.status_code, response.json(), response.headers["content-range"]) == (200, [], "*/0")
    assert get(shim, "items", **EXACT).headers["content-range"] == "0-14/15"
    url = f"{shim.base_url}/rest/v1/items"
    written = httpx.post(url, headers={"apikey": ANON_KEY}, json={"id": 99})
    assert (written.status_code, written.json()["code"]) == (401, "42501")


def test_no_grant_is_401_to_the_anon_key_and_403_to_others(shim: Shim) -> None:
    """42501 means: log in, or: you may not."""
    shim.execute("REVOKE ALL ON items FROM anon, service_role")
    assert [get(shim, "items", apikey=key).status_code for key in (ANON_KEY, SERVICE_KEY)] == [401, 403]


# writing, with the official client


def rows(shim: Shim, query: str = "items?order=id") -> list[dict[str, Any]]:
    """What the table holds now."""
    found: list[dict[str, Any]] = get(shim, query).json()
    return found


def test_insert(shim: Shim, client: Client) -> None:
    """Returns what was stored, or nothing; a column that the rows do not name keeps its default."""
    made = client.table("items").insert([{"id": 20, "name": "a"}, {"id": 21, "name": "b"}]).execute()
    assert [(row["id"], row["name"], row["flag"]) for row in json.loads(json.dumps(made.data))] == [
        (20, "a", None),
        (21, "b", None),
    ]
    quiet = client.table("items").insert({"id": 22}, returning=ReturnMethod.minimal).execute()
    assert quiet.data == []
    assert [row["id"] for row in rows(shim, "items?id=gte.20&order=id")] == [20, 21, 22]


def test_insert_what_is_there(shim: Shim, client: Client) -> None:
    """409 and PostgreSQL's code, and of the whole list nothing is stored."""
    with pytest.raises(APIError) as refused:
        client.table("items").insert([{"id": 30}, {"id": 1}]).execute()
    assert refused.value.code == "23505"
    assert len(rows(shim)) == 15


def test_upsert(shim: Shim, client: Client) -> None:
    """By primary key: new rows come, known ones change in the columns that are named, and no others."""
    client.table("items").upsert([{"id": 1, "name": "new"}, {"id": 16, "name": "more"}]).execute()
    first, last = rows(shim, "items?id=in.(1,16)&order=id")
    assert (first["name"], first["amount"], last["name"]) == ("new", 0.25, "more")


def test_upsert_that_leaves_what_is_there(shim: Shim, client: Client) -> None:
    """resolution=ignore-duplicates; only what was stored comes back."""
    made = client.table("items").upsert([{"id": 1, "name": "x"}, {"id": 17, "name": "y"}], ignore_duplicates=True)
    assert [row["id"] for row in json.loads(json.dumps(made.execute().data))] == [17]
    assert rows(shim, "items?id=eq.1")[0]["name"] == "n1"


def test_upsert_on_another_key(shim: Shim, client: Client) -> None:
    """`on_conflict` names the columns of a unique constraint; without one it is an error."""
    shim.execute("CREATE UNIQUE INDEX ON items (name)")
    client.table("items").upsert({"id": 99, "name": "n4", "flag": None}, on_conflict="name").execute()
    assert (rows(shim, "items?name=eq.n4")[0]["id"], len(rows(shim))) == (99, 15)
    with pytest.raises(APIError) as refused:
        client.table("items").upsert({"id": 1, "flag": True}, on_conflict="flag").execute()
    assert refused.value.code == "42P10"


def test_upsert_of_one_key_twice(client: Client) -> None:
    """PostgreSQL refuses to change a row twice in one statement."""
    with pytest.raises(APIError) as refused:
        client.table("items").upsert([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]).execute()
    assert refused.value.code == "21000"


def test_update(shim: Shim, client: Client) -> None:
    """The rows of the filter, with their new values, and the count where it is asked for."""
    done = client.table("items").update({"flag": None}, count=CountMethod.exact).gt("id", 12).execute()
    assert (done.count, len(done.data)) == (3, 3)
    assert [row["id"] for row in rows(shim, "items?flag=is.null&order=id")] == [13, 14, 15]


def test_delete(shim: Shim, client: Client) -> None:
    """The rows of the filter, as they were."""
    done = client.table("items").delete(count=CountMethod.exact).in_("id", [1, 2, 77]).execute()
    assert (done.count, len(done.data), len(rows(shim))) == (2, 2, 13)
    assert client.table("items").delete(returning=ReturnMethod.minimal).eq("id", 3).execute().data == []


def test_nothing_is_changed_without_a_filter(shim: Shim, client: Client) -> None:
    """Supabase loads pg-safeupdate: a forgotten filter is an error, not an empty table."""
    for builder in (client.table("items").delete(), client.table("items").update({"name": "x"})):
        with pytest.raises(APIError, match="requires a WHERE clause") as refused:
            builder.execute()
        assert refused.value.code == "21000"
    assert {row["name"] for row in rows(shim)} == {f"n{at}" for at in range(1, 16)}


def test_max_affected(shim: Shim, client: Client) -> None:
    """handling=strict,max-affected: more rows than that, and nothing is done."""
    with pytest.raises(APIError) as refused:
        client.table("items").delete().gt("id", 10).max_affected(4).execute()
    assert refused.value.code == "PGRST124"
    assert len(rows(shim)) == 15
    assert len(client.table("items").delete().gt("id", 10).max_affected(5).execute().data) == 5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PGRST102"),
        (b"{", "PGRST102"),
        (b"[1]", "PGRST102"),
        (b'[{"id": 40}, {"name": "x"}]', "PGRST102"),
        (b'{"id": 40, "shoe": 1}', "PGRST204"),
        (b'{"id": "many"}', "22P02"),
        (b'{"name": "no key"}', "23502"),
    ],
)
def test_bodies_that_are_refused(shim: Shim, body: bytes, code: str) -> None:
    """400, and nothing is stored."""
    response = httpx.post(f"{shim.base_url}/rest/v1/items", headers={"apikey": SERVICE_KEY}, content=body)
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert len(rows(shim)) == 15
