"""A conversation that a member opens between the plan and its apply is not hidden by an archive."""

from __future__ import annotations

import json

from reconciler.core.actions import Action
from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from tests.cli.support import Place


def archive_in_question(place: Place) -> tuple[str, Action]:
    """A plan, and its archive of a contact that opens a conversation once the plan is made."""
    made = place.plan()
    archive = next(action for action in made.actions if action.do == "archive")
    place.simulator.seed([json.dumps({"_conversation": {"contacts": [archive.contact]}}).encode()])
    return made.id, archive


def live(place: Place) -> set[str]:
    """The ids of all live contacts."""
    return {one["id"] for one in json.loads(place.simulator.state_json())["live"]}


def test_opened_since_the_plan_was_made(own_place: Place) -> None:
    """The archive is stale and says how many it would hide; what waits for it is held, and the rest is done."""
    plan, archive = archive_in_question(own_place)
    done = own_place.run("apply", plan)
    assert done.code == ExitCode.PARTIAL, str(done)
    run = PlanStore(str(own_place.folder / "plans")).get_outcome(plan)
    (stale,) = [one for one in run.outcomes if one.outcome == "stale"]
    assert (stale.action, stale.code) == (archive.id, "open_conversation")
    assert stale.says == f"Contact {archive.contact} is not archived, which would hide 1 open conversation by now."
    assert stale.sent == {}
    assert {one.says for one in run.outcomes if one.outcome == "held"} <= {f"waits for {archive.id}, which is stale"}
    assert run.summary.done > 0
    assert archive.contact in live(own_place)
    again = own_place.plan()
    assert archive.contact not in {action.contact for action in again.actions if action.do == "archive"}


def test_where_the_rules_make_no_exception(own_place: Place) -> None:
    """`unless: nothing` archives it all the same, as it would have been planned so."""
    findings = own_place.own_rules() / "findings.yaml"
    findings.write_text(findings.read_text("utf-8").replace("unless: open_conversation", "unless: nothing"), "utf-8")
    plan, archive = archive_in_question(own_place)
    done = own_place.run("apply", plan)
    assert done.code == ExitCode.DONE, str(done)
    assert archive.contact not in live(own_place)
