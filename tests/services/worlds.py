"""Write one union into a database of either shape, with column types as the union's own tables have them.

Rows are plain: a member is a dict of the source's columns (`membernumber`, `firstname`, …) whose e-mails are either
`email` or `emails`, a list of (address, isprimary); a position is a dict of `membernumber` and `positioncode`. Columns
that are left out are NULL. The same rows written by both functions are the same world: SQLite's one `email` column
holds the address that the `mysql` shape has to arrive at, and positions name the first member with their number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import pymysql

Rows: TypeAlias = Sequence[Mapping[str, Any]]

SHARED = ("membernumber", "firstname", "lastname", "phone", "status", "membertypeid", "region", "facility")

SQLITE_TABLES = """
CREATE TABLE members (
    membernumber TEXT, firstname TEXT, lastname TEXT, email TEXT, phone TEXT,
    status TEXT, membertypeid INTEGER, region TEXT, facility TEXT
);
CREATE TABLE positions (membernumber TEXT, positioncode TEXT);
"""

MYSQL_TABLES = (
    """
    CREATE TABLE member (
        id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        membernumber VARCHAR(20), firstname VARCHAR(60), lastname VARCHAR(60), phone VARCHAR(40),
        status VARCHAR(20), membertypeid SMALLINT, region VARCHAR(20), facility CHAR(10),
        joined DATE, notes TEXT,
        KEY (membernumber)
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
    """,
    """
    CREATE TABLE emailinformation (
        id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        memberid INT UNSIGNED NOT NULL, email VARCHAR(254), isprimary TINYINT(1) NOT NULL DEFAULT 0,
        KEY (memberid)
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
    """,
    """
    CREATE TABLE position (
        id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        memberid INT UNSIGNED NOT NULL, positioncode VARCHAR(20),
        KEY (memberid)
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci
    """,
)


def member(number: str | None = "12345", **changes: Any) -> dict[str, Any]:
    """A dull member."""
    dull = {
        "membernumber": number,
        "firstname": "Ann",
        "lastname": "Lee",
        "email": "ann@example.org",
        "phone": "(765) 465-7031",
        "status": "Active",
        "membertypeid": 6,
        "region": "NEA",
        "facility": "ZNY",
    }
    return {**dull, **changes}


def position(number: str | None = "12345", code: str | None = "pres") -> dict[str, Any]:
    """A dull position."""
    return {"membernumber": number, "positioncode": code}


def write_sqlite(path: Path, members: Rows, positions: Rows) -> str:
    """Make a new SQLite file of shape `sql`; returns its SQLAlchemy URL."""
    columns = (*SHARED, "email")
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(SQLITE_TABLES)
        database.executemany(
            f"INSERT INTO members ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [(*_values(member), _main_email(member)) for member in members],
        )
        database.executemany(
            "INSERT INTO positions VALUES (?, ?)",
            [(position["membernumber"], position["positioncode"]) for position in positions],
        )
    return f"sqlite:///{path}"


def write_mysql(url: str, members: Rows, positions: Rows) -> str:
    """Make the union's three tables in the empty database of a mysql:// URL; returns the URL."""
    with connect_mysql(url) as connection, connection.cursor() as cursor:
        for statement in MYSQL_TABLES:
            cursor.execute(statement)
    fill_mysql(url, members, positions)
    return url


def fill_mysql(url: str, members: Rows, positions: Rows) -> None:
    """Put the rows into the union's three tables, which are there and empty."""
    ids = {member.get("membernumber"): at for at, member in reversed([*enumerate(members, 1)])}
    with connect_mysql(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO member (id, {', '.join(SHARED)}) VALUES ({', '.join(['%s'] * (len(SHARED) + 1))})",
            [(at, *_values(member)) for at, member in enumerate(members, 1)],
        )
        cursor.executemany(
            "INSERT INTO emailinformation (memberid, email, isprimary) VALUES (%s, %s, %s)",
            [(at, email, primary) for at, member in enumerate(members, 1) for email, primary in _emails(member)],
        )
        cursor.executemany(
            "INSERT INTO position (memberid, positioncode) VALUES (%s, %s)",
            [(ids[position["membernumber"]], position["positioncode"]) for position in positions],
        )
        connection.commit()


def connect_mysql(url: str) -> pymysql.Connection:
    """A connection that may write, from a mysql:// URL."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "").encode(),
        database=parts.path.strip("/"),
        charset="utf8mb4",
    )


def _values(member: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(member.get(name) for name in SHARED)


def _emails(member: Mapping[str, Any]) -> Iterable[tuple[str | None, bool]]:
    if "emails" in member:
        return [(email, bool(primary)) for email, primary in member["emails"]]
    email = member.get("email")
    return [] if email is None else [(email, True)]


def _main_email(member: Mapping[str, Any]) -> str | None:
    """Primary before others, then by code points: written apart from the code that it tests."""
    offers = sorted((not primary, email) for email, primary in _emails(member) if email and email.strip())
    return offers[0][1] if offers else None
