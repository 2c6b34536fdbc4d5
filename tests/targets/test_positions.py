"""The positions table over HTTP: the real client, a stand-in of PostgREST, a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest

from reconciler.core.actions import Outcome
from reconciler.core.guards import Accepted
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.rules import Limits
from reconciler.core.undo import undo_plan
from reconciler.errors import PlanRefused, SnapshotIncomplete, TargetError, Unreachable
from reconciler.targets import SideReader, Writer
from reconciler.targets.position_account import ADDRESS_BYTES
from reconciler.targets.position_table import TRIES
from reconciler.targets.positions import PositionsReader, PositionsTarget
from tests.services.postgrest.server import ANON_KEY, After, Answer, Call, Cut, Fault, Reset
from tests.support.positions import NOW, Pair, source_of
from tests.targets.positions_support import Failing, Mirror, mirror

HELD = [("100", "pres"), ("101", "evp"), ("102", "pres"), ("103", "facrep")]
SOURCE = source_of(HELD)
DRIFTED: list[Pair] = [("100", "pres"), ("101 ", "evp"), ("102", "pres"), ("102", "pres"), ("999", "pres")]
"""One row to put right, one to take away twice over, one that is nobody's, one missing."""


@pytest.fixture
def drifted(postgres_shared_url: str) -> Iterator[Mirror]:
    """A table without ids that is drifted."""
    with mirror(postgres_shared_url, DRIFTED) as one:
        yield one


@pytest.fixture
def drifted_with_ids(postgres_shared_url: str) -> Iterator[Mirror]:
    """The same, with a column for the row's own id."""
    with mirror(postgres_shared_url, DRIFTED, with_ids=True) as one:
        yield one


def verdicts(outcomes: dict[str, Outcome]) -> dict[str, str]:
    """How each row's action ended."""
    return {row: one.outcome for row, one in outcomes.items()}


def undone(plan: Plan, outcomes: dict[str, Outcome]) -> Plan:
    """The plan that takes a run back."""
    listed = tuple(next(one for one in outcomes.values() if one.action == action.id) for action in plan.actions)
    run = RunOutcome(
        plan=plan.id, plan_digest="", started_at="", finished_at="", summary=count(listed), outcomes=listed
    )
    return undo_plan(plan, run, now=NOW, tool="t", limits=Limits(), accepted=Accepted(), previous=None)


# what is well


def test_the_faces_are_those_of_the_engine(drifted: Mirror) -> None:
    """A reader that cannot write, and a writer; the project's address is what a plan is bound to."""
    target = drifted.target()
    reader: SideReader[Any] = target.reader
    writer: Writer = target
    assert isinstance(writer, PositionsTarget)
    assert type(reader) is PositionsReader
    assert not hasattr(reader, "execute")
    assert asyncio.run(reader.workspace()).id == drifted.shim.base_url.removeprefix("http://")


def test_one_apply_makes_the_table_right(drifted: Mirror) -> None:
    """Insert, update, delete by key; planned again, nothing is left."""
    outcomes = drifted.apply(drifted.plan(SOURCE))
    assert set(verdicts(outcomes).values()) == {"done"}
    assert drifted.pairs() == sorted(HELD)
    assert drifted.plan(SOURCE).actions == ()
    assert drifted.plan(SOURCE).summary.unchanged == len(HELD)


def test_undo_restores_the_rows_exactly(drifted: Mirror) -> None:
    """To the spelling, and to the number of rows; and an undo is undone like any plan."""
    before = drifted.rows()
    plan = drifted.plan(SOURCE)
    back = undone(plan, drifted.apply(plan))
    assert set(verdicts(drifted.apply(back)).values()) == {"done"}
    assert drifted.rows() == before


def test_undo_restores_the_rows_with_their_ids(drifted_with_ids: Mirror) -> None:
    """A deleted row comes back under its own id, and what was created goes by the id that it got."""
    before = drifted_with_ids.rows()
    plan = drifted_with_ids.plan(SOURCE)
    outcomes = drifted_with_ids.apply(plan)
    assert drifted_with_ids.pairs() == sorted(HELD)
    assert str(outcomes["103/facrep"].read_back["id"]).isdigit()
    back = undone(plan, outcomes)
    assert set(verdicts(drifted_with_ids.apply(back)).values()) == {"done"}
    assert drifted_with_ids.rows() == before


def test_many_rows_go_in_few_requests(postgres_shared_url: str) -> None:
    """A hundred actions: the rows are read, then written by kind and code, in addresses that a gateway takes."""
    held = [(str(number), "pres") for number in range(1000, 1060)]
    gone: list[Pair] = [(str(number), ("pres", "evp")[number % 2]) for number in range(2000, 2040)]
    with mirror(postgres_shared_url, gone) as one:
        plan = one.plan(source_of(held))
        one.shim.calls.clear()
        assert set(verdicts(one.apply(plan)).values()) == {"done"}
        assert [call.method for call in one.shim.calls] == ["GET", "POST", "DELETE", "DELETE"]
        assert one.pairs() == held
        assert all(len(value) < 2 * ADDRESS_BYTES for call in one.shim.calls for _, value in call.query)


def test_long_lists_are_cut(postgres_shared_url: str) -> None:
    """Member numbers of two hundred characters: several addresses, each within what a gateway takes."""
    held = [(f"{number:0200}", "pres") for number in range(100)]
    with mirror(postgres_shared_url) as one:
        assert set(verdicts(one.apply(one.plan(source_of(held)))).values()) == {"done"}
        reads = [value for call in one.shim.calls for name, value in call.query if value.startswith("in.")]
        assert len(reads) > 1
        assert max(map(len, reads)) < 2 * ADDRESS_BYTES
        assert len(one.rows()) == 100


HOSTILE = ['a"b', "a\\b", "a,b", "(a)", "a.b", "null", "é😀", "a b", "'; DROP TABLE positions; --", "eq.1", "*", "%"]


@pytest.mark.parametrize("with_ids", [False, True])
def test_hostile_texts_are_texts(postgres_shared_url: str, *, with_ids: bool) -> None:
    """What means something in an address or in SQL is created, put right and deleted like any other text."""
    held = [(text, text) for text in HOSTILE]
    with mirror(postgres_shared_url, [("1", "pres")], with_ids=with_ids) as one:
        assert set(verdicts(one.apply(one.plan(source_of([*held, ("1", "pres")])))).values()) == {"done"}
        assert sorted(one.pairs()) == sorted([*held, ("1", "pres")])
        one.fill([*((f" {text}", text) for text in HOSTILE), ("1", "pres")])
        assert set(verdicts(one.apply(one.plan(source_of([*held, ("1", "pres")])))).values()) == {"done"}
        assert sorted(one.pairs()) == sorted([*held, ("1", "pres")])
        plan = one.plan(source_of([("1", "pres")]))
        assert set(verdicts(one.apply(plan)).values()) == {"done"}
        assert one.pairs() == [("1", "pres")]


def test_numbers_in_a_column_of_numbers(postgres_shared_url: str) -> None:
    """A table whose member number is an integer is compared and written as text all the same."""
    with mirror(postgres_shared_url, [("100", "pres"), ("7", "x")]) as one:
        one.execute("ALTER TABLE positions ALTER membernumber TYPE integer USING membernumber::integer")
        assert set(verdicts(one.apply(one.plan(SOURCE))).values()) == {"done"}
        assert one.plan(SOURCE).actions == ()


# what others do in the meantime


@dataclass(frozen=True)
class Meanwhile:
    """What somebody does between plan and apply, and how the action of one row ends."""

    reason: str
    sql: str
    row: str
    verdict: str


MEANWHILE = [
    Meanwhile(
        "the row to put right is deleted", "DELETE FROM positions WHERE membernumber = '101 '", "101/evp", "stale"
    ),
    Meanwhile(
        "the row to put right was put right",
        "UPDATE positions SET membernumber = '101' WHERE membernumber = '101 '",
        "101/evp",
        "done",
    ),
    Meanwhile("the row to create is there", "INSERT INTO positions VALUES ('103', 'facrep')", "103/facrep", "done"),
    Meanwhile(
        "the row to create is there twice",
        "INSERT INTO positions VALUES ('103', 'facrep'), ('103', 'facrep')",
        "103/facrep",
        "stale",
    ),
    Meanwhile("the row to delete is gone", "DELETE FROM positions WHERE membernumber = '999'", "999/pres", "done"),
    Meanwhile("the row to delete is there twice", "INSERT INTO positions VALUES ('999', 'pres')", "999/pres", "stale"),
    Meanwhile(
        "of two that were one too many there are three",
        "INSERT INTO positions VALUES ('102', 'pres')",
        "102/pres",
        "stale",
    ),
]


@pytest.mark.parametrize("case", MEANWHILE, ids=[case.reason for case in MEANWHILE])
def test_what_changed_since_the_plan(drifted: Mirror, case: Meanwhile) -> None:
    """A row that is not as expected is left alone; one that is as wanted needs nothing. The others go on."""
    plan = drifted.plan(SOURCE)
    drifted.execute(case.sql)
    outcomes = drifted.apply(plan)
    ended = outcomes.pop(case.row)
    assert (ended.outcome, ended.sent) == (case.verdict, {}), ended
    assert set(verdicts(outcomes).values()) == {"done"}
    assert [one for one in undone(plan, {**outcomes, case.row: ended}).actions if one.row == case.row] == []


def test_a_plan_for_another_project_is_refused(drifted: Mirror) -> None:
    """The project's address is part of the plan."""
    plan = msgspec.structs.replace(drifted.plan(SOURCE), workspace="abc.supabase.co")
    with pytest.raises(PlanRefused, match=r"made for the project abc\.supabase\.co, but SUPABASE_URL names 127"):
        drifted.apply(plan)
    assert drifted.writes() == []


# what goes wrong


@dataclass(frozen=True)
class Wrong:
    """A fault in the first request of one method, and whether the table may stay as it was for the actions in it."""

    reason: str
    method: str
    fault: Fault
    ends: str = "done"


GATEWAY = b"<html>upstream</html>"
PGRST = b'{"code":"57014","message":"canceling statement due to statement timeout","details":null,"hint":null}'

WRONG = [
    *(
        Wrong(f"{method}: {reason}", method, fault)
        for method in ("POST", "PATCH", "DELETE")
        for reason, fault in (
            ("500 before the effect", Answer(500)),
            ("503 of PostgreSQL", Answer(503, PGRST)),
            ("a proxy's 502", Answer(502, GATEWAY)),
            ("500 after the effect", After(Answer(500))),
            ("a proxy's 504 after the effect", After(Answer(504, GATEWAY))),
            ("the connection breaks after the effect", After(Reset())),
            ("half an answer", Cut()),
            ("429", Answer(429)),
            ("200 that is no list", After(Answer(200, b'{"ok": true}'))),
        )
    ),
    *(
        Wrong(f"{method}: {reason}", method, fault)
        for method in ("PATCH", "DELETE")
        for reason, fault in (
            ("a proxy's 504 before the effect", Answer(504, GATEWAY)),
            ("the connection breaks before the effect", Reset()),
        )
    ),
    # An insert that may still be under way is not sent again: the table has no key that would refuse the second.
    Wrong("POST: a proxy's 504 before the effect", "POST", Answer(504, GATEWAY), "unknown"),
    Wrong("POST: the connection breaks before the effect", "POST", Reset(), "unknown"),
]


def once(method: str, fault: Fault) -> Callable[[Call], Fault | None]:
    """A hook: one fault for the first request of this method."""
    left = [fault]
    return lambda call: left.pop() if call.method == method and left else None


@pytest.mark.parametrize("case", WRONG, ids=[case.reason for case in WRONG])
def test_nothing_is_doubled_or_lost(drifted: Mirror, case: Wrong) -> None:
    """One fault: what was done is found by read-back, what was not is sent again where that is safe; never twice."""
    plan = drifted.plan(SOURCE)
    drifted.shim.hook = once(case.method, case.fault)
    outcomes = drifted.apply(plan)
    assert set(verdicts(outcomes).values()) <= {"done", case.ends}
    drifted.shim.hook = None
    if case.ends == "done":
        assert drifted.pairs() == sorted(HELD)
        assert verdicts(outcomes) == dict.fromkeys(outcomes, "done")
        back = undone(plan, outcomes)
        assert set(verdicts(drifted.apply(back)).values()) == {"done"}
        assert drifted.pairs() == sorted(DRIFTED, key=repr)
    else:
        assert outcomes["103/facrep"].outcome == case.ends
        drifted.apply(drifted.plan(SOURCE))
        assert drifted.pairs() == sorted(HELD)


TIMEOUTS = [
    ("POST", False, "unknown", "an insert of which nothing is known is not sent again"),
    ("POST", True, "done", "it was done, as the read-back shows"),
    ("DELETE", False, "done", "a deletion is sent again: it names what goes"),
    ("DELETE", True, "done", "it was done"),
    ("PATCH", False, "done", "an update is sent again: it names what it changes"),
    ("PATCH", True, "done", "it was done"),
]


@pytest.mark.parametrize(("method", "after", "ends", "reason"), TIMEOUTS)
def test_no_answer_in_time(drifted: Mirror, method: str, ends: str, reason: str, *, after: bool) -> None:
    """Silence, before or after the effect."""
    plan = drifted.plan(SOURCE)
    drifted.transport = Failing(method, lambda: httpx.ReadTimeout("silence"), after=after)
    outcomes = drifted.apply(plan)
    assert outcomes["103/facrep"].outcome == (ends if method == "POST" else "done"), reason
    assert drifted.pairs().count(("103", "facrep")) == (0 if ends == "unknown" else 1)
    assert drifted.pairs().count(("102", "pres")) == 1
    drifted.transport = None
    drifted.apply(drifted.plan(SOURCE))
    assert drifted.pairs() == sorted(HELD)


def test_what_never_left_is_sent_again(drifted: Mirror) -> None:
    """Nobody answered the phone: then nothing was said, and an insert is safe to send."""
    plan = drifted.plan(SOURCE)
    drifted.transport = Failing("POST", lambda: httpx.ConnectError("refused"), after=False)
    assert set(verdicts(drifted.apply(plan)).values()) == {"done"}
    assert drifted.pairs() == sorted(HELD)


def test_a_put_back_that_was_lost_is_not_sent_twice(drifted: Mirror) -> None:
    """Of two rows that look alike both go and one comes back: if that is silence, nobody guesses."""
    source = source_of([("100", "pres"), ("102", "pres")])
    drifted.fill([("100", "pres"), ("102", "pres"), ("102", "pres")])
    plan = drifted.plan(source)
    drifted.transport = Failing("POST", lambda: httpx.ReadTimeout("silence"), after=False)
    assert verdicts(drifted.apply(plan)) == {"102/pres": "unknown"}
    assert drifted.pairs() == [("100", "pres")]
    drifted.transport = None
    assert set(verdicts(drifted.apply(drifted.plan(source))).values()) == {"done"}
    assert drifted.pairs() == [("100", "pres"), ("102", "pres")]


def test_a_project_that_stays_down_ends_the_run(postgres_shared_url: str) -> None:
    """After a few tries the actions fail as unreachable, and more than five in a row stop the rest."""
    with mirror(postgres_shared_url) as one:
        plan = one.plan(source_of([(str(number), "pres") for number in range(1000, 1040)]))
        one.shim.hook = lambda call: Answer(503) if call.method == "POST" else None
        outcomes = one.apply(plan, max_parallel=10)
        assert len(one.writes()) == TRIES
        assert [one.outcome for one in outcomes.values()] == ["failed"] * 10 + ["held"] * 30
        assert {one.code for one in outcomes.values() if one.outcome == "failed"} == {"unreachable"}
        assert "no answer from Supabase" in list(outcomes.values())[-1].says
        assert one.rows() == []


def test_rows_that_cannot_be_read_are_not_written(drifted: Mirror) -> None:
    """Where nothing is known of the rows, nothing is sent."""
    plan = drifted.plan(SOURCE)
    drifted.shim.hook = lambda call: Answer(503) if call.method == "GET" else None
    outcomes = drifted.apply(plan)
    assert set(verdicts(outcomes).values()) == {"failed"}
    assert drifted.writes() == []


def test_one_bad_row_does_not_keep_the_others_back(postgres_shared_url: str) -> None:
    """A row that the database refuses fails by itself, with PostgreSQL's code and none of its words."""
    held = [(str(number), "pres") for number in range(1000, 1030)]
    with mirror(postgres_shared_url) as one:
        one.execute("ALTER TABLE positions ADD CONSTRAINT known CHECK (membernumber <> '1017')")
        outcomes = one.apply(one.plan(source_of(held)))
        failed = {row: ended for row, ended in outcomes.items() if ended.outcome != "done"}
        assert list(failed) == ["1017/pres"]
        assert (failed["1017/pres"].outcome, failed["1017/pres"].code) == ("failed", "23514")
        assert "known" not in failed["1017/pres"].says
        assert len(one.rows()) == 29


def test_a_key_that_the_database_keeps_is_met_twice(postgres_shared_url: str) -> None:
    """Somebody creates the same row in the moment between: the unique key refuses ours, and all is as wanted."""
    with mirror(postgres_shared_url, [("100", "pres")]) as one:
        one.execute("CREATE UNIQUE INDEX ON positions (membernumber, positioncode)")
        plan = one.plan(source_of(HELD))

        def hook(call: Call) -> None:
            if call.method == "POST" and len(one.writes()) == 1:
                one.execute("INSERT INTO positions VALUES ('101', 'evp')")

        one.shim.hook = hook
        outcomes = one.apply(plan)
        assert set(verdicts(outcomes).values()) == {"done"}
        assert outcomes["101/evp"].sent == {}
        assert one.pairs() == sorted(HELD)


def test_what_the_database_changes_is_not_done(postgres_shared_url: str) -> None:
    """A trigger that keeps other values, or keeps a row: said as such, and nobody tries for ever."""
    with mirror(postgres_shared_url, [("999", "pres")]) as one:
        one.execute(
            "CREATE OR REPLACE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.positioncode = upper(NEW.positioncode); RETURN NEW; END $$",
            "CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
            "CREATE TRIGGER shout BEFORE INSERT ON positions FOR EACH ROW EXECUTE FUNCTION shout()",
            "CREATE TRIGGER keep BEFORE DELETE ON positions FOR EACH ROW EXECUTE FUNCTION keep()",
        )
        outcomes = one.apply(one.plan(source_of([("100", "pres")])))
        assert {(ended.outcome, ended.code) for ended in outcomes.values()} == {("failed", "not_persisted")}
        assert [call.method for call in one.writes()] == ["POST", "DELETE"]


def test_a_key_that_may_not_write_stops_the_run(drifted: Mirror) -> None:
    """403: no further write can succeed, so none is tried."""
    plan = drifted.plan(SOURCE)
    drifted.execute("REVOKE INSERT, UPDATE, DELETE ON positions FROM service_role")
    outcomes = drifted.apply(plan, max_parallel=1)
    drifted.execute("GRANT ALL ON positions TO service_role")
    assert [ended.outcome for ended in outcomes.values()].count("failed") == 1
    assert [ended.outcome for ended in outcomes.values()].count("held") == len(outcomes) - 1
    assert len(drifted.writes()) == 1


def test_rows_that_the_key_may_not_see_are_not_taken_for_none(postgres_shared_url: str) -> None:
    """An anon key under row-level security reads an empty table: refused, or every position would be created anew."""
    with mirror(postgres_shared_url, [("100", "pres")]) as one:
        one.shim.row_level_security("positions")
        one.key = ANON_KEY
        with pytest.raises(Unreachable, match="came back empty, and SUPABASE_KEY is not a service key"):
            one.read()


def test_what_cannot_be_read_whole_is_no_snapshot(drifted: Mirror) -> None:
    """Trouble on this side is trouble of the target, in its own words; a missing column is named."""
    drifted.shim.hook = lambda _call: Answer(500)
    with pytest.raises(Unreachable, match=r"The positions table cannot be read \(supabase at 127"):
        drifted.read()

    def growing(call: Call) -> None:
        if call.asks("limit") != "1":
            drifted.execute("INSERT INTO positions VALUES ('5', 'x')")

    drifted.shim.hook = growing
    with pytest.raises(SnapshotIncomplete, match="do not add up"):
        drifted.read()
    drifted.shim.hook = None
    drifted.execute("ALTER TABLE positions RENAME positioncode TO code")
    with pytest.raises(TargetError, match="table positions has no column positioncode; it has: membernumber, code"):
        drifted.read()


# after a crash


def test_looking_sends_nothing(drifted: Mirror) -> None:
    """A run that is closed says of each action what became of it: done, undone, or nobody knows."""
    plan = drifted.plan(SOURCE)
    by_row = {action.row: action for action in plan.actions}
    assert {row: drifted.look(action).outcome for row, action in by_row.items()} == dict.fromkeys(by_row, "held")
    drifted.execute("INSERT INTO positions VALUES ('103', 'facrep')", "UPDATE positions SET positioncode = 'x'")
    assert drifted.look(by_row["101/evp"]).outcome == "unknown"
    drifted.execute("UPDATE positions SET positioncode = 'facrep' WHERE membernumber = '103'")
    found = drifted.look(by_row["103/facrep"])
    assert (found.outcome, found.sent) == ("done", {"member_number": "103", "code": "facrep"})
    assert drifted.writes() == []


def test_a_deletion_that_died_on_the_way_is_ended(drifted: Mirror) -> None:
    """Both rows gone, and the one that stays not yet put back: whoever takes the run up puts it back."""
    plan = drifted.plan(SOURCE)
    drifted.execute("DELETE FROM positions WHERE membernumber = '102'")
    assert verdicts(drifted.apply(plan))["102/pres"] == "done"
    assert drifted.pairs() == sorted(HELD)


def test_progress_and_order_of_reading(drifted: Mirror) -> None:
    """Rows come as they are written, in the order of their key, and are reported as rows."""
    told: list[tuple[str, int]] = []

    async def read() -> None:
        async with drifted.target() as target:
            rows = await target.snapshot(lambda stage, done, _total: told.append((stage, done)))
        assert [(row.member_number, row.code) for row in rows] == sorted(DRIFTED)

    asyncio.run(read())
    assert told[-1] == ("rows", len(DRIFTED))
