"""Looking up some members gives exactly what reading everybody and picking them would give, on every database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.core.model import SourceData, silent
from reconciler.core.text import fold_email
from reconciler.core.whom import Whom
from reconciler.errors import SourceShapeError, SourceUnreachable
from reconciler.sources import LookUp, Source
from reconciler.sources.lookup import pattern_of, phone_pattern
from reconciler.sources.sql import open_sql
from tests.services.mariadb import MariaDb
from tests.services.postgres import write_postgres
from tests.services.postgrest.server import ANON_KEY
from tests.services.supabase import project
from tests.services.worlds import Rows, connect_mysql, write_mysql, write_sqlite
from tests.sources.test_same_plan import HELD, NASTY, whole
from tests.sources.test_sql import SOURCES

ODD: Rows = [
    *NASTY,
    {"membernumber": " 120 ", "firstname": "Ina", "email": "  Ina@X.org "},
    {"membernumber": "1200", "firstname": "Jo", "email": "jo_b%@x.org", "phone": "+1 (617) 555.0123"},
    {"membernumber": "121", "firstname": "Kay", "email": "joxb@x.org", "phone": "6175550123"},
    {"membernumber": "122", "firstname": "Lu", "email": "lu\u0301@x.org", "phone": "617-555-0199"},
    {"membernumber": "123", "firstname": "Mo", "email": "L\u00da@X.ORG"},
    {"membernumber": "124", "firstname": "Ni", "email": "o'hara\\\"@x.org"},
    {"membernumber": "125", "firstname": "Kim", "email": "\u212aim@x.org"},
    {"membernumber": "126", "firstname": "Inci", "email": "\u0130nci@x.org"},
    {"membernumber": None, "firstname": "Nobody", "email": "ann@x.org"},
]
POSITIONS: Rows = [
    *HELD,
    {"membernumber": "110", "positioncode": "pres"},
    {"membernumber": "1200", "positioncode": "x"},
]

ASKED: dict[str, tuple[Whom, tuple[str, ...]]] = {
    "an e-mail in another case": (Whom(emails=("ANN@X.org",)), ("100",)),
    "white space around both": (Whom(emails=(" ina@x.org",)), ("120",)),
    "an e-mail two members share": (Whom(emails=("grin@x.org",)), ("101", "102")),
    "an accent is another person": (Whom(emails=("ren\u00e9e@x.org",)), ("103",)),
    "no accent is not that person": (Whom(emails=("renee@x.org",)), ("104",)),
    "composed asked, composed or not kept": (Whom(emails=("l\u00fa@x.org",)), ("122", "123")),
    "decomposed asked": (Whom(emails=("lu\u0301@x.org",)), ("122", "123")),
    "a number held twice shows both rows": (Whom(numbers=("110",)), ("110",)),
    "one of two rows by its e-mail shows both": (Whom(emails=("flo2@x.org",)), ("110",)),
    "a zero in front": (Whom(numbers=("0100",)), ("0100",)),
    "white space around a number": (Whom(numbers=("120",)), ("120",)),
    "a phone in any spelling": (Whom(phones=("+16175550123",)), ("1200", "121")),
    "a percent sign is a percent sign": (Whom(emails=("%@x.org",)), ()),
    "an underscore is an underscore": (Whom(emails=("jo_b%@x.org",)), ("1200",)),
    "an asterisk is PostgREST's percent sign": (Whom(emails=("*",)), ()),
    "quotes and backslashes": (Whom(emails=("o'hara\\\"@x.org",)), ("124",)),
    "an injection": (Whom(emails=("x' OR '1'='1",), numbers=("1) or (1=1", "a,or=(1.eq.1)")), ()),
    "PostgREST's own syntax": (Whom(emails=("in.(a,b)",), numbers=("is.null", "not.eq.1")), ()),
    "the sign of the kelvin": (Whom(emails=("kim@x.org",)), ("125",)),
    "an i with a dot": (Whom(emails=("\u0130nci@x.org",)), ("126",)),
    "an i without": (Whom(emails=("inci@x.org",)), ()),
    "somebody who left": (Whom(emails=("gus@x.org",)), ("111",)),
    "several at once": (Whom(numbers=("100", "nobody"), emails=("zoe@x.org",)), ("100", "0100")),
    "an address that is not the one that counts": (Whom(emails=("old@x.org",)), ()),
    "the one that counts": (Whom(emails=("bo@x.org",)), ("105",)),
    "blanks are nobody": (Whom(numbers=("", "  "), emails=("", " ")), ()),
    "nobody": (Whom(), ()),
    "a zero byte": (Whom(emails=("ann\x00@x.org",), numbers=("10\x000",)), ()),
}


def picked(everybody: SourceData, whom: Whom) -> SourceData:
    """The oracle: read all, and pick."""
    asked = whom.cleaned()
    numbers = {one.number for one in everybody.members if one.number and asked.is_meant(one)}
    return SourceData(
        everybody.name,
        tuple(one for one in everybody.members if one.number in numbers),
        tuple(one for one in everybody.positions if one.member_number in numbers),
    )


def check(source: Any, *, skip: frozenset[str] = frozenset()) -> None:
    """Every case, against what is written above and against the oracle."""
    everybody = source.read(silent)
    for name, (whom, numbers) in ASKED.items():
        if name in skip:
            continue
        found = source.find(whom)
        assert {one.number for one in found.members} == set(numbers), name
        assert found == picked(everybody, whom), name


@contextmanager
def in_sqlite(members: Rows, positions: Rows) -> Iterator[Any]:
    """The rows in a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        yield open_sql(write_sqlite(Path(folder, "u.db"), members, positions), SOURCES, shape="sql")


def test_sqlite() -> None:
    """Each case."""
    with in_sqlite(whole(ODD), POSITIONS) as source:
        check(source)


def test_mariadb(mariadb_url: str) -> None:
    """Each case, over three tables and under a collation that takes an accent for none."""
    check(open_sql(write_mysql(mariadb_url, whole(ODD), POSITIONS), SOURCES, shape="mysql"))


def test_mariadb_under_a_binary_collation(mariadb: MariaDb) -> None:
    """Where the database tells cases apart, the question does not."""
    url = write_mysql(mariadb.url(mariadb.new_database()), whole(ODD), POSITIONS)
    with connect_mysql(url) as connection, connection.cursor() as cursor:
        for table in ("member", "emailinformation", "position"):
            cursor.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    check(open_sql(url, SOURCES, shape="mysql"))


def test_postgresql(postgres_url: str) -> None:
    """Each case."""
    check(open_sql(write_postgres(postgres_url, whole(_without_many(ODD)), POSITIONS), SOURCES, shape="sql"), skip=MANY)


def test_supabase(postgres_shared_url: str) -> None:
    """Each case, through the official client, with answers that are cut at three rows."""
    with project(postgres_shared_url, whole(_without_many(ODD)), POSITIONS, max_rows=3) as supabase:
        check(supabase.source(), skip=MANY)


MANY = frozenset({"an address that is not the one that counts", "the one that counts"})


def _without_many(rows: Rows) -> Rows:
    """The shape of one table has one address a member."""
    return [row for row in rows if "emails" not in row]


def test_numbers_kept_as_numbers(postgres_shared_url: str) -> None:
    """A column of integers takes no pattern: it is asked for the number itself, and a text is nobody's number."""
    with project(postgres_shared_url, whole(NASTY[:1]), HELD[:1]) as supabase:
        for table in ("members", "positions"):
            supabase.shim.execute(f"ALTER TABLE {table} ALTER membernumber TYPE int USING membernumber::int")
        source: Any = supabase.source()
        found = source.members_by_number("100")
        assert [one.number for one in found.members] == ["100"]
        assert [one.code for one in found.positions] == [HELD[0]["positioncode"]]
        assert source.members_by_number("no number").members == ()


def test_no_member_is_only_believed_of_a_key_that_sees_all(postgres_shared_url: str) -> None:
    """Under row-level security an anon key finds nobody, whoever there is."""
    with project(postgres_shared_url, whole(NASTY[:1])) as supabase:
        supabase.shim.row_level_security("members")
        source: Any = supabase.source(ANON_KEY)
        with pytest.raises(SourceUnreachable, match="not a service key"):
            source.members_by_email("ann@x.org")


def test_a_wrong_table_is_told_as_in_a_full_read() -> None:
    """The column that is missing is named."""
    with in_sqlite(whole(NASTY[:1]), []) as source:
        sql = msgspec.structs.replace(SOURCES.sql.members, columns=SOURCES.sql.members.columns | {"email": "mail"})
        wrong = msgspec.structs.replace(SOURCES, sql=msgspec.structs.replace(SOURCES.sql, members=sql))
        other: Any = open_sql(f"sqlite:///{source._database._file}", wrong, shape="sql")
        with pytest.raises(SourceShapeError, match="no column mail"):
            other.members_by_email("ann@x.org")


def test_a_few_rows_are_read_of_many(postgres_shared_url: str) -> None:
    """Of 400 members one is sent over, whatever the page."""
    rows = whole([{"membernumber": str(n), "firstname": "A", "email": f"m{n}@x.org"} for n in range(1000, 1400)])
    with project(postgres_shared_url, rows) as supabase:
        source: Any = supabase.source()
        assert len(source.members_by_email("M1234@x.org").members) == 1
        assert all("ilike" in str(call.query) for call in supabase.shim.calls)


LOCAL = st.text(
    st.sampled_from("abkKs\u212aS\u017f_%*.'\\\" \u00e9e\u0301\u0130i\u0307\u00df,()"), min_size=1, max_size=4
)


@given(kept=LOCAL, asked=LOCAL)
@example(kept="\u212a", asked="k")
@example(kept="e\u0301", asked="\u00c9")
def test_a_pattern_lets_through_whoever_is_meant(kept: str, asked: str) -> None:
    """Whatever equals the e-mail once folded fits its pattern, also as the database sees it: only ASCII lowered."""
    mine, theirs = f"{kept}@x.org", f"{asked}@x.org"
    if fold_email(mine) == fold_email(theirs):
        lowered = "".join(char.lower() if char.isascii() else char for char in mine)
        assert _fits(lowered, pattern_of(fold_email(theirs)))


def _fits(text: str, pattern: str) -> bool:
    """LIKE, by trying: `%` any run, `_` any character."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(_fits(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and _fits(text[1:], pattern[1:])


@pytest.mark.parametrize(
    "spelling", ["(617) 555-0123", "617.555.0123", "+1 617 555 0123", "6175550123", "001 617 5550123"]
)
def test_a_phone_fits_its_pattern(spelling: str) -> None:
    """However it is written."""
    assert _fits(spelling, phone_pattern("+16175550123"))


def test_every_source_can_be_asked() -> None:
    """What `from_settings.open_source` opens is both protocols."""
    with in_sqlite([], []) as source:
        asked: LookUp = source
        read: Source = source
        assert asked.name == read.name
