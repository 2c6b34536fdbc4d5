"""Before and after an apply: trying it on a copy, and taking it back."""

from __future__ import annotations

from tests.cli.support import Place


def test_rehearsal_changes_nothing_and_leaves_nothing(own_place: Place) -> None:
    """The copy is brought in line, Intercom is only read, and the last line says what an apply would leave."""
    made = own_place.plan()
    effects = [call for call in own_place.simulator.calls if call.effect]
    done = own_place.run("rehearse", made.id)
    assert done.code == 0, done
    assert f"{len(made.actions)} of {len(made.actions)} actions done" in done.out
    assert done.out.splitlines()[-1] == "No changes."
    assert [call for call in own_place.simulator.calls if call.effect] == effects


def test_rehearsal_of_a_workspace_that_moved_says_so(own_place: Place) -> None:
    """What is rehearsed is the plan on the workspace of now, which may be another one than it was made for."""
    made = own_place.plan()
    own_place.simulator.seed([b'{"role": "lead", "email": "somebody.new@example.net"}'])
    done = own_place.run("rehearse", made.id)
    assert "The workspace has changed since the plan was made." in done.out


def test_undo_is_a_plan_that_is_applied_like_any_other(own_place: Place) -> None:
    """What can be taken back is; what cannot is for review; nothing is written before somebody applies it."""
    made = own_place.plan()
    assert own_place.run("apply", made.id).code == 0
    effects = len([call for call in own_place.simulator.calls if call.effect])
    done = own_place.run("undo", made.id, "--out", "back.json")
    assert done.code == 0, done
    assert "cannot be taken back" in done.out
    assert len([call for call in own_place.simulator.calls if call.effect]) == effects
    assert own_place.run("apply", "back.json").code == 0
    again = own_place.plan()
    assert {action.do for action in again.actions} >= {"create", "update", "archive"}


def test_undo_of_a_plan_that_was_never_applied(own_place: Place) -> None:
    """There is nothing to take back, and the message says what there is."""
    made = own_place.plan()
    done = own_place.run("undo", made.id)
    assert done.code == 1
    assert made.id in done.err
