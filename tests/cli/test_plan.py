from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core import plan as plan_file
from reconciler.errors import ExitCode
from reconciler.simulator import Simulator
from tests.cli.support import Place

ESCAPE = "\x1b"


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_plan_in_each_format(form: str, place: Place, snapshot: SnapshotAssertion) -> None:
    """The whole of what people and programs read: the plan on stdout, log lines alone on stderr, no colours."""
    done = place.run("plan", "--format", form)
    assert done.code == ExitCode.DONE
    assert ESCAPE not in done.out + done.err
    assert place.plain(done) == snapshot


def test_stdout_of_json_is_the_plan_file(place: Place) -> None:
    """`reconcile plan --json | jq` sees the very bytes that are stored, and stderr is JSON lines."""
    done = place.run("plan", "--json", "--out", "copy.json")
    made = place.newest()
    assert done.out.encode() == plan_file.encode(made) == (place.folder / "copy.json").read_bytes()
    assert json.loads(done.out)["id"] == made.id
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert lines
    assert all(line["level"] == "info" for line in lines)


def test_plan_written_to_a_file_is_for_its_owner_alone(place: Place) -> None:
    """Plans hold personal data, so what is written is read by nobody else; the stored one neither."""
    place.run("plan", "--out", "copy.json")
    assert stat.S_IMODE((place.folder / "copy.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((place.folder / "plans").stat().st_mode) == 0o700


def test_plan_file_that_exists_is_replaced_and_closed(place: Place) -> None:
    """A file that others could read is closed to them before a plan goes into it."""
    old = place.folder / "copy.json"
    old.write_text("x" * 100_000)
    old.chmod(0o644)
    place.run("plan", "--out", "copy.json")
    assert old.read_bytes() == plan_file.encode(place.newest())
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


def test_out_that_cannot_be_written(place: Place) -> None:
    """The plan is stored all the same, and the message says so."""
    done = place.run("plan", "--out", "none/copy.json")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "none/copy.json cannot be written: No such file or directory" in done.err
    assert "the plan is stored" in done.err
    place.newest()


def test_detailed_exit_code_says_whether_there_are_changes(place: Place) -> None:
    """2 for changes, 0 for none, and always 0 without the option."""
    assert place.run("plan").code == ExitCode.DONE
    assert place.run("plan", "--detailed-exitcode").code == ExitCode.CHANGES
    none = place.run("plan", "--detailed-exitcode", "--only", "100101")
    assert none.code == ExitCode.DONE
    assert none.out.endswith("No changes.\n")


@pytest.mark.parametrize(
    ("arguments", "members"),
    [
        (["--only", "100102"], ["100102"]),
        (["--only", "100102", "--only", "100117"], ["100102", "100117"]),
        (["--exclude", "100107", "--exclude", "100108"], ["100102", "100103", "100104", "100105", "100117"]),
        (["--rule", "create-missing"], ["100117"]),
        (["--rule", "fix-phone", "--rule", "promote-lead"], ["100102", "100105"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_narrowed_plan(arguments: list[str], members: list[str], place: Place) -> None:
    """A plan holds the actions of those members and rules that were asked for, and no others."""
    made = place.plan(*arguments)
    assert sorted({action.member or "" for action in made.actions}) == members


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "999999"], "nobody has member number 999999: neither the source's members nor any contact"),
        (["--only", "100102", "--only", "0100117"], "0100117 (did you mean 100117?)"),
        (["--exclude", "100012"], "100012 (did you mean "),
        (["--only", "x", "--exclude", "100102 "], "100102  (did you mean 100102?), x"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_number_that_nobody_has_is_wrong_usage(arguments: list[str], says: str, place: Place) -> None:
    """It is named with what may have been meant, and no plan says of nobody that there is nothing to do."""
    done = place.run("plan", *arguments)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert says in done.err
    assert not list((place.folder / "plans").glob("*.json"))


def test_number_that_only_a_contact_has_is_known(place: Place) -> None:
    """Whoever left the source for good may still have a contact, and `--only` shows what is said of it."""
    union = sqlite3.connect(place.folder / "union.db")
    with union:
        union.execute("DELETE FROM members WHERE membernumber = '100101'")
    union.close()
    made = place.plan("--only", "100101")
    assert [finding.rule for finding in made.findings if finding.member == "100101"] == ["orphan-contact"]


def test_limit_leaves_out_what_is_over_it(place: Place) -> None:
    """`--limit 2` gives two actions, so that a first step can be a small one."""
    assert len(place.plan("--limit", "2").actions) == 2


def test_plan_over_a_limit_leaves_with_3_until_accepted(
    make_place: Callable[[Simulator], Place], snapshot: SnapshotAssertion
) -> None:
    """130 creations in an empty workspace are held; a person who accepts that very number says why, for the record."""
    place = make_place(Simulator())
    place.new_members(130)
    held = place.run("plan")
    assert held.code == ExitCode.HELD
    assert place.plain(held) == snapshot
    accepted = place.run("plan", "--accept", "create=130", "--reason", "the first load, seen by N. N.")
    assert accepted.code == ExitCode.DONE
    check = next(one for one in place.newest().limits if one.limit == "create")
    assert (check.ok, check.accepted, check.reason) == (True, 130, "the first load, seen by N. N.")
    assert place.run("plan", "--accept", "create=129", "--reason", "too few").code == ExitCode.HELD


def test_source_that_shrank_leaves_with_3(place: Place) -> None:
    """Where a third of the members is gone, a plan is stored that cannot be applied, and it says why."""
    place.plan()
    place.new_members(11)
    done = place.run("plan")
    assert done.code == ExitCode.HELD
    assert not place.newest().applyable
    assert place.newest().refused_because


def test_mappings_decided_by_a_person(place: Place, tmp_path: Path) -> None:
    """A mapping gives a contact to the member it names."""
    mapped = [{"contact_id": "64d0c0ffee00000000000900", "member_number": "100117"}]
    (tmp_path / "good.json").write_text(json.dumps(mapped))
    made = place.plan("--mappings", "good.json", "--only", "100117")
    assert [action.contact for action in made.actions] == ["64d0c0ffee00000000000900"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "bad.json"),
        ("{}", "bad.json"),
        ('[{"contact_id": "64d0c0ffee00000000000900"}]', "member_number"),
        ('[{"contact_id": "64d0c0ffee00000000000900", "member_number": 100117}]', "bad.json"),
        ("[\n  {],\n]", "bad.json"),
    ],
    ids=["empty", "no list", "half", "a number", "no JSON"],
)
def test_broken_mappings(text: str, says: str, place: Place) -> None:
    """A mappings file is decided by people, so a mistake in it stops the run and names the file."""
    (place.folder / "bad.json").write_text(text)
    done = place.run("plan", "--mappings", "bad.json")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert says in done.err
    assert not (place.folder / "plans").exists()
