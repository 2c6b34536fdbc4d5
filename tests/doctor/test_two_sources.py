"""Contacts from Supabase, and positions brought there from the union's own MySQL: the doctor asks both."""

from __future__ import annotations

import csv
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.cli.support import DEMO
from tests.cli.test_trouble import free_port
from tests.doctor.cases import NOT_LOOKED_AT
from tests.doctor.support import World
from tests.services.postgres import write_postgres
from tests.services.postgrest.server import SERVICE_KEY, Shim
from tests.services.worlds import connect_mysql, write_mysql

CHECK = "positions-source"


def rows(name: str) -> list[dict[str, Any]]:
    """A table of the demo's union."""
    with (DEMO / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@dataclass
class Two:
    """A world after a good night whose source is a Supabase project, and the MySQL whose positions it mirrors."""

    world: World
    mysql: str

    def sql(self, statement: str) -> None:
        """Change the union's own database."""
        with connect_mysql(self.mysql) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            connection.commit()

    def set(self, **values: str | None) -> None:
        """Set variables, or with None unset them."""
        self.world.place.set(**values)

    def mirrored(self) -> None:
        """The positions' night has run, and read all of MySQL."""
        inputs = self.world.store.get_plan(self.world.store.list_ids()[-1]).inputs
        members = msgspec.structs.replace(inputs.members, source="mysql")
        self.world.put_plan(target="positions", inputs=msgspec.structs.replace(inputs, members=members))


@pytest.fixture
def two(world: World, postgres_url: str, mariadb_url: str) -> Iterator[Two]:
    """Both databases hold the demo's union."""
    members, positions = rows("members.csv"), rows("positions.csv")
    write_mysql(mariadb_url, members, positions)
    with Shim(write_postgres(postgres_url, members, positions)) as project:
        world.place.set(
            RECONCILER_SOURCE="supabase",
            SUPABASE_URL=project.base_url,
            SUPABASE_KEY=SERVICE_KEY,
            MYSQL_URL=mariadb_url,
        )
        yield Two(world, mariadb_url)


class Case(NamedTuple):
    """One change, and what the check says then; the lines of the others that are not green are in `also`."""

    reason: str
    change: Callable[[Two], object]
    says: str
    status: str = "red"
    step: str = ""
    """A part of the next step."""
    also: Mapping[str, str] = {}
    """Id → a part of what it says."""
    waiting: Sequence[str] = ()


def a_member_left(two: Two) -> None:
    """After a night that read all of them."""
    two.mirrored()
    two.sql("DELETE FROM member WHERE membernumber = '100102'")


CASES = [
    Case("both are well", lambda _: None, "17 members and 4 positions from mysql", "green"),
    Case("no other is set", lambda two: two.set(MYSQL_URL=None), "none besides `source`", "green"),
    Case(
        "it is not there",
        lambda two: two.set(MYSQL_URL=f"mysql://u:p@127.0.0.1:{free_port()}/union"),
        "nothing answers there",
        step="MYSQL_*",
    ),
    Case(
        "a column was renamed",
        lambda two: two.sql("ALTER TABLE position CHANGE positioncode code VARCHAR(20)"),
        "table position has no column positioncode",
        step="under `mysql:` in rules/sources.yaml",
    ),
    Case(
        "nobody holds an office",
        lambda two: two.sql("DELETE FROM position"),
        "17 members and 0 positions from mysql: nothing is deleted on its word",
        step="Look at the table of positions",
    ),
    Case("it is empty", lambda two: two.sql("DELETE FROM member"), "mysql answers, and has no members at all"),
    Case(
        "one of 17 is gone",
        a_member_left,
        "94.1% of the 17 of plan",
        step="`reconcile plan --target positions --accept members=16 --reason TEXT`",
    ),
    Case(
        "a part of it is not set",
        lambda two: two.set(MYSQL_URL=None, MYSQL_HOST="127.0.0.1", MYSQL_USER="u", MYSQL_DATABASE="union"),
        "MYSQL_PASSWORD is not set",
    ),
    Case(
        "its port is none",
        lambda two: two.set(MYSQL_PORT="many"),
        NOT_LOOKED_AT,
        "amber",
        step="see to `settings` first",
        also={"settings": "MYSQL_PORT is malformed"},
        waiting=["source", "source-age", "contacts"],
    ),
    Case(
        "the mirror's key is not set",
        lambda two: two.set(SUPABASE_KEY=None),
        NOT_LOOKED_AT,
        "amber",
        also={"settings": "SUPABASE_KEY is not set"},
        waiting=["source", "source-age", "contacts"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_the_source_of_the_positions_has_a_line_of_its_own(case: Case, two: Two) -> None:
    """It says what is wrong there, and no other line is troubled by it."""
    case.change(two)
    found = {check.id: check for check in two.world.look().checks}
    line = found.pop(CHECK)
    assert (line.status, bool(line.next_step)) == (case.status, case.status != "green"), line
    assert case.says in line.says
    assert case.step in line.next_step
    wrong = {name: check.says for name, check in found.items() if check.status != "green"}
    assert set(wrong) == {*case.also, *case.waiting}, wrong
    assert all(said in wrong[name] for name, said in case.also.items())


def test_one_that_is_silent_is_told_apart(two: Two) -> None:
    """It costs the time there is, once; the mirror, which is well, is green."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        two.set(MYSQL_URL=f"mysql://u:p@127.0.0.1:{silent.getsockname()[1]}/union")
        two.world.seconds = 3.0
        began = datetime.now(UTC)
        found = {check.id: check for check in two.world.look().checks}
        assert datetime.now(UTC) - began < timedelta(seconds=9)
    assert (found[CHECK].status, found[CHECK].says) == ("red", "no answer within 3 seconds")
    assert found["source"].says == "17 members and 4 positions from supabase"


def test_one_source_for_both_is_read_once(world: World) -> None:
    """Where the union's own database feeds contacts and positions, there is no other to ask."""
    world.place.set(SUPABASE_URL="https://union.supabase.test", SUPABASE_KEY=SERVICE_KEY)
    found = {check.id: check for check in world.look().checks}
    assert (found[CHECK].status, found[CHECK].says) == ("green", "none besides `source`")
    assert found["source"].says == "17 members and 4 positions from sqlite"
