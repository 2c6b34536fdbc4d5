"""One world, one plan: whichever database says it, the plan is the same, byte for byte but for id, times and source."""

from __future__ import annotations

import asyncio
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from reconciler import controller
from reconciler.controller import PlanRequest, owned_attributes
from reconciler.core.plan import encode
from reconciler.runs.store import PlanStore
from reconciler.simulator import Options, Simulator, build_app
from reconciler.sources import Source
from reconciler.sources.sql import open_sql
from reconciler.targets.intercom import IntercomTarget
from tests.services.worlds import Rows, write_mysql, write_sqlite
from tests.sources.supabase_support import project
from tests.support.builders import default_rules

NASTY: Rows = [
    {"membernumber": "100", "firstname": "Ann", "lastname": "Lee", "email": "ann@x.org", "phone": "(212) 555-2368"},
    {"membernumber": "0100", "firstname": "Zoë", "lastname": "O'Hara", "email": "zoe@x.org"},
    {"membernumber": "101", "firstname": "😀", "lastname": "Grin", "email": "grin@x.org"},
    {"membernumber": "102", "firstname": "😁", "lastname": "Grin", "email": "Grin@X.org "},
    {"membernumber": "103", "firstname": "Rene\u0301e", "lastname": "Roy", "email": "renée@x.org"},
    {"membernumber": "104", "firstname": "Renée", "lastname": "Roy", "email": "renee@x.org"},
    {"membernumber": "105", "firstname": "  Bo ", "lastname": "", "emails": [("old@x.org", 0), ("bo@x.org", 1)]},
    {"membernumber": "106", "firstname": None, "lastname": "Only", "emails": [("b@x.org", 0), ("a@x.org", 0)]},
    {"membernumber": "107", "firstname": "Cy", "lastname": "Ext", "email": "cy@x.org", "phone": "416-555-0123 ext 4"},
    {"membernumber": "108", "firstname": "Di", "lastname": "None", "email": None},
    {"membernumber": "109", "firstname": "Ed", "lastname": "Blank", "email": "   "},
    {"membernumber": "110", "firstname": "Flo", "lastname": "Twice", "email": "flo@x.org"},
    {"membernumber": "110", "firstname": "Flo", "lastname": "Again", "email": "flo2@x.org"},
    {"membernumber": "111", "firstname": "Gus", "lastname": "Left", "email": "gus@x.org", "status": "Resigned"},
    {"membernumber": "112", "firstname": "Hal", "lastname": "Plus", "email": "hal+tag@x.org", "membertypeid": 9},
]
HELD: Rows = [
    {"membernumber": "100", "positioncode": "facrep"},
    {"membernumber": "100", "positioncode": "pres"},
    {"membernumber": "0100", "positioncode": "safety"},
]
CONTACTS: list[dict[str, Any]] = [
    {"id": "c1", "external_id": "100", "email": "ANN@x.org", "name": "Ann Lee", "phone": "2125552368"},
    {"id": "c2", "role": "lead", "email": "zoe@x.org"},
    {"id": "c3", "email": "grin@x.org", "external_id": "0e2f4a9c-5b7d-4c1e-9a63-d2f08b51c7e4"},
    {"id": "c4", "external_id": "103", "email": "renée@x.org", "name": "Renée Roy"},
    {"id": "c5", "external_id": "111", "email": "gus@x.org"},
    {"id": "c6", "role": "lead", "email": "bo@x.org"},
    {"id": "c7", "role": "user", "email": "bo@x.org", "external_id": "0e2f4a9c-5b7d-4c1e-9a63-d2f08b51c7e5"},
    {"id": "c8", "role": "lead", "email": "stranger@x.org"},
]
DULL = {"status": "Active", "membertypeid": 6, "region": "NEA", "facility": "ZNY"}
NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)

_MOVING = re.compile(
    rb'"(id|created_at|expires_at|read_at|previous|digest)": ("(\d{8}T\d{6}Z-\w+|\d{4}-[^"]*|sha256:\w+)"|null)'
)


def whole(rows: Rows) -> Rows:
    """The rows with everything filled in that a test does not care about."""
    return [DULL | dict(row) for row in rows]


def plan_of(source: Source, contacts: list[dict[str, Any]]) -> bytes:
    """The plan for this source and these contacts, without id and times, and with the source's name as NAME."""
    rules = default_rules()
    simulator = Simulator(Options(limit=1_000_000))
    times = {"created_at": 1_700_000_000, "updated_at": 1_700_000_000}
    simulator.seed(msgspec.json.encode(times | contact) for contact in contacts)

    async def make(folder: str) -> bytes:
        async with IntercomTarget(
            token="t",
            base_url="http://intercom.test",
            owned=owned_attributes(rules),
            transport=httpx.ASGITransport(app=build_app(simulator)),
        ) as target:
            made = await controller.plan(
                source=source,
                reader=target.reader,
                rules=rules,
                store=PlanStore(folder),
                request=PlanRequest(),
                now=lambda: NOW,
                progress=lambda _what, _done, _total: None,
            )
        return encode(made)

    with tempfile.TemporaryDirectory() as folder:
        encoded = asyncio.run(make(folder))
    named = encoded.replace(b'"source": "%s"' % source.name.encode(), b'"source": "NAME"')
    named = named.replace(b'"from": "%s ' % source.name.encode(), b'"from": "NAME ')
    return _MOVING.sub(rb'"\1": "MOVING"', named)


@contextmanager
def sqlite_source(members: Rows, positions: Rows) -> Iterator[Source]:
    """The world in SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        url = write_sqlite(Path(folder, "union.db"), members, positions)
        yield open_sql(url, default_rules().sources, shape="sql")


def mysql_source(url: str, members: Rows, positions: Rows) -> Source:
    """The world in the union's own MySQL tables."""
    return open_sql(write_mysql(url, members, positions), default_rules().sources, shape="mysql")


def test_sqlite_and_mariadb_give_the_same_plan(mariadb_url: str) -> None:
    """Accents, emoji, case, zeros in front, several addresses, blanks: nothing of it depends on the database."""
    members = whole(NASTY)
    with sqlite_source(members, HELD) as source:
        wanted = plan_of(source, CONTACTS)
    assert b'"do": "promote"' in wanted
    assert b'"do": "archive"' in wanted
    assert wanted.count(b'"do": ') > 6
    assert plan_of(mysql_source(mariadb_url, members, HELD), CONTACTS) == wanted


def test_supabase_gives_that_plan_too(postgres_shared_url: str) -> None:
    """Through the official client, page by page."""
    members = whole([row for row in NASTY if "emails" not in row])
    with sqlite_source(members, HELD) as source:
        wanted = plan_of(source, CONTACTS)
    with project(postgres_shared_url, members, HELD) as supabase:
        assert plan_of(supabase.source(), CONTACTS) == wanted


def drawn(seed: int) -> tuple[Rows, Rows, list[dict[str, Any]]]:
    """A small world, by chance."""
    chance = random.Random(seed)
    names = ["Ann", "Bo", "Zoë", "Rene\u0301e", "😀", "", None, " Cy "]
    phones = [None, "(212) 555-2368", "+1 765 465 7031", "12", "416-555-0123 x9", ""]
    numbers = [chance.choice([f"{chance.randrange(20)}", f"0{chance.randrange(9)}"]) for _ in range(8)]
    members = [
        DULL
        | {
            "membernumber": number,
            "firstname": chance.choice(names),
            "lastname": chance.choice(names),
            "email": chance.choice([None, f"m{number}@x.org", f"M{number}@X.ORG", f"m{chance.randrange(6)}@x.org"]),
            "phone": chance.choice(phones),
            "status": chance.choice(["Active", "Retired", "Resigned", "active"]),
            "membertypeid": chance.choice([6, 9, None]),
        }
        for number in numbers
    ]
    codes = ["pres", "evp", "facrep", "odd"]
    unique = sorted(number for number in set(numbers) if numbers.count(number) == 1)
    positions = [{"membernumber": number, "positioncode": chance.choice(codes)} for number in unique[::2]]
    contacts = [
        {"id": f"c{at}", "role": "lead", "email": f"m{number}@x.org"}
        if chance.random() < 0.4
        else {"id": f"c{at}", "external_id": number, "email": f"m{number}@x.org", "name": "Old Name"}
        for at, number in enumerate(unique)
    ]
    return members, positions, contacts


@pytest.mark.parametrize("seed", range(20))
def test_drawn_worlds_give_the_same_plan(seed: int, mariadb_url: str) -> None:
    """What nobody thought of."""
    members, positions, contacts = drawn(seed)
    with sqlite_source(members, positions) as source:
        wanted = plan_of(source, contacts)
    assert plan_of(mysql_source(mariadb_url, members, positions), contacts) == wanted
