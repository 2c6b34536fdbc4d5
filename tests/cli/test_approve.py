from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reconciler.core.plan import Plan, encode
from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from tests.cli.support import Done, Place


@pytest.fixture
def strict(own_place: Place) -> Place:
    """A place whose rules want an approval for archives."""
    limits = own_place.own_rules() / "limits.yaml"
    limits.write_text(limits.read_text("utf-8").replace("approval: []", "approval: [archive, merge]"), "utf-8")
    return own_place


def archives(made: Plan) -> int:
    """How many there are in a plan."""
    return sum(action.do == "archive" for action in made.actions)


def approve(place: Place, made: Plan, count: int, *options: str) -> Done:
    """Approve the archives of a plan."""
    wanted = ("--by", "Ann Lee", "--class", f"archive={count}", "--reason", "agreed on Monday")
    return place.run("approve", made.id, *wanted, *options)


def test_a_class_without_its_approval_is_held_and_the_rest_runs(strict: Place) -> None:
    """The exit code is 3, and the command that approves is named; nothing that was held was sent."""
    made = strict.plan()
    assert archives(made) > 0
    done = strict.run("apply", made.id)
    assert done.code == ExitCode.HELD
    assert f"Held: {archives(made)} to archive need an approval" in done.err
    assert f"reconcile approve {made.id} --by NAME --class archive={archives(made)} --reason TEXT" in done.err
    outcome = PlanStore("plans").get_outcome(made.id)
    held = {one.action for one in outcome.outcomes if one.outcome == "held"}
    assert {action.id for action in made.actions if action.do == "archive"} <= held
    assert outcome.summary.done > 0
    assert not [call for call in strict.effects() if call.method == "POST" and call.path.endswith("/archive")]


def test_an_approved_plan_runs_whole(strict: Place) -> None:
    """Approved with its number, the class runs; the approval stands in the chain between plan and outcome."""
    made = strict.plan()
    done = approve(strict, made, archives(made))
    assert (done.code, done.err) == (ExitCode.DONE, "")
    assert f"{archives(made)} to archive, of plan {made.id}" in done.out
    assert strict.run("apply", made.id).code == ExitCode.DONE
    assert strict.run("verify").out.startswith("All 3 records are as written")
    assert [given.by for given in PlanStore("plans").approvals_of(made.id)] == ["Ann Lee"]


def test_the_number_must_be_that_of_the_plan(strict: Place) -> None:
    """Whoever approves has looked: another number is refused, with what to read."""
    made = strict.plan()
    done = approve(strict, made, archives(made) + 1)
    assert done.code == ExitCode.HELD
    assert f"has {archives(made)} to archive, not {archives(made) + 1}" in done.err
    assert f"reconcile show {made.id}" in done.err
    assert PlanStore("plans").approvals_of(made.id) == ()


def test_a_plan_that_was_edited_after_its_approval_is_refused(strict: Place) -> None:
    """The approval is for the digest: the plan with one value changed and sealed anew writes nothing."""
    made = strict.plan()
    approve(strict, made, archives(made))
    edited = msgspec.structs.replace(made, workspace=made.workspace, intercom_version="2.17")
    (strict.folder / "plans" / f"{made.id}.json").write_bytes(encode(edited))
    done = strict.run("apply", made.id)
    assert done.code == ExitCode.HELD
    assert "is not the one that was approved" in done.err
    assert strict.effects() == []


def test_an_approval_that_is_not_in_the_chain_is_none(strict: Place) -> None:
    """A file that was copied in beside the plan does not release anything."""
    made = strict.plan()
    approve(strict, made, archives(made))
    (given,) = Path("plans").glob("*.approval-*.json")
    data = given.read_bytes()
    (strict.folder / "plans").rename(strict.folder / "elsewhere")
    PlanStore("plans").put_plan(made)
    Path("plans", given.name).write_bytes(data)
    assert strict.run("apply", made.id).code == ExitCode.HELD


def test_a_plan_of_which_nothing_may_run_is_not_used_up(strict: Place) -> None:
    """A plan is applied once: where all of it waits for an approval it is refused, and can still be approved."""
    made = strict.plan("--rule", "archive-duplicates")
    assert {action.do for action in made.actions} == {"archive"}
    done = strict.run("apply", made.id)
    assert done.code == ExitCode.HELD
    assert f"reconcile approve {made.id}" in done.err.splitlines()[-1]
    assert strict.effects() == []
    approve(strict, made, archives(made))
    assert strict.run("apply", made.id).code == ExitCode.DONE


def test_a_plan_that_was_applied_is_not_approved(strict: Place) -> None:
    """It would promise what no longer happens."""
    made = strict.plan()
    strict.run("apply", made.id)
    done = approve(strict, made, archives(made))
    assert done.code == ExitCode.HELD
    assert "was applied already" in done.err


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("no such class", ("--class", "archve=1", "--reason", "x")),
        ("no number", ("--class", "archive", "--reason", "x")),
        ("no reason", ("--class", "archive=1", "--reason", " ")),
        ("two lines", ("--class", "archive=1", "--reason", "a\nb")),
        ("no class", ("--reason", "x")),
    ],
)
def test_wrong_usage_of_approve(place: Place, reason: str, options: tuple[str, ...]) -> None:
    """Nothing is approved by half a command."""
    made = place.plan()
    assert place.run("approve", made.id, "--by", "Ann Lee", *options).code == ExitCode.USAGE, reason


def test_without_a_word_in_the_rules_nothing_waits(own_place: Place) -> None:
    """By default no class needs an approval."""
    made = own_place.plan()
    assert own_place.run("apply", made.id).code == ExitCode.DONE
