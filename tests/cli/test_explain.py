"""`reconcile explain`: from a stored plan without a network, and live."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.errors import ExitCode
from tests.cli.support import Place

BEN, ADA, COUPLE = "100102", "100101", "100112"


def test_a_stored_plan_is_explained_without_a_network(place: Place) -> None:
    """No setting but the folder of plans, no database, no call: what is said is what the plan kept."""
    made = place.plan()
    (place.folder / "union.db").unlink()
    place.set(RECONCILER_SOURCE=None, INTERCOM_ACCESS_TOKEN=None, INTERCOM_BASE_URL="http://127.0.0.1:9")
    before = len(place.simulator.calls)
    done = place.run("explain", BEN)
    assert done.code == ExitCode.DONE, str(done)
    assert f"Member {BEN}, in plan {made.id}" in done.out
    assert "contact has (765) 465-7031, gets +17654657031" in done.out
    assert done.err == ""
    assert len(place.simulator.calls) == before


def test_the_newest_plan_is_meant_unless_one_is_named(place: Place) -> None:
    """By its id, by the beginning of it, or as a file."""
    made = place.plan("--only", BEN, "--out", "copy.json")
    newer = place.plan("--only", COUPLE)
    assert f"in plan {newer.id}" in place.run("explain", COUPLE).out
    for ref in (made.id, "copy.json"):
        assert f"in plan {made.id}" in place.run("explain", BEN, "--plan", ref).out


def test_a_plan_about_others_is_passed_over(place: Place) -> None:
    """With a service that plans for each event, the newest plan is mostly about somebody else."""
    night = place.plan()
    other = place.plan("--only", COUPLE)
    assert f"in plan {night.id}" in place.run("explain", BEN).out
    assert f"in plan {other.id}" in place.run("explain", COUPLE).out
    assert f"plan {night.id} says nothing about {ADA}" in place.run("explain", ADA).err


def test_a_plan_that_was_edited_is_named(place: Place) -> None:
    """The one before it is explained, and the exit code says that this is not the whole story."""
    night, edited = place.plan(), place.plan("--only", BEN)
    path = place.folder / "plans" / f"{edited.id}.json"
    path.write_bytes(path.read_bytes().replace(b"contacts", b"c0ntacts", 1))
    done = place.run("explain", BEN)
    assert done.code == ExitCode.ERROR
    assert f"in plan {night.id}" in done.out
    assert f"Left out, as changed or cut after they were written: {path.name}" in done.err
    nothing = place.run("explain", ADA)
    assert f"plan {night.id} says nothing about {ADA}" in nothing.err
    assert path.name in nothing.err


def test_only_plans_about_others_are_stored(place: Place) -> None:
    """Then the newest of them is named, which says nothing of the subject."""
    place.plan("--only", "100103")
    newest = place.plan("--only", COUPLE)
    assert f"plan {newest.id} says nothing about {BEN}" in place.run("explain", BEN).err


def test_contact_is_explained_by_its_id(place: Place) -> None:
    """Whoever looks at a contact in Intercom has its id and not the member's number."""
    place.plan()
    done = place.run("explain", "64d0c0ffee00000000000110", "--json")
    told = json.loads(done.out)
    assert told["contact"] == "64d0c0ffee00000000000110"
    assert told["verdict"] == "Nothing is done: a person has to look."
    assert [reason["rule"] for reason in told["review"]] == ["conflicting-identity"]
    assert {flip["side"] for flip in told["flips"]} == {"source", "intercom", "person", "rules"}


def test_whoever_is_in_order_is_in_no_plan(place: Place, snapshot: SnapshotAssertion) -> None:
    """The refusal names what helps; --live then shows that there is nothing to change, and stores nothing."""
    place.plan()
    stored = sorted((place.folder / "plans").iterdir())
    refused = place.run("explain", ADA)
    assert (refused.code, refused.out) == (ExitCode.ERROR, "")
    assert f"`reconcile explain {ADA} --live`" in refused.err
    live = place.run("explain", ADA, "--live")
    assert live.code == ExitCode.DONE
    assert place.plain(live) == snapshot
    assert sorted((place.folder / "plans").iterdir()) == stored


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["999999", "--live"], ExitCode.USAGE, "nobody has member number 999999"),
        (["999999", "--live"], ExitCode.USAGE, "Next: Name a member by the number, or a live contact by its id."),
        ([BEN, "--live", "--plan", "x"], ExitCode.USAGE, "--live decides anew"),
        ([BEN, "--plan", "20200101"], ExitCode.ERROR, "there is no plan 20200101"),
        ([BEN], ExitCode.ERROR, "no plan for contacts is stored in plans"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_explained(arguments: list[str], code: ExitCode, says: str, place: Place) -> None:
    """Each refusal names what is wrong, and the next step."""
    done = place.run("explain", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_a_number_that_only_a_position_has(place: Place) -> None:
    """It is said where nobody has it: the positions of the source do."""
    with closing(sqlite3.connect(place.folder / "union.db")) as union, union:
        union.execute("INSERT INTO positions (membernumber, positioncode) VALUES ('999999', 'pres')")
    done = place.run("explain", "999999", "--live")
    assert done.code == ExitCode.USAGE
    assert "nobody has member number 999999: neither the source's members nor any contact" in done.err


def test_what_became_of_an_action_stands_beside_it(own_place: Place) -> None:
    """After an apply the explanation of its plan says done, with the outcome that is stored."""
    made = own_place.plan("--only", BEN)
    assert own_place.run("apply", made.id).code == ExitCode.DONE
    done = own_place.run("explain", BEN, "--plan", made.id)
    assert "(done)." in done.out
    assert "Outcome: done" in done.out


def test_an_undo_is_not_what_is_explained(own_place: Place) -> None:
    """It decides nothing: without --plan the plan before it is explained."""
    made = own_place.plan("--only", BEN)
    assert own_place.run("apply", made.id).code == ExitCode.DONE
    assert own_place.run("undo", made.id).code == ExitCode.DONE
    assert f"in plan {made.id}" in own_place.run("explain", BEN).out


def test_only_shows_a_member_from_row_to_action(place: Place, snapshot: SnapshotAssertion) -> None:
    """Rows, contacts, fields and action of the one; that there is nothing to change of the other; then the plan."""
    done = place.run("plan", "--only", BEN, "--only", ADA)
    assert done.code == ExitCode.DONE
    assert place.plain(done) == snapshot


def test_only_shows_no_more_than_people_read(place: Place) -> None:
    """Of many members named, ten are shown, and how to see the others; a script gets the plan alone."""
    only = [word for number in range(100101, 100113) for word in ("--only", str(number))]
    done = place.run("plan", *only)
    assert done.out.count("What would flip it") == 10
    assert "… and 2 more members: reconcile explain MEMBER --plan" in done.out
    assert "What would flip it" not in place.run("plan", *only, "--json").out
