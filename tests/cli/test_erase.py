from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from reconciler.core.plan import Plan
from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from tests.cli.support import Place, in_terminal


def values_of(made: Plan, member: str) -> set[str]:
    """The names, addresses and phones that a plan holds of a member."""
    actions = [action for action in made.actions if action.member == member]
    held = [value for action in actions for value in (*action.expect.values(), *action.set.values())]
    return {value for value in held if isinstance(value, str) and ("@" in value or " " in value or "+" in value)}


def old_plan(days: int) -> Plan:
    """A plan made so many days ago, stored like any."""
    store = PlanStore("plans")
    made = store.get_plan(store.list_ids()[-1])
    at = datetime.now(UTC) - timedelta(days=days)
    old = msgspec.structs.replace(made, id=f"{at:%Y%m%dT%H%M%SZ}-00000000", previous=store.latest_digest())
    store.put_plan(old)
    return old


def test_a_member_is_erased_from_all_that_is_stored(own_place: Place) -> None:
    """No file of the store holds a value of theirs any more, and `verify` passes."""
    made = own_place.plan()
    member = next(one.member for one in made.actions if one.member and values_of(made, one.member))
    assert own_place.run("apply", made.id).code == ExitCode.DONE
    done = own_place.run("erase", member, "--yes")
    assert (done.code, done.err) == (ExitCode.DONE, "")
    assert "taken out of 2 records" in done.out
    files = [path for path in Path("plans").rglob("*") if path.suffix in {".json", ".html"}]
    text = "".join(html.unescape(path.read_text("utf-8")) for path in files)
    assert [value for value in values_of(made, member) if value in text] == []
    assert "From 2 of them personal data was taken out" in own_place.run("verify").out
    assert own_place.run("erase", member, "--yes").out == "Nothing was left to erase.\n"
    assert own_place.run("show", made.id).code == ExitCode.DONE


def test_an_erased_plan_is_neither_applied_nor_undone(own_place: Place) -> None:
    """What stands in the place of a name must not be written to a contact."""
    made = own_place.plan()
    member = next(one.member for one in made.actions if one.member)
    own_place.run("erase", member, "--yes")
    done = own_place.run("apply", made.id)
    assert done.code == ExitCode.HELD
    assert "personal data was taken out of it" in done.err
    assert own_place.effects() == []
    made = own_place.plan()
    own_place.run("apply", made.id)
    own_place.run("erase", member, "--yes")
    done = own_place.run("undo", made.id)
    assert done.code == ExitCode.HELD
    assert "cannot be taken back" in done.err


def test_a_night_takes_personal_data_out_of_old_plans(own_place: Place) -> None:
    """With a retention set, whatever is older loses it at the end of the next apply; the rest keeps it."""
    made = own_place.plan()
    old, young = old_plan(401), old_plan(399)
    own_place.set(RECONCILER_PLAN_RETENTION="400d")
    assert own_place.run("apply", made.id).code == ExitCode.DONE
    store = PlanStore("plans")
    assert [store.get_plan(one.id).applyable for one in (old, young, made)] == [False, True, True]
    assert own_place.run("verify").code == ExitCode.DONE


def test_what_keeps_old_plans_from_being_erased_is_said_and_the_run_stays_as_it_ended(own_place: Place) -> None:
    """The contacts are as they should be: the exit code says so, and stderr what else there is to do."""
    made = own_place.plan()
    path = Path("plans", f"{old_plan(401).id}.json")
    own_place.set(RECONCILER_PLAN_RETENTION="400d")
    own_place.plan("--rule", "fix-phone")
    path.write_bytes(path.read_bytes().replace(b"contacts", b"c0ntacts", 1))
    done = own_place.run("apply", made.id)
    assert done.code == ExitCode.DONE
    assert f"{path} was changed or cut" in done.err


def test_erase_old_needs_to_know_what_is_old(own_place: Place) -> None:
    """And then does at once what the next night would do."""
    own_place.plan()
    old_plan(401)
    assert own_place.run("erase", "--old", "--yes").code == ExitCode.USAGE
    own_place.set(RECONCILER_PLAN_RETENTION="400d")
    assert "taken out of 1 record." in own_place.run("erase", "--old", "--yes").out


@pytest.mark.parametrize("options", [(), ("12345", "--old"), ("12345",)], ids=["nothing", "both", "nobody to ask"])
def test_wrong_usage_of_erase(place: Place, options: tuple[str, ...]) -> None:
    """What cannot be taken back is not guessed, and off a terminal not done without --yes."""
    assert place.run("erase", *options).code == ExitCode.USAGE


def test_at_a_terminal_it_asks(place: Place) -> None:
    """Only `yes` is yes."""
    made = place.plan()
    member = next(one.member for one in made.actions if one.member)
    done = in_terminal(place, "erase", member, answer="y\n")
    assert "Nothing was erased." in done.err
    assert PlanStore("plans").get_plan(made.id) == made
    done = in_terminal(place, "erase", member, answer="yes\n")
    assert "taken out of 1 record." in done.out
