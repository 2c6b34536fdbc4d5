from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from reconciler.simulator import Call, Fault, Options, RunningSimulator, Simulator, Workspace
from tests.cli.support import Place, seeded

QUIET = "Intercom Daily Sync Summary\n✅ Created: 0\n🔄 Updated: 0\n🗄️ Archived: 0\n❌ Failed: 0\n"
"""Of a night on which there was nothing to do."""

BLOCK = "Intercom Daily Sync Summary\n✅ Created: 1\n🔄 Updated: 6\n🗄️ Archived: 1\n❌ Failed: 0\n"
"""What the demo's union asks for, under the rules as shipped."""

PROMOTED = "64d0c0ffee00000000000105"
"""The contact of the demo that a plan promotes, and so reads again before it is written."""


def outcome_of(place: Place, made: Plan) -> RunOutcome:
    """What is stored of the run."""
    return PlanStore(str(place.folder / "plans")).get_outcome(made.id)


def save(place: Place, made: Plan, **changed: str) -> str:
    """The name of a file that holds the plan with other fields, sealed like any."""
    (place.folder / "other.json").write_bytes(plan_file.encode(msgspec.structs.replace(made, **changed)))
    return "other.json"


def test_apply_says_what_became_of_the_plan(own_place: Place, snapshot: SnapshotAssertion) -> None:
    """The counts, the next step, and the block that scripts grep for, byte for byte, at the end."""
    done = own_place.run("apply", own_place.plan().id)
    assert done.code == ExitCode.DONE
    assert done.out.endswith(f"\n\n{BLOCK}")
    assert own_place.plain(done) == snapshot
    assert own_place.run("plan").out.endswith("\nNo changes.\n")


def test_outcome_as_json_is_the_stored_file(own_place: Place) -> None:
    """`reconcile apply PLAN --json | jq` sees the very bytes that are stored."""
    made = own_place.plan()
    done = own_place.run("apply", made.id, "--json")
    assert done.out.encode() == outcome_file.encode(outcome_of(own_place, made))
    assert json.loads(done.out)["summary"] == {"done": 8, "stale": 0, "held": 0, "failed": 0, "unknown": 0}


def test_plan_is_applied_once(own_place: Place) -> None:
    """A second apply of the same plan makes no call at all, and is no error: a retried job must not turn red."""
    made = own_place.plan()
    own_place.run("apply", made.id)
    calls = len(own_place.simulator.calls)
    done = own_place.run("apply", made.id)
    assert (done.code, done.out) == (ExitCode.DONE, "")
    assert done.err == f"Plan {made.id} was applied already. Nothing was written.\n"
    assert len(own_place.simulator.calls) == calls


def test_plan_from_a_file_is_stored_with_its_outcome(own_place: Place) -> None:
    """A plan that was made elsewhere leaves the same records as one made here."""
    made = own_place.plan("--out", "copy.json")
    own_place.set(RECONCILER_PLANS="elsewhere")
    assert own_place.run("apply", "copy.json").code == ExitCode.DONE
    records = {path.name for path in (own_place.folder / "elsewhere").glob("*.json")}
    assert records == {f"{made.id}.json", f"{made.id}.outcome.json"}


def test_without_a_plan_nobody_can_be_asked_off_a_terminal(place: Place) -> None:
    """A job that forgot the plan must not write whatever it finds."""
    calls = len(place.simulator.calls)
    done = place.run("apply")
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert "--auto-approve" in done.err
    assert len(place.simulator.calls) == calls


def test_auto_approve_plans_and_applies(own_place: Place) -> None:
    """The nightly job in one command: the plan and its outcome on stdout, and the same block at the end."""
    done = own_place.run("apply", "--auto-approve")
    assert done.code == ExitCode.DONE
    assert done.out.startswith("Plan ")
    assert done.out.endswith(BLOCK)
    again = own_place.run("apply", "--auto-approve")
    assert again.code == ExitCode.DONE
    assert again.out.endswith(f"No changes.\n\n{QUIET}")


def test_auto_approve_takes_the_options_of_plan(own_place: Place) -> None:
    """A canary of one member, applied at once."""
    assert own_place.run("apply", "--auto-approve", "--only", "100117").code == ExitCode.DONE
    assert [call.method for call in own_place.effects()] == ["POST"]


# Plans that must not run


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data.replace(b'"Quentin Duarte"', b'"Quentin Duarto"'), "was changed after it was written"),
        (lambda data: data[:-1], "was changed after it was written"),
        (lambda data: data[: len(data) // 2], "is not a plan"),
        (lambda data: data + b" ", "was changed after it was written"),
        (lambda data: data.replace(b"reconciler.plan/1", b"reconciler.plan/2"), "has format 'reconciler.plan/2'"),
        (lambda data: data.replace(b'"target": "contacts"', b'"target": "contacts", "x": 1'), "is not a plan"),
        (lambda data: data.replace(b'"applyable": true', b'"applyable": 1'), "is not a plan"),
        (lambda _: b"", "is not a plan"),
        (lambda _: b"\xff\xfe\x00", "is not a plan"),
    ],
    ids=["one byte", "last byte cut", "tail cut", "a blank more", "format", "field", "type", "empty", "no text"],
)
def test_damaged_plan_is_refused_before_any_call(damage: Callable[[bytes], bytes], says: str, place: Place) -> None:
    """What was reviewed is what runs, or nothing does."""
    data = plan_file.encode(place.plan())
    assert damage(data) != data
    (place.folder / "bad.json").write_bytes(damage(data))
    calls = len(place.simulator.calls)
    done = place.run("apply", "bad.json")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert f"bad.json {says}" in done.err
    assert "Duart" not in done.err
    assert len(place.simulator.calls) == calls


def test_expired_plan_is_refused(place: Place) -> None:
    """After its lifetime the world has moved on: exit 3 and the next step, before any call."""
    made = place.plan()
    created, expired = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    name = save(place, made, created_at=created, expires_at=expired)
    calls = len(place.simulator.calls)
    done = place.run("apply", name)
    assert (done.code, done.out) == (ExitCode.HELD, "")
    assert f"expired at {expired}" in done.err
    assert "Make a new plan" in done.err
    assert len(place.simulator.calls) == calls


def test_refused_plan_is_refused_again(place: Place) -> None:
    """What a source guard stopped cannot be pushed through by naming it."""
    place.plan()
    place.new_members(5)
    made = place.plan()
    assert not made.applyable
    done = place.run("apply", made.id)
    assert (done.code, done.out) == (ExitCode.HELD, "")
    assert "is not applyable" in done.err


def test_plan_for_another_workspace_is_refused(place: Place) -> None:
    """A token of the wrong workspace must not receive this one's members."""
    made = place.plan()
    other = Simulator(Options(workspace=Workspace(id="another")))
    with RunningSimulator(other) as server:
        place.set(INTERCOM_BASE_URL=server.base_url)
        done = place.run("apply", made.id)
    assert (done.code, done.out) == (ExitCode.HELD, "")
    assert "made for workspace simulated, but the token opens another" in done.err
    assert not [call for call in other.calls if call.effect]


def test_damaged_newest_record_stops_an_apply_before_it_writes(own_place: Place) -> None:
    """An outcome must follow the record before it, so where that is damaged nothing may be written at all."""
    made = own_place.plan("--out", "copy.json")
    path = own_place.folder / "plans" / f"{own_place.plan().id}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    done = own_place.run("apply", "copy.json")
    assert done.code == ExitCode.ERROR
    assert path.name in done.err
    assert own_place.effects() == []
    path.write_bytes(whole)
    assert own_place.run("apply", "copy.json").code == ExitCode.DONE
    assert outcome_of(own_place, made).summary.done == 8


def test_a_stored_plan_that_was_edited_and_sealed_anew_writes_nothing(own_place: Place) -> None:
    """Its digest fits its content, but the chain holds that of the plan that was stored."""
    made = own_place.plan()
    edited = msgspec.structs.replace(made, intercom_version="2.17")
    own_place.plan()  # so that it is not the newest record, which is looked at in any case
    (own_place.folder / "plans" / f"{made.id}.json").write_bytes(plan_file.encode(edited))
    done = own_place.run("apply", made.id)
    assert done.code == ExitCode.ERROR
    assert "it was changed, and sealed anew" in done.err
    assert own_place.effects() == []


def test_forged_plan_under_a_stored_id_writes_nothing(own_place: Place) -> None:
    """Its outcome could not be stored beside the plan that has that id, so it does not run."""
    made = own_place.plan()
    name = save(own_place, made, tool="reconciler 0.0.0")
    done = own_place.run("apply", name)
    assert done.code == ExitCode.ERROR
    assert "exists already with other content" in done.err
    assert own_place.effects() == []
    assert own_place.run("apply", made.id).code == ExitCode.DONE


# Paused


def test_paused_by_the_environment(place: Place) -> None:
    """RECONCILER_PAUSED is obeyed without a single call, and planning goes on."""
    place.set(RECONCILER_PAUSED="true")
    made = place.plan()
    calls = len(place.simulator.calls)
    done = place.run("apply", made.id)
    assert (done.code, done.out) == (ExitCode.PAUSED, "")
    assert "RECONCILER_PAUSED" in done.err
    assert place.run("apply", "--auto-approve").code == ExitCode.PAUSED
    assert len(place.simulator.calls) == calls


def test_paused_by_the_command(own_place: Place) -> None:
    """`reconcile pause` holds until `reconcile resume`, and says why to whoever runs into it."""
    made = own_place.plan()
    assert own_place.run("pause", "--reason", "support moves house").code == ExitCode.DONE
    assert "support moves house" in own_place.run("pause").out
    calls = len(own_place.simulator.calls)
    done = own_place.run("apply", made.id)
    assert (done.code, done.out) == (ExitCode.PAUSED, "")
    assert "support moves house" in done.err
    assert len(own_place.simulator.calls) == calls
    assert own_place.run("resume").out == "Resumed.\n"
    assert own_place.run("resume").out == "Nothing was paused.\n"
    assert own_place.run("apply", made.id).code == ExitCode.DONE


# In part


def test_contact_edited_after_the_plan_is_left_alone(own_place: Place, snapshot: SnapshotAssertion) -> None:
    """Exactly that action is stale, the others are done, and exit 4 says so."""
    made = own_place.plan()
    own_place.change_name(PROMOTED, "Somebody Else")
    done = own_place.run("apply", made.id)
    assert done.code == ExitCode.PARTIAL
    assert own_place.plain(done) == snapshot
    run = outcome_of(own_place, made)
    assert [one.contact for one in run.outcomes if one.outcome == "stale"] == [PROMOTED]
    assert run.summary.done == len(made.actions) - 1


def test_old_plan_reads_every_contact_before_it_writes(own_place: Place) -> None:
    """Later than a quarter of an hour after the plan, plain updates are checked too."""
    made = own_place.plan()
    earlier = datetime.fromisoformat(made.created_at) - timedelta(hours=1)
    name = save(own_place, made, id="20260101T000000Z-00000000", created_at=f"{earlier:%Y-%m-%dT%H:%M:%SZ}")
    edited = "64d0c0ffee00000000000103"
    own_place.change_name(edited, "Somebody Else")
    done = own_place.run("apply", name)
    assert done.code == ExitCode.PARTIAL
    stored = PlanStore("plans").get_outcome("20260101T000000Z-00000000")
    assert [one.contact for one in stored.outcomes if one.outcome == "stale"] == [edited]


def test_token_revoked_in_the_middle(make_place: Callable[[Simulator], Place]) -> None:
    """Nothing more is sent with a token that is not accepted; what is left is held, with the reason."""
    simulator = Simulator()
    place = make_place(simulator)
    place.new_members(20)
    made = place.plan()

    def revoke(call: Call, phase: str) -> Fault | None:
        if phase == "after" and call.method == "POST" and sum(one.effect for one in simulator.calls) == 4:
            simulator.options = replace(simulator.options, token="another")
        return None

    simulator.hook = revoke
    done = place.run("apply", made.id, "--max-parallel", "1")
    assert done.code == ExitCode.PARTIAL
    assert Counter(one.outcome for one in outcome_of(place, made).outcomes) == {"done": 5, "failed": 1, "held": 14}
    assert "Held: 14" in done.out
    assert sum(call.status == 401 for call in simulator.calls) == 1


def test_calls_that_fail_leave_with_4(make_place: Callable[[Simulator], Place]) -> None:
    """A contact that Intercom refuses is failed, told with its request id, and counted in the block."""
    simulator = seeded()
    place = make_place(simulator)
    place.demo_union()
    made = place.plan()
    simulator.seed([b'{"role": "user", "external_id": "100117", "email": "quentin@example.net", "_blocked": true}'])
    done = place.run("apply", made.id)
    assert done.code == ExitCode.PARTIAL
    assert done.out.endswith("✅ Created: 0\n🔄 Updated: 6\n🗄️ Archived: 1\n❌ Failed: 1\n")
    assert "quentin" not in done.out + done.err
