"""A union and a workspace after a good night, with every setting set: where each test of the doctor begins."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from dbos import DBOSClient

from reconciler.core.actions import Outcome
from reconciler.core.health import Health
from reconciler.core.plan import Plan
from reconciler.core.planner import finished
from reconciler.doctor import examine, unreadable
from reconciler.errors import SettingsError
from reconciler.runs.durable import WORKFLOW
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.settings import settings_to_examine
from reconciler.simulator import Simulator
from tests.cli.support import Place

EVERYTHING = {
    "INTERCOM_CLIENT_SECRET": "canary-client-secret-31",
    "RECONCILER_API_TOKEN": "canary-api-token-8a",
    "RECONCILER_NOTIFY": "json://127.0.0.1:9/canary-notify-44",
    "RECONCILER_HEARTBEAT_URL": "https://example.org/canary-heartbeat-90",
}
"""What a place of the tests does not set by itself."""


@dataclass
class Night:
    """What a good night left: its folder, and the workspace as seed lines."""

    folder: Path
    seed: tuple[bytes, ...]


def leave_night(place: Place) -> Night:
    """Two runs, the second of which finds nothing to do; and an event of the web service."""
    place.set(**EVERYTHING)
    for _ in range(2):
        done = place.shell("reconcile apply --auto-approve")
        assert done.code == 0, str(done)
    enqueue(place, "reconciler.event", "event-1")
    return Night(place.folder, tuple(place.simulator.dump_seed()))


def simulator_of(night: Night) -> Simulator:
    """Its workspace once more, for one test to change."""
    simulator = Simulator()
    simulator.seed(night.seed)
    return simulator


@dataclass
class World:
    """A place as the night left it. later: how long after now the doctor looks."""

    place: Place
    later: timedelta = timedelta()
    seconds: float = 10.0

    @property
    def store(self) -> PlanStore:
        """Its plans."""
        return PlanStore(str(self.place.folder / "plans"))

    @property
    def state(self) -> StateDatabase:
        """Its state database."""
        return StateDatabase(f"sqlite:///{self.place.folder / 'plans' / 'state.sqlite'}")

    def applied(self) -> str:
        """The id of a plan that was applied."""
        return next(one for one in self.store.list_ids() if self.store.has_outcome(one))

    def look(self) -> Health:
        """What the doctor finds."""
        now = datetime.now(UTC) + self.later
        try:
            settings, malformed = settings_to_examine()
        except SettingsError as error:
            return unreadable(error, now=now)
        return examine(settings, malformed, now=now, seconds=self.seconds)

    def sql(self, statement: str) -> None:
        """Change the union's database."""
        with closing(sqlite3.connect(self.place.folder / "union.db")) as connection, connection:
            connection.execute(statement)

    def put_plan(self, *, later: timedelta = timedelta(seconds=1), **changes: object) -> Plan:
        """Store a plan like the newest, but for `changes`, made so much later."""
        plan = self.store.get_plan(self.store.list_ids()[-1])
        made = datetime.fromisoformat(plan.created_at) + later
        fresh = {"created_at": f"{made:%Y-%m-%dT%H:%M:%SZ}", "previous": self.store.latest_digest()}
        plan = msgspec.structs.replace(plan, **(fresh | changes))
        plan = finished(plan, now=made)
        self.store.put_plan(plan)
        return plan

    def put_outcome(
        self, *, failed: int, done: int = 10, later: timedelta = timedelta(seconds=1), **changes: object
    ) -> None:
        """Store a plan, like the newest but for `changes`, and an outcome in which so many actions failed."""
        plan = self.put_plan(later=later, **changes)
        verdicts = [*["done"] * done, *["failed"] * failed]
        outcomes = tuple(
            Outcome(action=f"u-{number}", do="update", outcome=verdict)  # type: ignore[arg-type]  # one of two literals
            for number, verdict in enumerate(verdicts)
        )
        now = datetime.fromisoformat(plan.created_at)
        self.store.put_outcome(plan, outcomes, started_at=now, finished_at=now)


def make_world(place: Place, night: Night) -> World:
    """The place, filled with what the night left."""
    shutil.copytree(night.folder / "plans", place.folder / "plans")
    shutil.copy(night.folder / "union.db", place.folder)
    issued = datetime.now(UTC).date() - timedelta(days=10)
    place.set(**EVERYTHING, RECONCILER_SOURCE="sqlite:///union.db", INTERCOM_TOKEN_ISSUED=issued.isoformat())
    return World(place)


def enqueue(place: Place, name: str, workflow_id: str) -> None:
    """Put a workflow on the durable engine's books, as a process does that ends before it begins with it."""
    books = DBOSClient(system_database_url=f"sqlite:///{place.folder / 'plans' / 'state.sqlite'}")
    try:
        books.enqueue({"workflow_name": name, "queue_name": "waiting", "workflow_id": workflow_id})
    finally:
        books.destroy()


def delete_attribute(simulator: Simulator, name: str) -> None:
    """Somebody deletes an attribute in Intercom's own pages."""
    del simulator.world.attributes[simulator.world.attributes_by_name.pop(name).id]


def interrupt(world: World) -> None:
    """A run that was begun and is not at its end."""
    enqueue(world.place, WORKFLOW, world.store.list_ids()[-1].replace("20", "21", 1))
