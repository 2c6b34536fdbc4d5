"""A batch of the night beside the web service: what is claimed is waited for, and what was touched is read first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import Target, Workspace, silent
from reconciler.core.plan import Plan
from reconciler.runs.apply import Run, Stop
from reconciler.runs.claims import NIGHT, Claims
from reconciler.runs.state import StateDatabase
from tests.report.plans import make_plan


class Writer:
    """Does everything at once, and remembers whether it was to read first."""

    def __init__(self) -> None:
        self.sent: dict[str, bool] = {}

    async def workspace(self) -> Workspace:
        """Some workspace."""
        return Workspace(id="w", name="w", timezone="UTC", admin_id="1")

    async def prepare(self, actions: Sequence[Action]) -> None:
        """Nothing keeps any of them from being written."""

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """Done."""
        self.sent[action.id] = reread
        return Outcome(action.id, action.do, "done", contact=action.contact, member=action.member)

    async def look(self, action: Action) -> Outcome:
        """Never asked."""
        raise AssertionError(action.id)


UPDATE = Action("u-1", "update", "c1", member="1", set={"name": "Ann"})
OTHER = Action("u-2", "update", "c2", member="2", set={"name": "Bob"})


def plan(*actions: Action, target: Target = "contacts") -> Plan:
    """Two plain updates, or these actions, planned just now."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    made = make_plan(actions=actions or (UPDATE, OTHER), created_at=now, limits=(), target=target)
    contacts = msgspec.structs.replace(made.inputs.actual, read_at=now)
    return msgspec.structs.replace(made, inputs=msgspec.structs.replace(made.inputs, contacts=contacts))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[StateDatabase]:
    """A state database of this test's own."""
    opened = StateDatabase(f"sqlite:///{tmp_path / 'state.sqlite'}")
    yield opened
    opened.close()


class Sleeper:
    """Counts sleeps; at one of them the web service lets go."""

    def __init__(self, claims: Claims, at: int | None) -> None:
        self.slept = 0
        self._claims = claims
        self._at = at

    async def sleep(self, _seconds: float) -> None:
        """At once."""
        self.slept += 1
        if self.slept == self._at:
            self._claims.give_up()


def night(
    database: StateDatabase,
    sleeper: Sleeper | None = None,
    *,
    made: Plan | None = None,
    stop: Stop = lambda: None,
) -> tuple[Writer, dict[str, Outcome]]:
    """Apply the plan."""
    claims = Claims(database, holder=NIGHT, sleep=asyncio.sleep if sleeper is None else sleeper.sleep)
    run = Run(
        made or plan(),
        now=lambda: datetime.now(UTC),
        max_parallel=2,
        progress=silent,
        stop=stop,
        claims=claims,
    )
    writer = Writer()
    asyncio.run(run.everything(writer))
    return writer, run.outcomes


def test_nobody_else_is_there(database: StateDatabase) -> None:
    """A young plan's plain updates are sent without a read, as ever; and afterwards everything is free."""
    writer, _ = night(database)
    assert writer.sent == {"u-1": False, "u-2": False}
    assert Claims(database, holder="event e").take_all(["c1", "c2", "member 1"]) is not None


@pytest.mark.parametrize("name", ["c1", "member 1"])
def test_what_the_service_has_is_waited_for(database: StateDatabase, name: str) -> None:
    """The other goes on; this one is read first, as it was touched."""
    web = Claims(database, holder="event e", touches=True)
    web.take([name])
    sleeper = Sleeper(web, at=3)
    writer, outcomes = night(database, sleeper)
    assert sleeper.slept == 3
    assert writer.sent == {"u-2": False, "u-1": True}
    assert list(writer.sent) == ["u-2", "u-1"]
    assert {one.outcome for one in outcomes.values()} == {"done"}


def test_rows_of_the_positions_table_are_claimed_by_nobody(database: StateDatabase) -> None:
    """The service writes contacts only, so what it does with a member's contact holds up none of the member's rows."""
    Claims(database, holder="event e", touches=True).take(["member 1"])
    sleeper = Sleeper(Claims(database, holder="event e"), at=None)
    row = Action("c-1", "create", member="1", set={"member_number": "1", "code": "pres"}, row="1/pres")
    _, outcomes = night(database, sleeper, made=plan(row, target="positions"))
    assert (outcomes["c-1"].outcome, sleeper.slept) == ("done", 0)


def test_it_is_not_waited_for_ever(database: StateDatabase) -> None:
    """Held, with the reason; the next night finds it."""
    web = Claims(database, holder="event e", touches=True)
    web.take(["c1"])
    writer, outcomes = night(database, Sleeper(web, at=None))
    assert list(writer.sent) == ["u-2"]
    assert outcomes["u-1"].outcome == "held"
    assert outcomes["u-1"].says == "the web service is at work on this contact"


def test_a_run_that_is_stopped_does_not_wait_for_it(database: StateDatabase) -> None:
    """SIGTERM and a pause are obeyed at once, not when the service lets go."""
    Claims(database, holder="event e", touches=True).take(["c1"])
    sleeper = Sleeper(Claims(database, holder="event e"), at=None)
    writer, outcomes = night(database, sleeper, stop=lambda: "paused" if sleeper.slept == 2 else None)
    assert sleeper.slept == 2
    assert list(writer.sent) == ["u-2"]
    assert (outcomes["u-1"].outcome, outcomes["u-1"].says) == ("held", "paused")


def test_claims_that_cannot_be_told(database: StateDatabase, tmp_path: Path) -> None:
    """Nobody knows who writes what: nothing is sent, and nothing breaks off."""
    Claims(database, holder="x").take(["c9"])
    (tmp_path / "state.sqlite").rename(tmp_path / "moved.sqlite")
    writer, outcomes = night(database)
    assert writer.sent == {}
    assert {one.outcome for one in outcomes.values()} == {"held"}
    assert "could not be claimed" in outcomes["u-1"].says
