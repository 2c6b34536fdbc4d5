"""`--target positions` as the job runs it: from the union's MariaDB to Supabase, through the command line."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from reconciler.simulator import RunningSimulator, Simulator
from tests.cli.support import SECONDS, TOKEN, Place, ended, plain, seeded
from tests.services.mariadb import MariaDb
from tests.services.postgres import write_postgres
from tests.services.postgrest.server import SERVICE_KEY, After, Shim, Slow
from tests.services.worlds import Rows, connect_mysql, write_mysql

TARGET = ("--target", "positions")
MEMBERS: Rows = [
    {
        "membernumber": number,
        "firstname": "Ann",
        "lastname": f"Lee {number}",
        "email": f"a{number}@x.org",
        "status": "Active",
    }
    for number in ("100", "101", "102", "0103")
]
HELD: Rows = [
    {"membernumber": number, "positioncode": code}
    for number, code in (("100", "pres"), ("101", "evp"), ("101", "facrep"), ("0103", "pres"))
]


@dataclass
class Union:
    """The union's own database, the project that mirrors its positions, and a folder to run commands in."""

    place: Place
    mysql_url: str
    shim: Shim

    def mysql(self, *statements: str) -> None:
        """Change the union's own database."""
        with connect_mysql(self.mysql_url) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def rows(self) -> list[tuple[str, str]]:
        """The mirror, in order."""
        with psycopg.connect(self.shim.database_url) as connection:
            return sorted(connection.execute("SELECT membernumber, positioncode FROM positions").fetchall(), key=repr)

    def writes(self) -> list[str]:
        """The methods of the requests that changed something."""
        return [call.method for call in self.shim.calls if call.method != "GET"]


def fresh(server: MariaDb, members: Rows, held: Rows) -> str:
    """A database of the union's own."""
    return write_mysql(server.url(server.new_database()), members, held)


@pytest.fixture
def new_union(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    mariadb: MariaDb,
    postgres_shared_url: str,
) -> Iterator[Callable[..., Union]]:
    """Makes a union whose mirror is right, or holds what is given. No setting of Intercom is there."""
    shims: list[Shim] = []

    def make(members: Rows = MEMBERS, held: Rows = HELD, mirrored: Rows | None = None) -> Union:
        place = Place(tmp_path, Simulator(), "http://127.0.0.1:9", monkeypatch, capfd)
        write_postgres(postgres_shared_url, [], held if mirrored is None else mirrored)
        shim = Shim(postgres_shared_url)
        shim.__enter__()
        shims.append(shim)
        url = fresh(mariadb, members, held)
        place.set(INTERCOM_ACCESS_TOKEN=None, MYSQL_URL=url, SUPABASE_URL=shim.base_url, SUPABASE_KEY=SERVICE_KEY)
        return Union(place, url, shim)

    yield make
    for shim in shims:
        shim.__exit__(None, None, None)


# the night


def test_the_mirror_follows(new_union: Callable[..., Union], snapshot: SnapshotAssertion) -> None:
    """Plan, apply, plan again: what was missing is there, what was stale is gone, and nothing is left to do."""
    union = new_union(
        mirrored=[
            *HELD[1:],
            {"membernumber": "100", "positioncode": "facrep"},
            {"membernumber": "999", "positioncode": "pres"},
        ]
    )
    planned = union.place.run("plan", *TARGET)
    assert planned.code == ExitCode.DONE
    applied = union.place.run("apply", *TARGET, "--auto-approve")
    assert applied.code == ExitCode.DONE
    assert union.rows() == sorted((str(row["membernumber"]), str(row["positioncode"])) for row in HELD)
    again = union.place.run("plan", *TARGET, "--detailed-exitcode")
    assert (again.code, again.out.splitlines()[-1]) == (ExitCode.DONE, "No changes.")
    said = plain(planned.out + applied.out.rpartition("Apply it with")[2].partition("\n")[2])
    assert snapshot == said


@dataclass(frozen=True)
class Change:
    """One thing that changes in the union's own database, and the line that the plan ends with."""

    reason: str
    sql: str
    says: str


CHANGES = [
    Change("nothing", "DO 0", "No changes"),
    Change("somebody is elected", "INSERT INTO position (memberid, positioncode) VALUES (3, 'evp')", "1 to create"),
    Change("somebody steps down", "DELETE FROM position WHERE memberid = 1", "1 to delete"),
    Change(
        "somebody changes office",
        "UPDATE position SET positioncode = 'arearep' WHERE memberid = 1",
        "1 to create, 1 to delete",
    ),
    Change("a number is corrected", "UPDATE member SET membernumber = '104' WHERE id = 3", "No changes"),
    Change(
        "the number of an officer is corrected",
        "UPDATE member SET membernumber = '104' WHERE id = 1",
        "1 to create, 1 to delete",
    ),
    Change(
        "a position is held twice over",
        "INSERT INTO position (memberid, positioncode) VALUES (1, 'pres')",
        "No changes",
    ),
    Change("a position has no code", "INSERT INTO position (memberid, positioncode) VALUES (3, ' ')", "No changes"),
    Change("a position of nobody", "INSERT INTO position (memberid, positioncode) VALUES (77, 'pres')", "No changes"),
]


def test_one_thing_changes(new_union: Callable[..., Union], mariadb: MariaDb) -> None:
    """A mirror that is right, and one thing changed at its source: the plan is that and nothing else."""
    union = new_union()
    for change in CHANGES:
        union.mysql_url = fresh(mariadb, MEMBERS, HELD)
        union.place.set(MYSQL_URL=union.mysql_url)
        union.mysql(change.sql)
        done = union.place.run("plan", *TARGET)
        (said,) = re.findall(r"^(?:Plan: (.*?)|(No changes))\.", done.out, re.MULTILINE)
        assert "".join(said) == change.says, change.reason
    assert union.writes() == []


def test_one_member_alone(new_union: Callable[..., Union]) -> None:
    """--only shows and mends one member, and leaves all others as they are."""
    union = new_union(mirrored=[])
    done = union.place.run("apply", *TARGET, "--only", "101", "--auto-approve")
    assert done.code == ExitCode.DONE
    assert union.rows() == [("101", "evp"), ("101", "facrep")]


def test_what_was_done_is_taken_back(new_union: Callable[..., Union]) -> None:
    """Undo makes a plan, apply carries it out, and the rows are what they were before the night."""
    union = new_union(
        mirrored=[
            {"membernumber": " 100", "positioncode": "pres"},
            {"membernumber": "999", "positioncode": "pres"},
            HELD[1],
            HELD[1],
        ]
    )
    before = union.rows()
    assert union.place.run("apply", *TARGET, "--auto-approve").code == ExitCode.DONE
    night = union.place.newest()
    assert union.rows() != before
    undone = union.place.run("undo", night.id, "--out", "back.json")
    assert undone.code == ExitCode.DONE
    back = union.place.run("apply", "back.json")
    assert (back.code, union.rows()) == (ExitCode.DONE, before), str(back)
    assert "applied already" in union.place.run("apply", "back.json").err


def test_a_plan_is_shown_in_every_form(new_union: Callable[..., Union], snapshot: SnapshotAssertion) -> None:
    """Rows, and no contacts; a project, and no workspace."""
    made = new_union(mirrored=HELD[1:]).place
    plan = made.plan(*TARGET)
    shown = {form: made.run("show", plan.id, "--format", form).out for form in ("markdown", "html", "json")}
    assert plain(shown["markdown"]) == snapshot
    assert '"target": "positions"' in shown["json"]
    assert (made.folder / "plans" / f"{plan.id}.html").read_text("utf-8") == shown["html"]
    for text in shown.values():
        assert "100/pres" in text
        assert "Intercom" not in text.replace("intercom_version", "")


# refusals


def test_an_empty_source_deletes_nothing(new_union: Callable[..., Union]) -> None:
    """The table `position` is empty, the job runs unattended: refused, nothing is written, and the way out is named."""
    union = new_union()
    union.mysql("DELETE FROM position")
    done = union.place.run("apply", *TARGET, "--auto-approve")
    assert done.code == ExitCode.HELD
    assert (
        "no positions at all, where the table has 4 rows. If that is true: --accept positions=0 --reason TEXT"
        in " ".join(done.out.split())
    )
    assert union.writes() == []
    accepted = union.place.run("apply", *TARGET, "--auto-approve", "--accept", "positions=0", "--reason", "dissolved")
    assert (accepted.code, union.rows()) == (ExitCode.DONE, [])


def test_each_target_has_a_baseline_of_its_own(new_union: Callable[..., Union], mariadb: MariaDb) -> None:
    """What a run for this target read is what the next is held against, though the table itself is small by then."""
    many: Rows = [{**MEMBERS[0], "membernumber": f"{number}"} for number in range(1000, 1060)]
    held: Rows = [{"membernumber": one["membernumber"], "positioncode": "pres"} for one in many]
    union = new_union(many, held, mirrored=[])
    made = union.place.plan(*TARGET)
    union.place.set(MYSQL_URL=fresh(mariadb, many, held[:30]))
    done = union.place.run("plan", *TARGET)
    assert done.code == ExitCode.HELD
    assert f"30 positions are 50.0% of the 60 of plan {made.id}" in " ".join(done.out.split())


def test_over_a_limit_is_held(new_union: Callable[..., Union]) -> None:
    """A first night fills the table: above the floor a person has to say so; the rest of the plan is not touched."""
    many: Rows = [{**MEMBERS[0], "membernumber": f"{number}"} for number in range(1000, 1101)]
    held: Rows = [{"membernumber": one["membernumber"], "positioncode": "pres"} for one in many]
    union = new_union(many, held, mirrored=[])
    done = union.place.run("apply", *TARGET, "--auto-approve")
    assert done.code == ExitCode.HELD
    assert "101 to create is of an empty table, over 10% (floor 100)" in " ".join(done.out.split())
    assert union.writes() == []


def test_stale_rows_leave_with_4(new_union: Callable[..., Union]) -> None:
    """A row that somebody changed since the plan is left alone; the others are done."""
    union = new_union(mirrored=[*HELD[1:], {"membernumber": "999", "positioncode": "pres"}])
    made = union.place.plan(*TARGET)
    union.shim.execute("INSERT INTO positions VALUES ('999', 'pres')")
    done = union.place.run("apply", made.id)
    assert done.code == ExitCode.PARTIAL
    assert "Row 999/pres changed since the plan was made" in done.out
    assert union.rows().count(("999", "pres")) == 2
    assert ("100", "pres") in union.rows()


def test_the_emergency_stop_counts_here_too(new_union: Callable[..., Union]) -> None:
    """Paused is paused, for every target."""
    union = new_union(mirrored=[])
    assert union.place.run("pause", "--reason", "wrong rows seen").code == ExitCode.DONE
    assert union.place.run("apply", *TARGET, "--auto-approve").code == ExitCode.PAUSED
    assert union.place.run("resume").code == ExitCode.DONE
    assert union.rows() == []


def test_a_mirror_of_itself_is_refused(new_union: Callable[..., Union]) -> None:
    """Supabase on both sides is no mirror; with the union's own database set beside it, that is the source."""
    union = new_union(mirrored=HELD[1:])
    union.place.set(RECONCILER_SOURCE="supabase")
    assert union.place.run("plan", *TARGET).code == ExitCode.DONE
    union.place.set(MYSQL_URL=None)
    refused = union.place.run("plan", *TARGET)
    assert refused.code == ExitCode.ERROR
    assert "both sides are the same Supabase project" in refused.err
    assert "MYSQL_URL" in refused.err
    union.place.set(RECONCILER_SOURCE=None, SUPABASE_URL=None, SUPABASE_KEY=None)
    lacking = union.place.run("apply", *TARGET, "--auto-approve")
    assert lacking.code == ExitCode.ERROR
    for name in ("SUPABASE_URL", "SUPABASE_KEY", "MYSQL_URL"):
        assert name in lacking.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("plan", *TARGET, "--rule", "fix-phone"), "--target positions knows neither"),
        (("apply", *TARGET, "--rule", "fix-phone", "--auto-approve"), "--target positions knows neither"),
        (("plan", "--target", "positoins"), "'positoins'"),
        (("apply", *TARGET), "Nobody can be asked here"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_read(
    place: Place, arguments: tuple[str, ...], says: str
) -> None:
    """Said before anything is read; usage errors leave with 64."""
    done = place.run(*arguments)
    assert done.code == ExitCode.USAGE
    assert says in done.err


def test_a_plan_goes_to_its_own_target(new_union: Callable[..., Union]) -> None:
    """A stored plan names its target; another one on the command line is a mistake, and a rehearsal is of contacts."""
    union = new_union(mirrored=[])
    made = union.place.plan(*TARGET)
    wrong = union.place.run("apply", made.id, "--target", "contacts")
    assert (wrong.code, f"Plan {made.id} is for positions, not for contacts" in wrong.err) == (ExitCode.USAGE, True)
    union.place.set(INTERCOM_ACCESS_TOKEN="t")
    rehearsed = union.place.run("rehearse", made.id)
    assert (rehearsed.code, "only plans for contacts are rehearsed" in rehearsed.err) == (ExitCode.HELD, True)
    assert union.place.run("apply", made.id, *TARGET).code == ExitCode.DONE


def test_what_looks_back_knows_rows(new_union: Callable[..., Union]) -> None:
    """Every command that reads stored plans reads these; what is about contacts only says so, with a next step."""
    union = new_union(mirrored=[*HELD[1:], {"membernumber": "999", "positioncode": "pres"}])
    place = union.place
    place.set(RECONCILER_REDACT_KEY="0123456789abcdef0123456789abcdef")
    night = place.plan(*TARGET)
    assert place.run("apply", night.id).code == ExitCode.DONE
    second = place.plan(*TARGET)
    looking_back: list[tuple[str, ...]] = [
        ("diff", night.id, second.id),
        ("history",),
        ("timeline", "100"),
        ("export", night.id),
        ("show", night.id, "--redact"),
        ("verify",),
    ]
    ran = {words: place.run(*words) for words in looking_back}
    assert {words: done.code for words, done in ran.items()} == dict.fromkeys(ran, ExitCode.DONE), ran
    assert "100/pres" in ran["timeline", "100"].out
    explained = place.run("explain", "100", "--plan", night.id)
    assert explained.code != ExitCode.DONE
    assert "only plans for contacts are explained" in explained.err
    assert place.run("erase", "100", "--yes").code == ExitCode.DONE
    assert place.run("verify").code == ExitCode.DONE
    assert "100/pres" in place.run("show", night.id).out


def test_a_number_that_nobody_has_is_a_slip(new_union: Callable[..., Union]) -> None:
    """Nothing is planned, and the nearest number is named; one that only a row has is known."""
    union = new_union(mirrored=[*HELD, {"membernumber": "999", "positioncode": "pres"}])
    slipped = union.place.run("plan", *TARGET, "--only", "103")
    assert slipped.code == ExitCode.USAGE
    assert "nobody has member number 103 (did you mean 0103?): neither the source nor any row" in slipped.err
    assert "1 to delete" in union.place.run("plan", *TARGET, "--only", "999").out


# killed


def test_a_run_that_is_killed_between_batches_is_taken_up(new_union: Callable[..., Union]) -> None:
    """SIGKILL after the effect of the second insert, before its answer.

    The next apply reads back what may have been sent, sends the rest, and nothing twice; a run for contacts leaves it
    alone, and an undo takes back every row, whoever wrote it.
    """
    many: Rows = [{**MEMBERS[0], "membernumber": f"{number}"} for number in range(1000, 1250)]
    held: Rows = [{"membernumber": one["membernumber"], "positioncode": "pres"} for one in many]
    union = new_union(many, held, mirrored=[])
    posts = itertools.count(1)
    union.shim.hook = lambda call: After(Slow(SECONDS)) if call.method == "POST" and next(posts) == 2 else None
    made = union.place.plan(*TARGET, "--accept", "create=250", "--reason", "the first night")
    process = union.place.start("apply", made.id)
    until = time.monotonic() + SECONDS
    while len(union.rows()) < 110:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    assert ended(process).code < 0
    before = union.rows()
    assert len(before) == 110
    with RunningSimulator(seeded()) as intercom:
        union.place.demo_union()
        union.place.set(INTERCOM_ACCESS_TOKEN=TOKEN, INTERCOM_BASE_URL=intercom.base_url)
        contacts = union.place.run("apply", "--auto-approve")
        assert (contacts.code, "had been interrupted" in contacts.err) == (ExitCode.DONE, False), str(contacts)
    assert union.rows() == before
    union.place.set(INTERCOM_ACCESS_TOKEN=None, RECONCILER_SOURCE=None)

    taken_up = union.place.run("apply", made.id)
    assert taken_up.code == ExitCode.DONE, str(taken_up)
    assert f"Plan {made.id} had been interrupted" in taken_up.err
    wanted = [(str(one["membernumber"]), "pres") for one in many]
    assert union.rows() == wanted
    run = PlanStore(str(union.place.folder / "plans")).get_outcome(made.id)
    assert run.summary.done == 250
    undone = union.place.run("undo", made.id)
    assert "250 to delete" in undone.out
