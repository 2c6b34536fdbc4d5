"""Reading members and positions from SQLite and MariaDB."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pymysql
import pytest
import yaml
from sqlalchemy.exc import DBAPIError
from syrupy.assertion import SnapshotAssertion

from reconciler.core.model import SourceData
from reconciler.core.rules import Sources
from reconciler.errors import RulesError, SettingsError, SourceShapeError, SourceUnreachable
from reconciler.sources import Source
from reconciler.sources.sql import Shape, SqlSource, open_sql
from reconciler.sources.sql_database import open_database
from tests.services.mariadb import MariaDb
from tests.services.worlds import Rows, connect_mysql, member, position, write_mysql, write_sqlite

SOURCES = msgspec.convert(
    yaml.safe_load((Path(__file__).parents[2] / "rules" / "sources.yaml").read_text(encoding="utf-8")), Sources
)
CANARY = "k4narienvogel"


def ignore(_what: str, _done: int, _total: int | None) -> None:
    """Progress that nobody watches."""


def read(url: str, shape: Shape = "sql") -> SourceData:
    """One read, with the rules as they are shipped."""
    source: Source = open_sql(url, SOURCES, shape=shape)
    return source.read(ignore)


def everything_said(error: BaseException) -> str:
    """All text that a log or a crash report could show of an error, its causes and contexts included."""
    chain: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        chain += [repr(seen), str(seen), repr(seen.args)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join([*chain, *traceback.format_exception(error), getattr(error, "next_step", "")])


def sqlite_run(path: Path, *statements: str) -> str:
    """A new SQLite file made by hand; returns its URL."""
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)
    return f"sqlite:///{path}"


# one world, two databases

TRAPS: Rows = [
    member("1", lastname="😀", email="renee@x.org"),
    member("2", lastname="😁", email="renée@x.org"),
    member("3", email="Ann@Example.org"),
    member("4", email="ann@example.org"),
    member("5", email="straße@x.org"),
    member("6", email="strasse@x.org"),
    member("00007"),
    member("7"),
    member("a8"),
    member("A8"),
    member("9", firstname="Rene\u0301e", lastname="  O'Neil \t", region="   ", facility=None, phone=""),
    member("10", emails=[("z@x.org", True), ("a@x.org", False)]),
    member("11", emails=[("z@x.org", False), ("a@x.org", False)]),
    member("12", emails=[("z@x.org", True), ("b@x.org", True), ("a@x.org", False)]),
    member("13", emails=[("  ", True), ("a@x.org", False)]),
    member("14", emails=[]),
    member("15", lastname="Twice"),
    member("15", lastname="Again"),
    member("15", lastname="Again"),
    member(None, lastname="Nameless"),
    member("  ", lastname="Blank"),
    member("7%#2"),
]
HELD: Rows = [
    position("1", "pres"),
    position("1", "evp"),
    position("1", "evp"),
    position("9", " rep "),
    position("2", None),
]


def test_the_same_rows_read_the_same_from_sqlite_and_mariadb(tmp_path: Path, mariadb_url: str) -> None:
    """A plan must not depend on where the union is kept: members, positions and row names are equal."""
    lite = read(write_sqlite(tmp_path / "union.db", TRAPS, HELD))
    maria = read(write_mysql(mariadb_url, TRAPS, HELD), "mysql")
    assert (lite.name, maria.name) == ("sqlite", "mysql")
    assert lite.members == maria.members
    assert lite.positions == maria.positions
    assert len(TRAPS) == len(lite.members)
    assert len(HELD) == len(lite.positions)


def test_texts_that_a_collation_calls_equal_stay_apart(mariadb_url: str) -> None:
    """MariaDB itself calls these e-mails and names equal; identity is decided on the exact text."""
    maria = read(write_mysql(mariadb_url, TRAPS, HELD), "mysql")
    with connect_mysql(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(DISTINCT lastname) FROM member WHERE membernumber IN ('1', '2')")
        assert cursor.fetchone() == (1,)
    found = {each.number: each for each in maria.members}
    assert (found["1"].last_name, found["2"].last_name) == ("😀", "😁")
    assert (found["1"].email, found["2"].email) == ("renee@x.org", "renée@x.org")
    assert (found["3"].email, found["4"].email) == ("Ann@Example.org", "ann@example.org")
    assert {"00007", "7", "a8", "A8"} <= set(found)


def test_the_primary_address_wins_then_the_smallest(mariadb_url: str) -> None:
    """Which address counts depends on marks and texts only, never on the order of rows; blank ones do not count."""
    maria = read(write_mysql(mariadb_url, TRAPS, HELD), "mysql")
    emails = {each.number: each.email for each in maria.members}
    expected = {"10": "z@x.org", "11": "a@x.org", "12": "b@x.org", "13": "a@x.org", "14": None}
    assert expected == {number: emails[number] for number in expected}


def test_each_row_has_a_name_of_its_own(tmp_path: Path) -> None:
    """A finding about a blank or doubled number must be able to say which row it means."""
    data = read(write_sqlite(tmp_path / "union.db", TRAPS, HELD))
    rows = [each.row for each in data.members]
    assert len(set(rows)) == len(rows)
    assert [each.row for each in data.members if not each.number] == ["members/#1", "members/#2"]
    assert [(each.last_name, each.row) for each in data.members if each.number == "15"] == [
        ("Again", "members/15"),
        ("Again", "members/15#2"),
        ("Twice", "members/15#3"),
    ]
    assert "members/7%25%232" in rows
    assert [each.row for each in data.positions] == [
        "positions/1/evp",
        "positions/1/evp#2",
        "positions/1/pres",
        "positions/2/",
        "positions/9/rep",
    ]


def test_text_is_cleaned_and_nothing_else(tmp_path: Path) -> None:
    """NFC, trimmed, blank as None: the form in which every later comparison expects it."""
    data = read(write_sqlite(tmp_path / "union.db", TRAPS, HELD))
    nine = next(each for each in data.members if each.number == "9")
    assert (
        nine.first_name,
        nine.last_name,
        nine.region,
        nine.facility,
        nine.phone,
    ) == ("Ren\u00e9e", "O'Neil", None, None, None)


def test_the_order_of_rows_in_the_table_does_not_matter(tmp_path: Path) -> None:
    """Same inputs, same plan: a database may hand its rows over in any order."""
    forwards = read(write_sqlite(tmp_path / "a.db", TRAPS, HELD))
    backwards = read(write_sqlite(tmp_path / "b.db", TRAPS[::-1], HELD[::-1]))
    assert forwards == backwards
    assert [each.number for each in forwards.members] == sorted(each.number for each in forwards.members)


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_progress_is_told_for_every_thousand_rows(tmp_path: Path, count: int) -> None:
    """A page boundary neither drops nor doubles a row, and the last report carries the total."""
    url = write_sqlite(tmp_path / "union.db", [member(str(at)) for at in range(count)], [])
    told: list[tuple[str, int, int | None]] = []
    data = open_sql(url, SOURCES, shape="sql").read(lambda *report: told.append(report))
    assert count == len({each.number for each in data.members}) == len(data.members)
    full = [("members", done, None) for done in range(1000, count + 1, 1000)]
    rest = [("members", count, None)] if count % 1000 else []
    assert [*full, *rest, ("members", count, count), ("positions", 0, 0)] == told


@dataclass(frozen=True, slots=True)
class Value:
    column: str
    sql: str
    text: str | None
    reason: str


VALUES = [
    Value("INTEGER", "123", "123", "a number column gives its digits"),
    Value("TEXT", "'0123'", "0123", "leading zeros belong to the number"),
    Value("REAL", "7654657031", "7654657031", "no fraction that says nothing"),
    Value("REAL", "1e16", "10000000000000000", "no exponent"),
    Value("REAL", "0.25", "0.25", "a fraction that says something stays"),
    Value("BLOB", "CAST('Zoë' AS BLOB)", "Zoë", "bytes are UTF-8"),
    Value("TEXT", "char(160) || 'x' || char(12288)", "x", "white space of every script is trimmed"),
    Value("TEXT", "NULL", None, "nothing is nothing"),
]


@pytest.mark.parametrize("case", VALUES, ids=lambda case: case.reason)
def test_every_kind_of_value_becomes_text(tmp_path: Path, case: Value) -> None:
    """Columns have the types that somebody once gave them; the text is what a person would read."""
    url = sqlite_run(
        tmp_path / "union.db",
        f"CREATE TABLE members (membernumber, firstname, lastname, email, phone {case.column}, status, membertypeid, "
        "region, facility)",
        "CREATE TABLE positions (membernumber, positioncode)",
        f"INSERT INTO members (membernumber, phone) VALUES ('1', {case.sql})",
    )
    assert case.text == read(url).members[0].phone


@pytest.mark.parametrize(
    ("kind", "yes", "no"),
    [
        ("BIT(1)", "b'1'", "b'0'"),
        ("CHAR(1)", "'Y'", "'N'"),
        ("BOOLEAN", "TRUE", "NULL"),
        ("VARCHAR(5)", "'True'", "''"),
    ],
)
def test_a_primary_mark_may_be_of_any_kind(mariadb_url: str, kind: str, yes: str, no: str) -> None:
    """Whoever made the table chose BIT, BOOLEAN or a letter; a mark that is not understood picks the wrong address."""
    write_mysql(mariadb_url, [member(emails=[])], [])
    with connect_mysql(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE emailinformation MODIFY isprimary {kind} NULL DEFAULT NULL")
        cursor.execute(
            f"INSERT INTO emailinformation (memberid, email, isprimary) VALUES (1,'a@x',{no}),(1,'z@x',{yes})"
        )
        connection.commit()
    assert read(mariadb_url, "mysql").members[0].email == "z@x"


def test_mysql_numbers_and_dates_become_text(mariadb_url: str) -> None:
    """DECIMAL and DATE columns read as people write them, without exponents or Python's names."""
    write_mysql(mariadb_url, [member(phone=None, region=None)], [])
    with connect_mysql(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE member MODIFY phone DECIMAL(12,2), MODIFY region DATE")
        cursor.execute("ALTER TABLE member MODIFY facility VARBINARY(9)")
        cursor.execute("UPDATE member SET phone = 7654657031.00, region = '2026-11-23', facility = 'ZNY '")
        connection.commit()
    (found,) = read(mariadb_url, "mysql").members
    assert (found.phone, found.region, found.facility) == ("7654657031", "2026-11-23", "ZNY")


def test_a_position_of_nobody_is_kept_with_its_id(mariadb_url: str) -> None:
    """A row that ties to no member is a finding for somebody, so it must not vanish in the join."""
    write_mysql(mariadb_url, [member("1"), member(None)], [position("1", "pres"), position(None, "evp")])
    with connect_mysql(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO position (memberid, positioncode) VALUES (77, 'evp')")
        connection.commit()
    found = [(each.member_number, each.code, each.row) for each in read(mariadb_url, "mysql").positions]
    assert found == [
        ("", "evp", "positions//evp#1"),
        ("", "evp", "positions/member id 77/evp#1"),
        ("1", "pres", "positions/1/pres"),
    ]


# one view, and no writing


def test_a_writer_in_the_middle_of_a_sqlite_read_does_not_tear_it(tmp_path: Path) -> None:
    """Members and positions are of one moment: a position never names a member that came after."""
    path = tmp_path / "union.db"
    url = write_sqlite(path, [member(str(at)) for at in range(3000)], [position("1")])
    sqlite_run(path, "PRAGMA journal_mode = WAL")

    def write(what: str, done: int, _total: int | None) -> None:
        if (what, done) == ("members", 1000):
            sqlite_run(path, "DELETE FROM members", "INSERT INTO positions VALUES ('9', 'evp')")

    data = open_sql(url, SOURCES, shape="sql").read(write)
    assert (len(data.members), len(data.positions)) == (3000, 1)
    again = read(url)
    assert (len(again.members), len(again.positions)) == (0, 2)


def test_a_writer_in_the_middle_of_a_mariadb_read_does_not_tear_it(mariadb: MariaDb) -> None:
    """The same over three tables, of which the last is read long after the first."""
    database = mariadb.new_database()
    url = write_mysql(mariadb.url(database), [member(str(at)) for at in range(3000)], [position("1")])

    def write(what: str, done: int, _total: int | None) -> None:
        if (what, done) == ("members", 1000):
            with mariadb.connect(database) as connection, connection.cursor() as cursor:
                cursor.execute("DELETE FROM member WHERE id > 1")
                cursor.execute("DELETE FROM emailinformation")
                cursor.execute("INSERT INTO position (memberid, positioncode) VALUES (1, 'evp')")

    data = open_sql(url, SOURCES, shape="mysql").read(write)
    assert (len(data.members), len(data.positions)) == (3000, 1)
    assert all(each.email == "ann@example.org" for each in data.members)
    again = read(url, "mysql")
    assert (len(again.members), len(again.positions)) == (1, 2)


def test_the_connection_to_sqlite_cannot_write(tmp_path: Path) -> None:
    """The source is never written to, by mistake or otherwise: the database itself refuses."""
    database = open_database(write_sqlite(tmp_path / "union.db", [member()], []))
    with database.view() as connection, pytest.raises(DBAPIError, match="readonly"):
        connection.exec_driver_sql("INSERT INTO positions VALUES ('1', 'pres')")


def test_the_connection_to_mariadb_cannot_write(mariadb_url: str) -> None:
    """Even where the user may write: neither in the read's own transaction nor in a later one of the session."""
    with open_database(write_mysql(mariadb_url, [member()], [])).view() as connection:
        for _ in range(2):
            with pytest.raises(DBAPIError, match="1792"):
                connection.exec_driver_sql("INSERT INTO position (memberid, positioncode) VALUES (1, 'pres')")
            connection.rollback()


def test_a_user_who_may_only_read_the_three_tables_is_enough(mariadb: MariaDb) -> None:
    """Nothing but SELECT is needed, so nothing but SELECT has to be granted."""
    database = mariadb.new_database()
    write_mysql(mariadb.url(database), [member()], [position()])
    with mariadb.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'least'@'127.0.0.1' IDENTIFIED BY 'least'")
        for name in ("member", "emailinformation", "position"):
            cursor.execute(f"GRANT SELECT ON {database}.{name} TO 'least'@'127.0.0.1'")
    data = read(mariadb.url(database, user="least", password="least"), "mysql")
    assert (len(data.members), len(data.positions)) == (1, 1)


# what goes wrong


def shape_error(url: str, shape: Shape) -> str:
    """The whole text of the SourceShapeError that a read ends in."""
    with pytest.raises(SourceShapeError) as caught:
        read(url, shape)
    return f"{caught.value}\n{caught.value.next_step}"


def test_all_missing_tables_and_columns_of_sqlite_are_named_at_once(
    tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    """One run tells everything that has to be corrected, with what is there instead."""
    path = tmp_path / "union.db"
    url = sqlite_run(
        path,
        "CREATE TABLE members (membernumber, firstname, surname, e_mail, phone, STATUS, membertypeid, REGION)",
        "CREATE TABLE offices (membernumber, code)",
        "CREATE VIEW everybody AS SELECT * FROM members",
    )
    assert snapshot == shape_error(url, "sql").replace(str(path), "FILE")


def test_all_missing_tables_and_columns_of_mariadb_are_named_at_once(
    mariadb_url: str, snapshot: SnapshotAssertion
) -> None:
    """The same for the union's own shape, where table names differ by case."""
    write_mysql(mariadb_url, [], [])
    with connect_mysql(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE member DROP COLUMN region, RENAME COLUMN facility TO Facility")
        cursor.execute("RENAME TABLE emailinformation TO EmailInformation")
        cursor.execute("ALTER TABLE position RENAME COLUMN positioncode TO code")
    text = shape_error(mariadb_url, "mysql")
    place = mariadb_url.rpartition("@")[2]
    port, database = place.partition(":")[2].split("/")
    assert snapshot == text.replace(port, "PORT").replace(database, "DATABASE")


def test_a_database_without_tables_says_so(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    """An empty file is a database without tables to SQLite."""
    path = tmp_path / "union.db"
    path.touch()
    assert snapshot == shape_error(f"sqlite:///{path}", "sql").replace(str(path), "FILE")


def test_a_column_that_is_missing_is_not_read_as_its_own_name(tmp_path: Path) -> None:
    """SQLite takes a quoted name that it does not know for a text: every member would get the e-mail `eMail`."""
    url = sqlite_run(
        tmp_path / "union.db",
        "CREATE TABLE members (n)",
        "CREATE TABLE positions (n, c)",
        "INSERT INTO members VALUES (1)",
    )
    tables = {
        "members": {"table": "members", "columns": {"number": "n", "email": "eMail"}},
        "positions": {"table": "positions", "columns": {"member_number": "n", "code": "c"}},
    }
    sources = msgspec.structs.replace(SOURCES, sql=msgspec.convert(tables, type(SOURCES.sql)))
    with pytest.raises(SourceShapeError, match="has no column eMail"):
        open_sql(url, sources, shape="sql").read(ignore)


def test_fields_that_the_rules_do_not_map_are_blank(tmp_path: Path) -> None:
    """A database without regions is no reason to refuse it."""
    url = sqlite_run(
        tmp_path / "union.db",
        "CREATE TABLE people (n, m)",
        "CREATE TABLE held (n, c)",
        "INSERT INTO people VALUES (1, 'a@x')",
    )
    tables = {
        "members": {"table": "people", "columns": {"number": "n", "email": "m"}},
        "positions": {"table": "held", "columns": {"member_number": "n", "code": "c"}},
    }
    sources = msgspec.structs.replace(SOURCES, sql=msgspec.convert(tables, type(SOURCES.sql)))
    (found,) = open_sql(url, sources, shape="sql").read(ignore).members
    assert (found.number, found.email, found.region, found.row) == ("1", "a@x", None, "members/1")


def test_columns_that_do_not_fit_the_shape_are_errors_of_the_rules(snapshot: SnapshotAssertion) -> None:
    """A misspelt field in sources.yaml is found before the database is asked."""
    tables = {
        "members": {"table": "members", "columns": {"numbr": "membernumber"}},
        "positions": {"table": "positions", "columns": {"member_number": "membernumber"}},
    }
    sources = msgspec.structs.replace(SOURCES, sql=msgspec.convert(tables, type(SOURCES.sql)))
    with pytest.raises(RulesError) as caught:
        open_sql("sqlite:///union.db", sources, shape="sql")
    assert snapshot == str(caught.value)


def test_a_file_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """SQLite makes an empty database of any new name; an empty union would archive everybody."""
    path = tmp_path / "absent.db"
    with pytest.raises(SourceUnreachable, match="there is no such file"):
        read(f"sqlite:///{path}")
    assert not path.exists()


def test_a_path_with_characters_of_a_url_is_a_path(tmp_path: Path) -> None:
    """`#`, `?` and `%` mean something in a file: URI; the file that is named is the one that is read."""
    path = tmp_path / "ünion #1 100%.db"
    write_sqlite(path, [member()], [])
    assert len(read(f"sqlite:///{path}".replace("%", "%25")).members) == 1


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    """The text names the file and the reason, and no content."""
    path = tmp_path / "union.db"
    path.write_text(f"number;{CANARY}\n" * 1000, encoding="utf-8")
    with pytest.raises(SourceUnreachable, match="not a SQLite database") as caught:
        read(f"sqlite:///{path}")
    assert CANARY not in everything_said(caught.value)


@pytest.mark.parametrize("kind", ["TEXT", "BLOB"])
def test_text_that_is_not_utf8_sets_its_row_apart_without_showing_it(tmp_path: Path, kind: str) -> None:
    """Bytes of an unknown encoding would be written to Intercom wrong; the other rows come all the same."""
    url = sqlite_run(
        tmp_path / "union.db",
        "CREATE TABLE members (n, m)",
        "CREATE TABLE positions (n, c)",
        f"INSERT INTO members VALUES (1, CAST(x'ff' || '{CANARY}' AS {kind})), (2, 'ann@example.org')",
    )
    tables = {
        "members": {"table": "members", "columns": {"number": "n", "email": "m"}},
        "positions": {"table": "positions", "columns": {"member_number": "n", "code": "c"}},
    }
    sources = msgspec.structs.replace(SOURCES, sql=msgspec.convert(tables, type(SOURCES.sql)))
    data = open_sql(url, sources, shape="sql").read(ignore)
    assert [(each.number, each.email) for each in data.members] == [("1", None), ("2", "ann@example.org")]
    (unfit,) = data.quarantined
    assert (unfit.number, unfit.reasons) == ("1", (("email", "is not text: it holds half a character"),))
    assert CANARY not in repr(unfit)


def test_an_internal_id_that_is_no_key_is_refused(mariadb_url: str) -> None:
    """Two members with one id would share their addresses: nothing is guessed."""
    write_mysql(mariadb_url, [member("1"), member("2")], [])
    with connect_mysql(mariadb_url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE member MODIFY id INT NOT NULL, DROP PRIMARY KEY")
        cursor.execute("UPDATE member SET id = 1")
        connection.commit()
    with pytest.raises(SourceShapeError, match=r"member\.id holds blanks, or one value in several rows"):
        read(mariadb_url, "mysql")


@dataclass(frozen=True, slots=True)
class Broken:
    url: Callable[[MariaDb], str]
    says: str
    reason: str


BROKEN = [
    Broken(
        lambda db: db.url("union_1", password=CANARY),
        "the user or the password is not accepted (error 1045)",
        "password",
    ),
    Broken(lambda db: db.url("union_1", user=CANARY), "the user or the password is not accepted (error 1045)", "user"),
    Broken(lambda db: db.url("absent"), "it has no database of that name (error 1049)", "database"),
    Broken(lambda _db: f"mysql://u:{CANARY}@127.0.0.1:1/union_1", "nothing answers there (error 2003)", "port"),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.reason)
def test_a_server_that_refuses_is_named_without_user_or_password(mariadb: MariaDb, case: Broken) -> None:
    """The text says host, port, database and reason; what logs in stays out of it, and the password of every cause."""
    url = case.url(mariadb)
    with pytest.raises(SourceUnreachable) as caught:
        read(url, "mysql")
    text = f"{caught.value}{caught.value.next_step}"
    assert case.says in text
    assert f"mysql at {url.rpartition('@')[2].replace('/', ', database ')}" in text
    assert CANARY not in text
    assert mariadb.user not in text
    if case.reason != "user":
        assert CANARY not in everything_said(caught.value)
    assert mariadb.password not in everything_said(caught.value)
    assert caught.value.__cause__ is not None


def test_a_server_that_goes_away_in_the_middle_is_unreachable(mariadb: MariaDb) -> None:
    """Part of the rows is never returned as if it were all of them."""
    database = mariadb.new_database()
    url = write_mysql(mariadb.url(database), [member(str(at)) for at in range(2000)], [])

    def kill(what: str, done: int, _total: int | None) -> None:
        if (what, done) == ("members", 1000):
            with mariadb.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (database,))
                for (process,) in cursor.fetchall():
                    cursor.execute(f"KILL {process}")

    with pytest.raises(SourceUnreachable, match="the connection was lost"):
        open_sql(url, SOURCES, shape="mysql").read(kill)


URLS = [
    ("no scheme", CANARY),
    ("port is no number", f"mysql://u:p@h:{CANARY}/d"),
    ("@ in the password", f"mysql://u:p@{CANARY}@h/d"),
    ("a dialect that is not read", f"oracle://u:{CANARY}@h/d"),
    ("a driver that is not used", f"mysql+mysqlconnector://u:{CANARY}@h/d"),
    ("a driver that is not installed", f"postgresql+pg8000://u:{CANARY}@h/d"),
    ("a dialect that does not exist", f"nodb://u:{CANARY}@h/d"),
    ("no database", f"mysql://u:{CANARY}@h"),
    ("no file", "sqlite://"),
    ("memory", "sqlite:///:memory:"),
    ("a file: URI", "sqlite:///file:union.db?uri=true"),
]


@pytest.mark.parametrize(("reason", "url"), URLS, ids=[reason for reason, _ in URLS])
def test_a_url_that_cannot_be_used_is_refused_without_being_shown(
    reason: str, url: str, snapshot: SnapshotAssertion
) -> None:
    """One clear line; the parser's own texts, which may hold a part of the password, are left out."""
    with pytest.raises(SettingsError) as caught:
        open_sql(url, SOURCES, shape="sql")
    assert snapshot == f"{reason}: {caught.value} {caught.value.next_step}"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_source_does_not_show_its_password(mariadb: MariaDb) -> None:
    """A source that ends up in a log or a debugger says where it is and nothing else."""
    source: SqlSource = open_sql(mariadb.url("d", user=CANARY, password=CANARY), SOURCES, shape="mysql")
    assert CANARY not in repr(source)
    assert "database d" in repr(source)


def test_a_file_that_somebody_holds_locked_is_unreachable(tmp_path: Path) -> None:
    """Whatever the database says, callers meet an error of ours, with the reason in plain words."""
    path = tmp_path / "union.db"
    url = write_sqlite(path, [member()], [])
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceUnreachable, match=r"another program holds it locked \(SQLITE_BUSY\)"):
            open_sql(url, SOURCES, shape="sql", connect_seconds=0).read(ignore)


def test_pymysql_is_the_driver_of_a_plain_mysql_url(mariadb_url: str) -> None:
    """`mysql://` and `mariadb://` mean a driver that is installed, not SQLAlchemy's default."""
    write_mysql(mariadb_url, [member()], [])
    assert read(mariadb_url.replace("mysql:", "mariadb:"), "mysql").name == "mysql"
    assert pymysql.__name__ == open_database(mariadb_url).engine.driver
