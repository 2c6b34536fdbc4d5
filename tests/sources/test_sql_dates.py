"""When a row was last changed, in MariaDB and SQLite: read in UTC, and set apart where it is no date (C8, E10)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from reconciler.core.model import SourceData
from reconciler.core.plan import Plan
from reconciler.core.rules import Sources
from reconciler.sources.sql import Shape, open_sql
from reconciler.sources.sql_database import open_database
from tests.services.worlds import connect_mysql, member, write_mysql, write_sqlite
from tests.sources.planning import planned
from tests.sources.test_sql import SOURCES, ignore, sqlite_run


def timed(shape: Shape, column: str) -> Sources:
    """The rules with a column for `updated_at`."""
    tables: Mapping[str, Mapping[str, Mapping[str, object]]] = msgspec.to_builtins(SOURCES)
    members = tables[shape]["members"]
    columns = {**msgspec.convert(members["columns"], dict[str, str]), "updated_at": column}
    changed = {**tables, shape: {**tables[shape], "members": {**members, "columns": columns}}}
    return msgspec.convert(changed, Sources)


def read_mysql(url: str, kind: str, *values: str) -> SourceData:
    """Two members whose column `joined` is of this kind and holds these."""
    write_mysql(url, [member("1"), member("2")], [])
    with connect_mysql(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(f"ALTER TABLE member MODIFY joined {kind}")
        for at, value in enumerate(values, 1):
            cursor.execute("UPDATE member SET joined = %s WHERE id = %s", (value, at))
        connection.commit()
    return open_sql(url, timed("mysql", "joined"), shape="mysql").read(ignore)


@pytest.mark.parametrize(
    ("kind", "values", "latest"),
    [
        ("DATETIME", ("2026-11-20 10:00:00", "2026-11-21 10:00:00"), "2026-11-21T10:00:00+00:00"),
        ("DATE", ("2026-11-20", "2026-11-21"), "2026-11-21T00:00:00+00:00"),
    ],
)
def test_the_latest_change_in_mariadb(mariadb_url: str, kind: str, values: tuple[str, str], latest: str) -> None:
    """A DATETIME has no zone, and is taken to be in UTC."""
    data = read_mysql(mariadb_url, kind, *values)
    assert (data.changed_at, data.quarantined) == (latest, ())


@pytest.mark.parametrize("kind", ["DATETIME", "DATE"])
def test_a_zero_date_sets_its_row_apart(mariadb_url: str, kind: str) -> None:
    """`0000-00-00` is what MySQL keeps where it is not strict: no date, and no reason to give up the other rows."""
    data = read_mysql(mariadb_url, kind, "0000-00-00", "2026-11-21")
    assert [(one.number, one.row, one.reasons) for one in data.quarantined] == [
        ("1", "members/1", (("updated_at", "is no date"),))
    ]
    assert data.changed_at == "2026-11-21T00:00:00+00:00"


def test_the_latest_change_in_sqlite(tmp_path: Path) -> None:
    """Text, as SQLite keeps times; a row without one counts for nothing."""
    path = tmp_path / "union.db"
    url = write_sqlite(path, [member("1"), member("2"), member("3")], [])
    sqlite_run(
        path,
        "ALTER TABLE members ADD COLUMN changed TEXT",
        "UPDATE members SET changed = '2026-11-20 10:00:00' WHERE membernumber = '1'",
        "UPDATE members SET changed = '2026-13-20 10:00:00' WHERE membernumber = '2'",
    )
    data = open_sql(url, timed("sql", "changed"), shape="sql").read(ignore)
    assert data.changed_at == "2026-11-20T10:00:00+00:00"
    assert [one.number for one in data.quarantined] == ["2"]
    assert open_sql(url, SOURCES, shape="sql").read(ignore).changed_at is None


def night(folder: Path, changed: str, earlier: Plan | None = None) -> Plan:
    """The plan of a night (2:30 UTC on 23 November) whose only member was changed at this time."""
    path = folder / f"{changed[:13]}.db"
    url = write_sqlite(path, [member("1")], [])
    sqlite_run(path, "ALTER TABLE members ADD COLUMN changed TEXT", f"UPDATE members SET changed = '{changed}'")
    return planned(open_sql(url, timed("sql", "changed"), shape="sql"), earlier=earlier)


def test_a_night_that_goes_backwards_is_refused(tmp_path: Path) -> None:
    """C6: the latest change stands in the plan of a good night, and the next may not be before it."""
    good = night(tmp_path, "2026-11-23 01:00:00")
    assert (good.applyable, good.inputs.members.changed_at) == (True, "2026-11-23T01:00:00+00:00")
    assert night(tmp_path, "2026-11-23 02:00:00", good).applyable
    older = night(tmp_path, "2026-11-23 00:00:00", good)
    assert not older.applyable
    assert f"plan {good.id} had one of 2026-11-23T01:00:00+00:00" in older.refused_because[0]


def test_a_night_on_an_old_copy_is_refused(tmp_path: Path) -> None:
    """C6: held against the clock also on the first night."""
    made = night(tmp_path, "2026-11-22 02:00:00")
    assert not made.applyable
    assert "over 24 hours ago" in made.refused_because[0]


def test_poison_in_a_table_by_internal_id(mariadb_url: str) -> None:
    """An address that cannot be used sets its member apart; one of several that is not taken does not."""
    write_mysql(
        mariadb_url,
        [
            member("1", emails=[("a\0@x.org", True), ("b@x.org", False)]),
            member("2", emails=[("c@x.org", True), ("z\0@x.org", False)]),
        ],
        [{"membernumber": "1", "positioncode": "pres"}, {"membernumber": "2", "positioncode": "p\nres"}],
    )
    data = open_sql(mariadb_url, SOURCES, shape="mysql").read(ignore)
    assert [(each.number, each.email) for each in data.members] == [("1", None), ("2", "c@x.org")]
    assert [(each.member_number, each.code) for each in data.positions] == [("1", "pres")]
    assert [(one.table, one.number, one.row, one.reasons) for one in data.quarantined] == [
        ("members", "1", "members/1", (("email", "holds a NUL character"),)),
        ("positions", "2", "positions/2/", (("code", "holds control characters"),)),
    ]


def test_the_session_of_mariadb_is_strict_and_utf8mb4(mariadb_url: str) -> None:
    """C8: whatever the server's defaults are, no value is cut or turned into another on its way here."""
    write_mysql(mariadb_url, [member("1")], [])
    with open_database(mariadb_url).view() as connection:
        found = connection.exec_driver_sql(
            "SELECT @@SESSION.sql_mode, @@character_set_client, @@character_set_results, @@SESSION.tx_read_only"
        ).one()
    assert "STRICT_ALL_TABLES" in found[0]
    assert tuple(found[1:]) == ("utf8mb4", "utf8mb4", 1)
