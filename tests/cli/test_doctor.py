"""`reconcile doctor` as people and scripts see it. What each check finds: tests/doctor."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from reconciler.core.health import Health
from reconciler.errors import ExitCode
from reconciler.simulator import Options
from tests.cli.support import COLUMNS, Done, Place, in_terminal
from tests.doctor.support import delete_attribute

ATTRIBUTES = ("facility", "region")


def lacking(place: Place) -> Place:
    """Somebody has deleted two of our attributes."""
    for name in ATTRIBUTES:
        delete_attribute(place.simulator, name)
    return place


def checks(done: Done) -> dict[str, Any]:
    """The report in JSON, by check."""
    return {check["id"]: check for check in json.loads(done.out)["checks"]}


def test_before_the_first_night(place: Place, snapshot: SnapshotAssertion) -> None:
    """Nothing is red, so the exit code is 0; what is still to be set up is amber."""
    done = place.run("doctor")
    assert done.code == ExitCode.DONE
    assert done.err == ""
    assert place.plain(done) == snapshot


def test_without_any_setting(place: Place, snapshot: SnapshotAssertion) -> None:
    """Every variable that is missing at once, and what can be looked at without it all the same."""
    place.set(INTERCOM_ACCESS_TOKEN=None, INTERCOM_BASE_URL=None, RECONCILER_SOURCE=None)
    done = place.run("doctor")
    assert done.code == ExitCode.ERROR
    assert place.plain(done) == snapshot


def test_with_a_wrong_token(own_place: Place, snapshot: SnapshotAssertion) -> None:
    """The token is red, what hangs on it is named, and the other side is there."""
    own_place.simulator.options = Options(token="another")
    done = own_place.run("doctor")
    assert done.code == ExitCode.ERROR
    assert own_place.plain(done) == snapshot


def test_with_attributes_missing(own_place: Place, snapshot: SnapshotAssertion) -> None:
    """Named, with the command that creates them."""
    done = lacking(own_place).run("doctor")
    assert done.code == ExitCode.ERROR
    assert own_place.plain(done) == snapshot


def test_report_for_scripts(place: Place) -> None:
    """JSON of one closed form on stdout, and nothing else; the same exit code."""
    done = place.run("doctor", "--json")
    assert (done.code, done.err) == (ExitCode.DONE, "")
    found = msgspec.json.decode(done.out, type=Health)
    assert (found.format, found.status) == ("reconciler.health/1", "amber")
    assert [check["status"] for check in checks(done).values()] == [check.status for check in found.checks]
    place.set(INTERCOM_ACCESS_TOKEN=None)
    assert place.run("doctor", "--json").code == ExitCode.ERROR


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}], ids=["colour", "NO_COLOR"])
def test_at_a_terminal(environ: dict[str, str], place: Place) -> None:
    """80 columns are enough; a colour repeats the word, and is left out where nobody wants it."""
    done = in_terminal(place, "doctor", environ=environ)
    assert done.code == ExitCode.DONE
    assert ("\x1b[33mamber" in done.out) == (not environ)
    assert "\namber  notify" in done.out or not environ
    plain = done.out
    for code in ("\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[1m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert "\x1b" not in plain
    assert max(map(cell_len, plain.splitlines())) <= COLUMNS


def test_in_a_pipe(place: Place) -> None:
    """No colour, 80 columns, and the report whole."""
    done = place.shell("reconcile doctor | cat")
    assert (done.code, done.err) == (ExitCode.DONE, "")
    assert "\x1b" not in done.out
    assert max(map(cell_len, done.out.splitlines())) <= COLUMNS
    assert done.out.splitlines()[-1].endswith("green.")


def test_nothing_hangs_on_the_time_it_may_take(place: Place) -> None:
    """A moment is too short for every answer: said by each line that waited, and over at once."""
    done = place.run("doctor", "--seconds", "0.1", "--json")
    assert done.code in {ExitCode.DONE, ExitCode.ERROR}
    assert len(checks(done)) == len(checks(place.run("doctor", "--json")))


# --- creating attributes ----------------------------------------------------------------------------------------------


def test_missing_attributes_are_created(own_place: Place) -> None:
    """With --yes nobody is asked; the report is that of afterwards, and a second time there is nothing to create."""
    done = lacking(own_place).run("doctor", "--create-attributes", "--yes", "--json")
    assert (done.code, done.err) == (ExitCode.DONE, "Created facility, region.\n")
    assert checks(done)["attributes"]["status"] == "green"
    assert [call.path for call in own_place.effects()] == ["/data_attributes"] * 2
    again = own_place.run("doctor", "--create-attributes", "--yes")
    assert (again.code, again.err) == (ExitCode.DONE, "No attribute is missing.\n")


@pytest.mark.parametrize(("answer", "created"), [("yes\n", 2), ("y\n", 0), ("\n", 0)])
def test_a_person_is_asked(answer: str, created: int, own_place: Place) -> None:
    """By the names, on stderr, and only `yes` is yes."""
    done = in_terminal(lacking(own_place), "doctor", "--create-attributes", answer=answer)
    assert "Create facility, region as text, for ever? Only `yes` is accepted:" in done.err
    assert len(own_place.effects()) == created
    assert done.code == (ExitCode.DONE if created else ExitCode.ERROR)


def test_nobody_can_be_asked(own_place: Place) -> None:
    """Off a terminal nothing is created without --yes."""
    done = lacking(own_place).shell("reconcile doctor --create-attributes")
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert "--yes" in done.err
    assert own_place.effects() == []


def test_yes_to_what(place: Place) -> None:
    """Alone it would promise something that does not happen."""
    assert place.run("doctor", "--yes").code == ExitCode.USAGE


@pytest.mark.parametrize("by", ["pause", "variable"])
def test_pause_holds_for_attributes_too(by: str, own_place: Place) -> None:
    """The emergency stop is for everything that writes to Intercom."""
    lacking(own_place)
    if by == "pause":
        own_place.run("pause", "--reason", "wrong archives seen")
    else:
        own_place.set(RECONCILER_PAUSED="true")
    done = own_place.run("doctor", "--create-attributes", "--yes")
    assert done.code == ExitCode.PAUSED
    assert own_place.effects() == []
