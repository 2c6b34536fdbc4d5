"""The doctor's checks, one world each: from a good night on, one thing is changed, and its line says so."""

from __future__ import annotations

import csv
import socket
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from reconciler.core.health import Check, Status
from reconciler.doctor.around import Around
from reconciler.doctor.examine import line_of
from reconciler.doctor.facts import Deadline
from reconciler.runs.lock import Lease
from reconciler.settings import load_settings
from tests.cli.support import DEMO, TOKEN
from tests.cli.test_trouble import free_port
from tests.doctor.cases import ALL, CASES, NOT_LOOKED_AT, Case, positions_mirrored
from tests.doctor.guard import guarded
from tests.doctor.support import EVERYTHING, World, interrupt


def canaries() -> list[str]:
    """Every secret, and every name, e-mail and phone of the demo's members."""
    with (DEMO / "members.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = [row[column] for row in rows for column in ("firstname", "lastname", "email", "phone")]
    secrets = [text for text in EVERYTHING.values() if "canary" in text]
    return [TOKEN, *secrets, *(value for value in values if len(value) > 3)]


CANARIES = canaries()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_what_is_wrong_is_said_and_nothing_else(case: Case, world: World) -> None:
    """Exactly the lines of the case are not green; each says what it is; none holds a secret or a person's data."""
    case.change(world)
    found = world.look()
    assert [check.id for check in found.checks] == ALL
    wrong = {check.id: check for check in found.checks if check.status != "green"}
    lines = dict.fromkeys(case.waiting, ("amber", NOT_LOOKED_AT))
    lines |= {name: ("amber", says) for name, says in case.amber.items()}
    lines |= {name: ("red", says) for name, says in case.red.items()}
    assert {name: one.status for name, one in wrong.items()} == {name: one[0] for name, one in lines.items()}, wrong
    for name, (_, says) in lines.items():
        assert says in wrong[name].says
        assert wrong[name].next_step
    text = msgspec.json.encode(found).decode()
    assert [one for one in CANARIES if one in text] == []


def test_looking_changes_nothing(world: World) -> None:
    """No call of the doctor's has an effect, and no file is made."""
    before = sorted(path.name for path in world.place.folder.rglob("*"))
    world.look()
    assert world.place.effects() == []
    assert {path.name for path in world.place.folder.rglob("*")} - set(before) <= {
        "state.sqlite-shm",
        "state.sqlite-wal",
    }


def test_on_a_new_machine_nothing_is_made(world: World) -> None:
    """Not even the folder of the plans: what has never run is not red for that."""
    world.place.set(RECONCILER_PLANS="elsewhere")
    found = {check.id: check.status for check in world.look().checks}
    assert {name for name, status in found.items() if status != "green"} == {"plan", "last-success", "webhook"}
    assert "red" not in found.values()
    assert not (world.place.folder / "elsewhere").exists()


def test_silence_is_bounded(world: World) -> None:
    """Who accepts a connection and says nothing costs the time there is, once, and hides none of the others."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        world.place.set(INTERCOM_BASE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        world.seconds = 2.5
        began = datetime.now(UTC)
        found = {check.id: check for check in world.look().checks}
        assert datetime.now(UTC) - began < timedelta(seconds=9)
    assert (found["token"].status, found["token"].says) == ("red", "no answer within 2.5 seconds")
    waiting = {name for name, check in found.items() if check.says == NOT_LOOKED_AT}
    assert waiting == {"permissions", "attributes", "clock", "contacts"}
    assert {found[name].status for name in ("source", "plans", "state")} == {"green"}


@pytest.mark.parametrize(
    ("hours", "status", "says"),
    [(0.0, "green", "held by process 1 on night"), (3.1, "amber", "3 hours")],
)
def test_lock_that_is_held(hours: float, status: Status, says: str, world: World) -> None:
    """That somebody applies is as it should be, unless it takes far longer than a run does."""
    world.later = timedelta(hours=hours)
    with Lease(world.state, holder="process 1 on night"):
        found = {check.id: check for check in world.look().checks}
    assert found["lock"].status == status
    assert says in found["lock"].says


def test_run_under_way_is_not_interrupted(world: World) -> None:
    """Its plan is on the books, and the lock is held."""
    interrupt(world)
    with Lease(world.state, holder="process 1 on night"):
        found = {check.id: check for check in world.look().checks}
    assert found["interrupted"].status == "green"
    assert found["interrupted"].says.endswith("is being applied now")


@pytest.mark.parametrize(
    ("forbidden", "status", "says"),
    [
        (("PUT /contacts/",), "red", "the token may not write contacts. Intercom refused PUT /contacts/"),
        (("GET /data_attributes",), "red", "the token may not read attributes."),
        (("PUT /contacts/", "POST /contacts/search"), "red", "may not write contacts, nor search contacts."),
        (("POST /conversations/0",), "amber", "the token may not write notes."),
        (("GET /me",), "green", "kinds of calls that are needed are allowed"),
    ],
)
def test_scopes_that_are_missing(forbidden: tuple[str, ...], status: Status, says: str, world: World) -> None:
    """Red where the night needs them, amber where only the web service does; the others are asked all the same."""
    with guarded(world.place.simulator, *forbidden) as base_url:
        world.place.set(INTERCOM_BASE_URL=base_url)
        found = {check.id: check for check in world.look().checks}
    assert found["permissions"].status == status, found["permissions"]
    assert says in found["permissions"].says
    assert found["permissions"].next_step.startswith("Give the token this permission") == (status != "green")
    assert found["contacts"].status == "green"


def test_positions_that_are_stale(world: World) -> None:
    """The mirror's own night is missing, while that of the contacts is there."""
    positions_mirrored(world)
    world.later = timedelta(hours=27)
    found = {check.id: check for check in world.look().checks}
    assert found["positions"].status == "amber"
    assert "27 hours ago" in found["positions"].says


def test_state_that_does_not_outlive_the_machine(world: World) -> None:
    """Plans in a bucket and the state in a file here: another machine could not take up a run."""
    state = world.place.folder / "plans" / "state.sqlite"
    world.place.set(
        RECONCILER_PLANS="s3://bucket/plans",
        RECONCILER_STATE_URL=f"sqlite:///{state}",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="y",
    )
    world.seconds = 2.0
    found = {check.id: check for check in world.look().checks}
    assert found["state"].status == "amber"
    assert found["plans"].status == "red"


def test_fault_of_ours_is_a_line(world: World) -> None:
    """Its kind and place are shown and its text is not, and the other checks are there all the same."""
    settings = load_settings({}, dotenv=None)
    around = Around(settings, {}, now=datetime.now(UTC), deadline=Deadline(1.0))

    def fails(_: Around) -> Check:
        raise ValueError("cannot parse 'Ada Moreno'")

    line = line_of("clock", fails, around)
    assert (line.id, line.status) == ("clock", "red")
    assert "ValueError at test_examine.py:" in line.says
    assert "Ada" not in line.says
    assert world.look().status == "green"
