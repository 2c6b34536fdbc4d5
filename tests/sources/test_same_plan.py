"""One world, one plan: whichever database says it, the plan is the same, byte for byte but for id, times and source."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.core.plan import encode
from reconciler.core.rules import Rules
from reconciler.sources import Source
from reconciler.sources.sql import open_sql
from tests.services.supabase import project
from tests.services.worlds import Rows, connect_mysql, fill_mysql, write_mysql, write_sqlite
from tests.sources.planning import planned
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
POISON: Rows = [
    {"membernumber": "200", "firstname": "Ann", "lastname": "Line\nBreak", "email": "line@x.org"},
    {"membernumber": "201", "firstname": "A" * 1_000_000, "lastname": "Long", "email": "long@x.org"},
    {"membernumber": "2\x0102", "firstname": "Bo", "lastname": "Control", "email": "bo@x.org"},
    {"membernumber": "203\u200b", "firstname": "Cy", "lastname": "Unseen", "email": "cy@x.org"},
    {"membernumber": "204", "firstname": "Di", "lastname": "Sane", "email": "di@x.org"},
    {"membernumber": "205", "firstname": "Ed", "lastname": "Held", "email": "ed@x.org"},
    *(
        {"membernumber": f"{1000 + at}", "firstname": "Fi", "lastname": f"No{at}", "email": f"f{at}@x.org"}
        for at in range(800)
    ),
]
POISON_HELD: Rows = [
    {"membernumber": "204", "positioncode": "pres"},
    {"membernumber": "205", "positioncode": "p\x1bres"},
    {"membernumber": "2\x0102", "positioncode": "pres"},
    *({"membernumber": f"{1000 + at}", "positioncode": "facrep"} for at in range(400)),
]
"""What all three databases can hold; NUL is held by two of them, and half a character by none."""
POISONED = [
    {"id": f"p{number}", "external_id": number, "email": email, "name": "Old Name"}
    for number, email in (
        ("200", "line@x.org"),
        ("201", "long@x.org"),
        ("202", "bo@x.org"),
        ("203", "cy@x.org"),
        ("204", "di@x.org"),
        ("205", "ed@x.org"),
    )
]
DULL = {"status": "Active", "membertypeid": 6, "region": "NEA", "facility": "ZNY"}

_MOVING = re.compile(
    rb'"(id|created_at|expires_at|read_at|previous|digest)": ("(\d{8}T\d{6}Z-\w+|\d{4}-[^"]*|sha256:\w+)"|null)'
)


def whole(rows: Rows) -> Rows:
    """The rows with everything filled in that a test does not care about."""
    return [DULL | dict(row) for row in rows]


def plan_of(source: Source, contacts: list[dict[str, Any]], rules: Rules | None = None) -> bytes:
    """The plan for this source and these contacts, without id and times, and with the source's name as NAME."""
    encoded = encode(planned(source, contacts, rules=rules))
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


def test_poison_gives_one_plan_wherever_it_is_kept(mariadb_url: str, postgres_shared_url: str) -> None:
    """C9 on SQLite, MariaDB and Supabase: rows set apart alike, contacts left alone, everybody else brought in line."""
    members = whole(POISON)
    with sqlite_source(members, POISON_HELD) as source:
        wanted = plan_of(source, POISONED, wide_columns())
        made = planned(source, POISONED, rules=wide_columns())
    assert made.applyable
    assert [action.contact for action in made.actions if action.contact is not None] == ["p204"]
    assert sum(1 for action in made.actions if action.do == "create") == 800
    told = [(one.member, one.says.rpartition(": ")[2]) for one in made.findings if one.rule == "quarantined-row"]
    assert told == [
        ("200", "last_name holds control characters"),
        ("201", "first_name is longer than 255 characters"),
        ("202", "number holds control characters"),
        ("202", "member_number holds control characters"),
        ("203", "number holds invisible characters"),
        ("205", "code holds control characters"),
    ]
    write_mysql(mariadb_url, [], [])
    with connect_mysql(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE member MODIFY firstname LONGTEXT")
    fill_mysql(mariadb_url, members, POISON_HELD)
    maria = open_sql(mariadb_url, default_rules().sources, shape="mysql")
    assert plan_of(maria, POISONED, wide_columns()) == wanted
    with project(postgres_shared_url, members, POISON_HELD) as supabase:
        assert plan_of(supabase.source(), POISONED, wide_columns()) == wanted


def wide_columns() -> Rules:
    """The rules as shipped, with room for six bad rows in eight hundred."""
    shipped = default_rules()
    guards = msgspec.structs.replace(shipped.limits.source, quarantine_percent=1)
    return msgspec.structs.replace(shipped, limits=msgspec.structs.replace(shipped.limits, source=guards))


def test_nul_gives_one_plan_in_both_databases_that_hold_it(mariadb_url: str) -> None:
    """PostgreSQL refuses NUL in text, so that Supabase cannot say one."""
    members = whole([{"membernumber": "200", "firstname": "A\0nn", "lastname": "Nul", "email": "ann@x.org"}, *NASTY])
    with sqlite_source(members, HELD) as source:
        wanted = plan_of(source, CONTACTS)
    assert b"first_name holds a NUL character" in wanted
    assert plan_of(mysql_source(mariadb_url, members, HELD), CONTACTS) == wanted


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
