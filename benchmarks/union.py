"""A union of any size, and a workspace that has drifted from it: the same for the same size."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

MEMBER_COLUMNS = (
    "membernumber",
    "firstname",
    "lastname",
    "email",
    "phone",
    "status",
    "membertypeid",
    "region",
    "facility",
)
POSITIONS = {"pres": "NATCA President", "facrep": "Facility President", "arearep": "Area Representative"}
REGIONS = ("Alaskan", "Central", "Eastern", "Great Lakes", "New England", "Northwest", "Southern", "Western")


def member(place: int) -> tuple[str | None, ...]:
    """The row of one member. Every tenth has left, every seventh has no phone."""
    number = str(100_000 + place)
    return (
        number,
        f"First{place % 977}",
        f"Last{place}",
        f"member{place}@example.org",
        None if place % 7 == 0 else f"({212 + place % 3}) {200 + place // 10_000:03d}-{place % 10_000:04d}",
        "Resigned" if place % 10 == 0 else "Retired" if place % 10 == 1 else "Active",
        "6",
        REGIONS[place % len(REGIONS)],
        f"Z{place % 300:03d}",
    )


def position(place: int) -> str | None:
    """The position code of one member, where they hold one."""
    return ("facrep", "arearep")[place % 2] if place % 5 == 0 else None


def write_database(path: Path, size: int) -> None:
    """Members and positions as SQLite, tables of design §5."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE members ({', '.join(f'{name} TEXT' for name in MEMBER_COLUMNS)})")
        connection.execute("CREATE TABLE positions (membernumber TEXT, positioncode TEXT)")
        marks = ", ".join("?" for _ in MEMBER_COLUMNS)
        connection.executemany(f"INSERT INTO members VALUES ({marks})", map(member, range(size)))
        codes = ((str(100_000 + place), position(place)) for place in range(size))
        connection.executemany("INSERT INTO positions VALUES (?, ?)", ((n, code) for n, code in codes if code))


def write_contacts(path: Path, size: int) -> int:
    """The workspace as seed lines: 5% more contacts than members, about 4% of them drifted. Returns the count."""
    count = 0
    with path.open("w", encoding="utf-8") as lines:
        for contact in contacts(size):
            lines.write(json.dumps(contact) + "\n")
            count += 1
    return count


def contacts(size: int) -> Iterator[dict[str, object]]:
    """One contact for each member but every 200th, strangers, and some duplicates."""
    for place in range(size):
        if place % 200 != 199:
            yield _drifted(converged(place), place)
        if place % 500 == 123:
            yield {"id": f"{0xD00000000000 + place:024x}", "role": "lead", "email": f"member{place}@example.org"}
    for place in range(size * 53 // 1000):
        yield {"id": f"{0xE00000000000 + place:024x}", "role": "lead", "email": f"stranger{place}@example.net"}


def converged(place: int) -> dict[str, object]:
    """The contact of one member, as it should be."""
    number, first, last, email, phone, status, _, region, facility = member(place)
    code = position(place)
    attributes = {
        "member_number": number,
        "region": region,
        "facility": facility,
        "member_type": "Retired Member" if status == "Retired" else "Current Member",
        "positions": POSITIONS[code] if code else None,
    }
    return {
        "id": f"{0xC00000000000 + place:024x}",
        "role": "user",
        "external_id": number,
        "email": email,
        "name": f"{first} {last}",
        "phone": "+1" + "".join(filter(str.isdigit, phone)) if phone else None,
        "created_at": 1_600_000_000 + place,
        "last_seen_at": 1_700_000_000 + place,
        "custom_attributes": {name: value for name, value in attributes.items() if value is not None},
    }


def _drifted(contact: dict[str, object], place: int) -> dict[str, object]:
    match place % 100:
        case 3:
            return contact | {"name": "Old Name"}
        case 5:
            return contact | {"external_id": f"0e2f4a9c-5b7d-4c1e-9a63-{place:012x}"}
        case 7:
            return contact | {"phone": "(212) 555-0100"}
        case _:
            return contact
