"""Source guards from the command line: what a night is refused for, and what it takes to let it through."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from reconciler.errors import ExitCode
from reconciler.simulator import Simulator
from tests.cli.support import Done, Place


@pytest.fixture
def union(make_place: Callable[[Simulator], Place]) -> Place:
    """Forty members, an empty workspace, and a good night behind it."""
    place = make_place(Simulator())
    place.new_members(40)
    assert place.run("plan").code == ExitCode.DONE
    time.sleep(1.01)
    return place


def next_night(place: Place, *arguments: str) -> Done:
    """Plan again. The newest plan is told by the second in its id, so that another begins first."""
    time.sleep(1.01)
    return place.run("plan", *arguments)


def change(place: Place, statement: str) -> None:
    """Change the union's database."""
    with closing(sqlite3.connect(place.folder / "union.db")) as database, database:
        database.execute(statement)


def test_a_column_that_came_empty_is_refused_until_accepted_by_its_number(union: Place) -> None:
    """The baseline stands in the plan of the night before; what was accepted stands in this one, and is the next."""
    change(union, "UPDATE members SET region = NULL WHERE membernumber < '200010'")
    done = union.run("plan")
    assert done.code == ExitCode.HELD
    assert "10 members (25.0%) have no region" in union.newest().refused_because[0]
    assert union.run("plan", "--accept", "blank.region=9", "--reason", "guessed").code == ExitCode.HELD
    assert union.run("plan", "--accept", "members=40", "--reason", "another guard").code == ExitCode.HELD
    accepted = next_night(union, "--accept", "blank.region=10", "--reason", "the region was closed, says N. N.")
    assert accepted.code == ExitCode.DONE
    assert "Accepted by a person: blank.region, 10 read, 0 believed, 10 accepted" in accepted.out
    assert "the region was closed, says N. N." in accepted.out
    made = union.newest()
    (record,) = [check for check in made.limits if check.limit == "blank.region"]
    assert (record.ok, record.accepted, record.reason) == (True, 10, "the region was closed, says N. N.")
    assert made.inputs.members.blank is not None
    assert made.inputs.members.blank["region"] == 10
    assert next_night(union).code == ExitCode.DONE


def test_a_shrunk_source_accepted_is_on_record_and_the_next_baseline(union: Place) -> None:
    """Whoever reads the plans in a year sees that half of a union was let go by a person, and why."""
    change(union, "DELETE FROM members WHERE membernumber >= '200020'")
    assert union.run("plan").code == ExitCode.HELD
    assert next_night(union, "--accept", "members=20", "--reason", "local 12 left").code == ExitCode.DONE
    (record,) = [check for check in union.newest().limits if check.limit == "members"]
    assert (record.planned, record.allowed, record.accepted, record.reason) == (20, 40, 20, "local 12 left")
    assert next_night(union).code == ExitCode.DONE


def test_one_row_that_cannot_be_used(union: Place) -> None:
    """The plan goes on without that member; the row is named on the screen, and its value nowhere."""
    change(union, "UPDATE members SET lastname = 'k4narien' || char(0) || 'vogel' WHERE membernumber = '200005'")
    done = union.run("plan", "--json")
    assert done.code == ExitCode.DONE
    assert len(union.newest().actions) == 39
    (finding,) = [one for one in json.loads(done.out)["findings"] if one["rule"] == "quarantined-row"]
    assert finding["member"] == "200005"
    assert "last_name holds a NUL character" in finding["says"]
    assert "k4narien" not in done.out + done.err
    assert "quarantined" in union.run("plan").out


def test_many_rows_that_cannot_be_used(union: Place) -> None:
    """Two of forty are 5%: refused, each row is named, and no number lifts it; limits.yaml does, up to its ceiling."""
    change(union, "UPDATE members SET lastname = 'a' || char(0) WHERE membernumber < '200002'")
    assert union.run("plan", "--accept", "members=40", "--reason", "no").code == ExitCode.HELD
    refused = union.newest()
    assert "2 of 40 rows of members cannot be used; over 0.5% is not believed" in refused.refused_because[0]
    assert [one.member for one in refused.findings] == ["200000", "200001"]
    limits = union.own_rules() / "limits.yaml"
    shipped = limits.read_text("utf-8")
    limits.write_text(shipped.replace("quarantine_percent: 0.5", "quarantine_percent: 5"), "utf-8")
    assert union.run("plan").code == ExitCode.DONE
    limits.write_text(shipped.replace("quarantine_percent: 0.5", "quarantine_percent: 6"), "utf-8")
    done = union.run("plan")
    assert done.code == ExitCode.ERROR
    assert "6 is over 5, which stands in code" in done.err


def test_an_unknown_class_is_named_with_those_that_there_are(union: Place) -> None:
    """A slip in --accept must not look as if something had been accepted."""
    done = union.run("plan", "--accept", "blank.shoe=1", "--reason", "x")
    assert done.code == ExitCode.USAGE
    assert "members, positions, blank.first_name" in done.err


def test_pages_are_told_while_they_come(union: Place) -> None:
    """A read of minutes is not silent: each page after the first says how many there are so far."""
    union.new_members(2500)
    done = union.run("plan")
    events = [json.loads(line)["event"] for line in done.err.splitlines() if line.startswith("{")]
    assert "Fetched page 2 (2,000 members so far…)" in events
    assert "members" in events
