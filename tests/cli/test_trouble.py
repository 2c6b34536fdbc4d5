"""What goes wrong around a command, and what it says then: what happened, where, and the next step, on stderr alone."""

from __future__ import annotations

import csv
import json
import re
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing

import click
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.cli import COMMANDS
from reconciler.errors import ExitCode
from reconciler.simulator import Options
from tests.cli.support import DEMO, TOKEN, Place

PASSWORD = "canary-password-77aa"


def canaries() -> list[str]:
    """Every secret, and every name, e-mail and phone of the demo's members: no error may hold one."""
    with (DEMO / "members.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = [row[column] for row in rows for column in ("firstname", "lastname", "email", "phone")]
    return [TOKEN, PASSWORD, *(value for value in values if len(value) > 3)]


CANARIES = canaries()


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def alter(place: Place, statement: str) -> None:
    """Change the union's database."""
    with closing(sqlite3.connect(place.folder / "union.db")) as database, database:
        database.execute(statement)


def rewrite(file: str, old: str, new: str) -> Callable[[Place], None]:
    """A rule file of the place's own with one text in place of another."""

    def setup(place: Place) -> None:
        path = place.own_rules() / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return setup


def several_wrong_rules(place: Place) -> None:
    """A duplicate key, a misspelt one and a wrong type, in three files."""
    folder = place.own_rules()
    with (folder / "positions.yaml").open("a") as file:
        file.write("pres: Somebody Else\n")
    for name, old, new in (
        ("findings.yaml", "promote-lead:", "promote-leads:"),
        ("limits.yaml", "plan_lifetime_hours: 24", "plan_lifetime_hours: soon"),
    ):
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")


def plans_that_are_a_file(place: Place) -> None:
    """RECONCILER_PLANS names a file."""
    (place.folder / "plans").write_text("")


TROUBLES: dict[str, Callable[[Place], object]] = {
    "nothing is set": lambda place: place.set(INTERCOM_ACCESS_TOKEN=None, RECONCILER_SOURCE=None),
    "several are malformed": lambda place: place.set(
        INTERCOM_BASE_URL="ftp://x", INTERCOM_RATE_LIMIT="many", RECONCILER_PAUSED="perhaps", RECONCILER_SOURCE="union"
    ),
    "half a MySQL": lambda place: place.set(RECONCILER_SOURCE=None, MYSQL_HOST="db", MYSQL_PASSWORD=PASSWORD),
    "a line of .env": lambda place: (place.folder / ".env").write_text(f"A=1\n{PASSWORD}\n"),
    "no such file": lambda place: place.set(RECONCILER_SOURCE="sqlite:///none.db"),
    "no database": lambda place: (place.folder / "union.db").write_text("Ada Moreno, ada.moreno@example.org\n" * 99),
    "no table": lambda place: alter(place, "ALTER TABLE positions RENAME TO offices"),
    "no column": lambda place: alter(place, "ALTER TABLE members RENAME COLUMN firstname TO given"),
    "no members": lambda place: alter(place, "DELETE FROM members"),
    "nothing answers at MySQL": lambda place: place.set(
        RECONCILER_SOURCE=None, MYSQL_URL=f"mysql://union:{PASSWORD}@127.0.0.1:{free_port()}/union"
    ),
    "an unknown driver": lambda place: place.set(RECONCILER_SOURCE=f"oracle://u:{PASSWORD}@db/union"),
    "no rules": lambda place: place.set(RECONCILER_RULES="none"),
    "rules that are a file": lambda place: place.set(RECONCILER_RULES="union.db"),
    "several wrong rules": several_wrong_rules,
    "a misspelt key": rewrite("findings.yaml", "then: create", "them: create"),
    "a tab": rewrite("contacts.yaml", "fields:", "fields:\t-"),
    "plans that are a file": plans_that_are_a_file,
    "plans below a file": lambda place: place.set(RECONCILER_PLANS="union.db/plans"),
    "plans nowhere": lambda place: place.set(RECONCILER_PLANS="gopher://x/plans"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_plan_in_trouble(name: str, place: Place, snapshot: SnapshotAssertion) -> None:
    """Nothing on stdout, no traceback, no secret, nobody's name; the last line says what to do."""
    TROUBLES[name](place)
    done = place.run("plan")
    assert place.plain(done) == snapshot
    if name == "no members":
        assert done.code == ExitCode.HELD
        return
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert done.err.splitlines()[-1].startswith("Next: ")
    assert [one for one in CANARIES if one in done.err] == []


@pytest.mark.parametrize("arguments", [["apply", "--auto-approve"], ["rehearse", "copy.json"]], ids=" ".join)
def test_other_commands_say_the_same(arguments: list[str], place: Place) -> None:
    """A missing table is missing for whoever reads it."""
    place.plan("--out", "copy.json")
    alter(place, "ALTER TABLE positions RENAME TO offices")
    done = place.run(*arguments)
    assert done.code == ExitCode.ERROR
    assert "there is no table positions; there are: members, offices" in done.err
    assert done.err.splitlines()[-1].startswith("Next: ")


def test_token_that_is_not_accepted(own_place: Place, snapshot: SnapshotAssertion) -> None:
    """401 is told as what it is, by plan and by apply, with the variable to look at and never its value."""
    own_place.plan("--out", "copy.json")
    own_place.simulator.options = Options(token="another")
    for arguments in (["plan"], ["apply", "copy.json"]):
        done = own_place.run(*arguments)
        assert (done.code, done.out) == (ExitCode.ERROR, "")
        assert TOKEN not in done.err
        assert own_place.plain(done) == snapshot(name=arguments[0])


def test_host_that_does_not_answer(place: Place, snapshot: SnapshotAssertion) -> None:
    """Nobody at the door: told after a few tries, with the setting to look at."""
    place.set(INTERCOM_BASE_URL=f"http://127.0.0.1:{free_port()}")
    done = place.run("plan")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert place.plain(done) == snapshot
    assert [one for one in CANARIES if one in done.err] == []


def test_reader_that_leaves_is_no_error_to_shout_about(place: Place) -> None:
    """`reconcile plan | head -1` shows that line and nothing else: no traceback, no word about pipes."""
    assert place.run("plan").code == ExitCode.DONE
    made = place.newest()
    shown = place.shell(f"reconcile show {made.id} | head -1")
    assert (shown.out, shown.err) == (f"Plan {made.id}\n", "")
    gone = place.shell(f"reconcile show {made.id} --json | true")
    assert (gone.out, gone.err) == ("", "")


@pytest.mark.parametrize("command", ["plan", "rules schema", "--help"])
def test_output_onto_a_full_disk(command: str, place: Place) -> None:
    """`reconcile plan > plan.txt` where no room is left is no bug to be reported: it says why, and what to do."""
    done = place.shell(f"reconcile {command} >/dev/full")
    assert done.code == ExitCode.ERROR
    said = [line for line in done.err.splitlines() if not line.startswith("{")]
    assert said == [
        "Error: the output could not be written: No space left on device",
        "Next: Make room where it goes, then run this again. After an apply, look at its outcome.",
    ]


@pytest.mark.parametrize("command", ["plan", "verify"])
def test_output_that_nobody_wants(command: str, place: Place) -> None:
    """A scheduler may start a command with its streams closed: it does its work, and ends as it would have."""
    done = place.shell(f"reconcile {command} <&- >&-; echo $? >code; reconcile {command} >/dev/null 2>&-")
    assert (done.code, (place.folder / "code").read_text()) == (ExitCode.DONE, "0\n"), str(done)
    assert "Traceback" not in done.err


def test_output_that_is_not_utf_8(place: Place) -> None:
    """A terminal that cannot show a letter shows its number; a plan is not lost for that."""
    place.set(PYTHONIOENCODING="iso-8859-1")
    done = place.shell("reconcile plan 2>/dev/null | iconv -f iso-8859-1 -t utf-8")
    assert done.code == ExitCode.DONE, str(done)
    assert "(765) 465-7031 \\u2192 +17654657031" in done.out


@click.command("boom")
def boom() -> None:
    """Fail as a program fails that has a bug."""
    raise ValueError(f"cannot parse 'Ada Moreno' with {TOKEN}")


def test_error_that_nobody_foresaw(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kind and its place are shown and its text is not: that may be anybody's name."""
    monkeypatch.setitem(COMMANDS, "boom", (f"{__name__}:boom", "Fail."))
    done = place.run("boom")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "with ValueError, at\n" in done.err
    assert re.search(r"test_trouble\.py:\d+ boom\n", done.err)
    assert "Please report this" in done.err
    assert [one for one in CANARIES if one in done.err] == []


def test_file_that_is_no_plan_is_not_quoted(place: Place) -> None:
    """Whatever is in a file that is named by mistake stays there."""
    (place.folder / "bad.json").write_text(json.dumps({"id": "20261123T023000Z-8f3a1c5e", "name": "Ada Moreno"}))
    done = place.run("show", "bad.json")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "bad.json is not a plan" in done.err
    assert [one for one in CANARIES if one in done.err] == []
