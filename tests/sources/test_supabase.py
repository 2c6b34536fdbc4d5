"""Reading members and positions from Supabase: the official client against PostgREST's behaviour over PostgreSQL."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.guards import Accepted, judge
from reconciler.core.model import SourceData
from reconciler.core.rules import Limits, Sources
from reconciler.errors import RulesError, SourceIncomplete, SourceShapeError
from reconciler.sources.supabase import open_supabase
from reconciler.supabase.tables import READS
from tests.services.postgrest.server import SERVICE_KEY, Call, Counted, Fault
from tests.services.supabase import Project, project
from tests.services.worlds import Rows, member, position, write_mysql, write_sqlite
from tests.sources.test_sql import HELD, SOURCES, TRAPS
from tests.sources.test_sql import read as read_sql
from tests.support.campaign import NIGHTLY

only_at_night = pytest.mark.skipif(not NIGHTLY, reason="200,000 members are read at night only: CAMPAIGN=nightly")


def rows_of(count: int) -> tuple[Rows, Rows]:
    """So many members, each with a position."""
    numbers = [str(100_000 + at) for at in range(count)]
    return [member(number, email=f"m{number}@example.org") for number in numbers], [
        position(number) for number in numbers
    ]


def as_named(data: SourceData, name: str = "sqlite") -> SourceData:
    """The same data under another name, without what pages alone have."""
    return msgspec.structs.replace(data, name=name, page_size=None)


# all rows


@pytest.mark.parametrize("max_rows", [1000, 500, None])
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_every_row_comes_whatever_the_server_cuts(
    tmp_path: Path, postgres_shared_url: str, count: int, max_rows: int | None
) -> None:
    """No plan on half a union (C1): a page may end anywhere, and the same rows read the same from SQLite."""
    members, positions = rows_of(count)
    with project(postgres_shared_url, members, positions, max_rows=max_rows) as supabase:
        data = supabase.read()
    assert data.name == "supabase"
    assert count == len({each.number for each in data.members}) == len(data.members) == len(data.positions)
    assert as_named(data) == read_sql(write_sqlite(tmp_path / "union.db", members, positions))


def test_twenty_thousand_members_come_in_pages(postgres_shared_url: str) -> None:
    """The union's own size, and what it costs: 21 pages, the keys once more, and two counts."""
    members, positions = rows_of(20_000)
    with project(postgres_shared_url, members, positions[:3000]) as supabase:
        data = supabase.read()
        asked = [call for call in supabase.shim.calls if call.table == "members"]
    assert (len(data.members), len(data.positions)) == (20_000, 3000)
    assert len(asked) <= 2 * (21 + 4) + 2
    assert data.page_size == 1000


def test_one_world_reads_the_same_from_three_databases(
    tmp_path: Path, postgres_shared_url: str, mariadb_url: str
) -> None:
    """A plan must not depend on where the union is kept: members, positions and row names are equal."""
    with project(postgres_shared_url, TRAPS, HELD) as supabase:
        data = supabase.read()
    lite = read_sql(write_sqlite(tmp_path / "union.db", TRAPS, HELD))
    assert as_named(data) == lite
    assert as_named(data, "mysql") == read_sql(write_mysql(mariadb_url, TRAPS, HELD), "mysql")


@pytest.mark.parametrize("max_rows", [1, 2, 3, 1000])
@pytest.mark.parametrize("page_size", [1, 2, 5])
def test_rows_that_share_a_key_are_not_lost_at_a_page_border(
    tmp_path: Path, postgres_shared_url: str, max_rows: int, page_size: int
) -> None:
    """A key greater than the last one skips its twins; rows without a key are found by no comparison at all."""
    with project(postgres_shared_url, TRAPS, HELD, max_rows=max_rows) as supabase:
        data = supabase.read(page_size=page_size)
    assert as_named(data) == read_sql(write_sqlite(tmp_path / "union.db", TRAPS, HELD))


@pytest.fixture
def supabase(postgres_shared_url: str) -> Iterator[Project]:
    """An empty project."""
    with project(postgres_shared_url) as made:
        yield made


KEYS = st.sampled_from([None, "", " ", "1", "01", "1 ", "a", "A", "é", "e\u0301", "😀", "a,b", 'q"', "x.y", "(", "\\"])


@dataclass(frozen=True, slots=True)
class Union:
    keys: list[str | None]
    held: list[tuple[str | None, str | None]]
    page_size: int
    max_rows: int


UNIONS = st.builds(
    Union,
    keys=st.lists(KEYS, max_size=12),
    held=st.lists(st.tuples(KEYS, KEYS), max_size=8),
    page_size=st.integers(1, 5),
    max_rows=st.integers(1, 5),
)


@given(union=UNIONS)
@settings(max_examples=500 if NIGHTLY else 50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_in_any_pages_read_as_from_sqlite(tmp_path: Path, supabase: Project, union: Union) -> None:
    """Keys that are doubled, blank, missing or full of PostgREST's own punctuation, under any page size."""
    members = [member(key, lastname=str(at % 3)) for at, key in enumerate(union.keys)]
    positions = [position(number, code) for number, code in union.held]
    supabase.refill(members, positions)
    supabase.shim.max_rows = union.max_rows
    data = supabase.read(page_size=union.page_size)
    path = tmp_path / "union.db"
    path.unlink(missing_ok=True)
    assert as_named(data) == read_sql(write_sqlite(path, members, positions))


def test_numbers_that_are_numbers_are_paged_in_their_own_order(postgres_shared_url: str) -> None:
    """To the database 9 comes before 10, to text after it; only the database compares keys while pages are read."""
    with project(postgres_shared_url, [member(str(at)) for at in range(1, 26)], max_rows=4) as supabase:
        supabase.shim.execute("ALTER TABLE members ALTER membernumber TYPE bigint USING membernumber::bigint")
        data = supabase.read()
    assert sorted(str(at) for at in range(1, 26)) == [each.number for each in data.members]


# what a full page is


@dataclass(frozen=True, slots=True)
class Full:
    count: int
    max_rows: int | None
    page_size: int | None
    refused: bool
    reason: str


FULL = [
    Full(7, 1000, None, False, "no page was full"),
    Full(1000, 1000, 1000, True, "a union that ends where a page does may have been cut before it came here"),
    Full(1000, None, 1000, True, "the same where the server does not cut"),
    Full(1001, 1000, 1000, False, "one more, and the page was not the end"),
    Full(1200, 500, 500, False, "the server's own page is learned from what follows it"),
    Full(2000, 1000, 1000, False, "many pages were proven by counts"),
]


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.reason)
def test_exactly_one_page_is_still_suspect(postgres_shared_url: str, case: Full) -> None:
    """The count proves what the mirror has, not that the mirror is whole: the job that filled it may have stopped."""
    members, _ = rows_of(case.count)
    with project(postgres_shared_url, members, max_rows=case.max_rows) as supabase:
        data = supabase.read()
    assert data.page_size == case.page_size
    assert bool(judge(data, last_good=None, limits=Limits(), accepted=Accepted()).refused) == case.refused


# rows that move


@dataclass(frozen=True, slots=True)
class Move:
    sql: str
    reason: str


MOVES = [
    Move("INSERT INTO members (membernumber) VALUES ('100000a')", "one more, behind"),
    Move("INSERT INTO members (membernumber) VALUES ('999999')", "one more, ahead"),
    Move("INSERT INTO members (membernumber) VALUES (NULL)", "one more, without a key"),
    Move("DELETE FROM members WHERE membernumber = '100001'", "one fewer, behind"),
    Move("DELETE FROM members WHERE membernumber = '100025'", "one fewer, ahead"),
    Move("DELETE FROM members WHERE membernumber = '100009'", "the last of the page just read"),
    Move(
        "DELETE FROM members WHERE membernumber = '100001'; INSERT INTO members (membernumber) VALUES ('100000a')",
        "one for another, both behind, which no count shows",
    ),
    Move("UPDATE members SET membernumber = '999999' WHERE membernumber = '100001'", "a key changed, forwards"),
    Move("UPDATE members SET membernumber = '100000a' WHERE membernumber = '100025'", "a key changed, backwards"),
    Move("DELETE FROM members WHERE membernumber > '100004'", "most of them"),
    Move("DELETE FROM members", "all of them"),
]


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.reason)
def test_rows_that_move_once_between_pages_are_read_anew(postgres_shared_url: str, move: Move) -> None:
    """C5: what is returned was all there at one moment, here after the change."""
    members, positions = rows_of(30)
    with project(postgres_shared_url, members, positions, max_rows=10) as supabase:
        changes = [move.sql]

        def change(call: Call) -> Fault | None:
            if changes and call.table == "members" and len(supabase.pages()) == 2:
                supabase.shim.execute(*changes.pop().split(";"))
            return None

        supabase.shim.hook = change
        data = supabase.read()
        supabase.shim.hook = None
        waited = list(supabase.waits)
        settled = supabase.read()
    assert not changes
    assert data.members == settled.members
    assert waited in ([], [2.0]), "at most one reading was thrown away"


def test_a_table_that_never_holds_still_is_refused(postgres_shared_url: str) -> None:
    """Never silently short: after a few readings the answer is no, with the reason and the next step."""
    members, _ = rows_of(30)
    with project(postgres_shared_url, members, max_rows=10) as supabase:

        def churn(call: Call) -> Fault | None:
            if call.table == "members" and "gte" in str(call.query):
                supabase.shim.execute(
                    f"INSERT INTO members (membernumber) VALUES ('1000{call.number}')",
                    "DELETE FROM members WHERE ctid = (SELECT min(ctid) FROM members)",
                )
            return None

        supabase.shim.hook = churn
        with pytest.raises(SourceIncomplete, match=f"members do not add up .* in {READS} readings") as refused:
            supabase.read()
    assert supabase.waits == [2.0, 4.0, 8.0]
    assert "let that finish" in refused.value.next_step.lower()


@pytest.mark.parametrize("total", [0, 29, 31, 1000, 10_000_000])
def test_a_count_that_lies_is_refused(postgres_shared_url: str, total: int) -> None:
    """Rows and count must agree: one of them is wrong, and nobody can say which."""
    members, positions = rows_of(30)
    with project(postgres_shared_url, members, positions, max_rows=10) as supabase:
        supabase.shim.hook = lambda call: Counted(total) if call.table == "members" else None
        with pytest.raises(SourceIncomplete, match="members"):
            supabase.read()


def test_a_row_that_comes_at_the_very_end_is_read(postgres_shared_url: str) -> None:
    """After the keys are read a second time only the last count can show it."""
    members, positions = rows_of(30)
    with project(postgres_shared_url, members, positions) as supabase:

        def late(call: Call) -> Fault | None:
            counts = [each for each in supabase.shim.calls if each.table == "members" and "count=exact" in each.prefer]
            if len(counts) == 2 and counts[-1] is call:
                supabase.shim.execute("INSERT INTO members (membernumber) VALUES ('999999')")
            return None

        supabase.shim.hook = late
        assert len(supabase.read().members) == 31
    assert supabase.waits == [2.0]


def test_a_count_that_lies_once_is_asked_again(postgres_shared_url: str) -> None:
    """One wrong count (a replica behind) costs one more reading and no refusal."""
    members, positions = rows_of(30)
    with project(postgres_shared_url, members, positions) as supabase:
        supabase.shim.hook = lambda call: Counted(29) if call.number == 1 else None
        assert len(supabase.read().members) == 30
    assert supabase.waits == [2.0]


# shape


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE members RENAME TO people", "there is no table members, or it is not exposed"),
        ("ALTER TABLE positions RENAME TO posts", "there is no table positions, or it is not exposed"),
        (
            "ALTER TABLE members DROP phone, DROP region",
            "table members has no column phone, region; it has: membernumber, firstname, lastname, email, status, ",
        ),
        ("ALTER TABLE members DROP membernumber", "table members has no column membernumber; it has: firstname"),
        ("ALTER TABLE positions DROP positioncode", "table positions has no column positioncode"),
    ],
)
def test_what_is_missing_is_named(postgres_shared_url: str, change: str, says: str) -> None:
    """C7: a renamed column stops the run before anything is compared, and the text names the file to correct."""
    with project(postgres_shared_url, [member()], []) as supabase:
        supabase.shim.execute(change)
        with pytest.raises(SourceShapeError) as missing:
            supabase.read()
    assert says in str(missing.value)
    assert "rules/sources.yaml" in missing.value.next_step


def test_all_that_is_missing_is_named_at_once(postgres_shared_url: str) -> None:
    """Somebody who corrects the rules should have to do it once."""
    with project(postgres_shared_url, [member()], []) as supabase:
        supabase.shim.execute("ALTER TABLE members DROP phone", "DROP TABLE positions")
        with pytest.raises(SourceShapeError) as missing:
            supabase.read()
    assert "no column phone" in str(missing.value)
    assert "no table positions" in str(missing.value)


def test_columns_may_have_any_name(postgres_shared_url: str) -> None:
    """Names with spaces, capitals and PostgREST's own punctuation are quoted in every place where they stand."""
    odd = {"number": "Member No.", "last_name": 'the "last", name', "email": "e(mail)"}
    sources = Sources(
        sql=msgspec.structs.replace(
            SOURCES.sql, members=msgspec.structs.replace(SOURCES.sql.members, table="Union members", columns=odd)
        ),
        mysql=SOURCES.mysql,
    )
    with project(postgres_shared_url, [member(str(at)) for at in range(5)], [position()], max_rows=2) as supabase:
        supabase.shim.execute(
            'ALTER TABLE members RENAME TO "Union members"',
            'ALTER TABLE "Union members" RENAME membernumber TO "Member No."',
            'ALTER TABLE "Union members" RENAME lastname TO "the ""last"", name"',
            'ALTER TABLE "Union members" RENAME email TO "e(mail)"',
        )
        data = supabase.read(sources=sources)
    assert [(each.number, each.last_name, each.phone) for each in data.members] == [
        (str(at), "Lee", None) for at in range(5)
    ]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"first_name": "firstname"}, "sql.members.columns lacks `number`"),
        ({"number": "membernumber", "shoe": "size"}, "sql.members.columns has `shoe`; valid names: number, first_name"),
    ],
)
def test_rules_that_do_not_fit_are_refused_before_anything_is_opened(columns: dict[str, str], says: str) -> None:
    """The same words as for a database."""
    table = msgspec.structs.replace(SOURCES.sql.members, columns=columns)
    sources = Sources(sql=msgspec.structs.replace(SOURCES.sql, members=table), mysql=SOURCES.mysql)
    with pytest.raises(RulesError, match=says):
        open_supabase("https://union.supabase.test", SERVICE_KEY, sources)


@dataclass(frozen=True, slots=True)
class Value:
    column: str
    sql: str
    text: str | None
    reason: str


VALUES = [
    Value("INTEGER", "123", "123", "a number column gives its digits"),
    Value("BIGINT", "7654657031", "7654657031", "and all of them"),
    Value("DOUBLE PRECISION", "7654657031", "7654657031", "no fraction that says nothing"),
    Value("DOUBLE PRECISION", "1e16", "10000000000000000", "no exponent"),
    Value("NUMERIC(12,2)", "7654657031.00", "7654657031", "nor zeros after the point"),
    Value("BOOLEAN", "TRUE", "true", "a truth value is a word"),
    Value("DATE", "'2026-11-23'", "2026-11-23", "dates are ISO 8601"),
    Value("TEXT", "E'\\u00a0x\\u3000'", "x", "white space of every script is trimmed"),
    Value("TEXT", "E'Rene\\u0301e'", "Ren\u00e9e", "NFC"),
    Value("TEXT", "NULL", None, "nothing is nothing"),
]


@pytest.mark.parametrize("case", VALUES, ids=lambda case: case.reason)
def test_every_kind_of_value_becomes_text(postgres_shared_url: str, case: Value) -> None:
    """JSON in between must not show: the text is what the same column gives to SQL."""
    with project(postgres_shared_url, [member("1", phone=None)], []) as supabase:
        supabase.shim.execute(
            f"ALTER TABLE members ALTER phone TYPE {case.column} USING NULL", f"UPDATE members SET phone = {case.sql}"
        )
        assert case.text == supabase.read().members[0].phone


def test_a_value_without_a_text_form_is_named_by_its_row(postgres_shared_url: str) -> None:
    """A list or an object in a column of the rules is a mistake in the rules, and the value itself is not shown."""
    with project(postgres_shared_url, [member("1")], []) as supabase:
        supabase.shim.execute("ALTER TABLE members ALTER phone TYPE text[] USING ARRAY['canary', phone]")
        with pytest.raises(SourceShapeError, match=r"members\.phone \(row with number 1\)") as refused:
            supabase.read()
    assert "canary" not in str(refused.value)


# progress, memory


def test_progress_is_told_for_every_page(postgres_shared_url: str) -> None:
    """Each page adds all that it brought, for «Fetched page 2 (2,000 members so far…)», and the total is known."""
    members, positions = rows_of(2500)
    told: list[tuple[str, int, int | None]] = []
    with project(postgres_shared_url, members, positions[:1]) as supabase:
        supabase.read(progress=lambda *report: told.append(report))
    assert told == [
        ("members", 1000, 2500),
        ("members", 2000, 2500),
        ("members", 2500, 2500),
        ("positions", 1, 1),
    ]


@pytest.mark.parametrize("count", [6000, pytest.param(200_000, marks=only_at_night)])
def test_pages_are_not_kept(postgres_shared_url: str, count: int) -> None:
    """While it reads, a source holds its members and their keys: not what they are made from, nothing for each page."""
    members, positions = rows_of(count)
    with project(postgres_shared_url, members, positions[:1]) as supabase:
        del members, positions
        supabase.read()  # what is loaded once does not count
        gc.collect()
        tracemalloc.start()
        try:
            data = supabase.read()
            gc.collect()
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(data.members) == count
    assert peak < 1.4 * kept + 4_000_000, f"{peak / count:.0f} bytes a member at most, {kept / count:.0f} kept"
