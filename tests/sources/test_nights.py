"""Whole nights, as tests/corpus/nights.yaml has them: the right plan, or the right refusal, and never half of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import pytest
import yaml

from reconciler.core.plan import Digest, Inputs, Plan, Summary
from reconciler.core.rules import Rules
from reconciler.errors import SourceError
from reconciler.sources import Source
from reconciler.sources.sql import open_sql
from tests.services.postgrest.server import Answer, Call, Counted, Cut, Fault, Slow
from tests.services.supabase import Project, project
from tests.services.worlds import Rows, write_mysql
from tests.sources.planning import planned
from tests.support.builders import default_rules

Manner: TypeAlias = Literal["ok", "slow", "down", "unreachable", "cut", "lying"]
FIRST = 100_000


class LastNight(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the last good run read."""

    members: int
    positions: int


class Night(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file, which explains them."""

    night: str
    source: Literal["supabase", "mariadb"]
    members: int
    positions: int
    gives: Literal["plan", "refused", "error"]
    says: str = ""
    last_night: LastNight | None = None
    page: int = 1000
    members_are: Manner = "ok"
    positions_are: Manner = "ok"
    meanwhile: Literal[
        "nothing", "a row comes", "a row goes", "one goes and one comes", "rows come and go all the time"
    ] = "nothing"
    create: int = 0
    archive: int = 0


FILE = Path(__file__).parents[1] / "corpus" / "nights.yaml"
NIGHTS = msgspec.convert(yaml.safe_load(FILE.read_text("utf-8")), list[Night])


def rules() -> Rules:
    """The rules as shipped, but for orphans, whose contacts are archived: the worst that a wrong night could do."""
    shipped = default_rules()
    orphans = msgspec.structs.replace(shipped.findings.orphan_contact, then="archive")
    return msgspec.structs.replace(shipped, findings=msgspec.structs.replace(shipped.findings, orphan_contact=orphans))


def rows(members: int, positions: int) -> tuple[Rows, Rows]:
    """So many members and positions."""
    return (
        [
            {
                "membernumber": str(number),
                "firstname": "Ann",
                "lastname": f"Lee{number}",
                "email": f"m{number}@example.org",
                "status": "Active",
                "membertypeid": 6,
                "region": "NEA",
                "facility": "ZNY",
            }
            for number in range(FIRST, FIRST + members)
        ],
        [{"membernumber": str(FIRST + at), "positioncode": "pres"} for at in range(positions)],
    )


def contacts(known: LastNight | None) -> list[dict[str, object]]:
    """The contacts of everybody of that night, just as they should be."""
    return (
        [
            {
                "id": f"c{number}",
                "role": "user",
                "external_id": str(number),
                "email": f"m{number}@example.org",
                "name": f"Ann Lee{number}",
                "custom_attributes": {
                    "member_number": str(number),
                    "region": "NEA",
                    "facility": "ZNY",
                    "member_type": "Current Member",
                    **({"positions": "NATCA President"} if number < FIRST + known.positions else {}),
                },
            }
            for number in range(FIRST, FIRST + known.members)
        ]
        if known is not None
        else []
    )


def plan_of_last_night(known: LastNight, source: str) -> Plan:
    """The record that is left of it."""
    return Plan(
        id="20261122T023000Z-8f3a1c5e",
        tool="reconciler",
        target="contacts",
        workspace="w",
        intercom_version="2.16",
        created_at="2026-11-22T02:30:00Z",
        expires_at="2026-11-23T02:30:00Z",
        applyable=True,
        refused_because=(),
        inputs=Inputs(
            Digest("0"),
            Digest("0", source=source, count=known.members),
            Digest("0", source=source, count=known.positions),
            Digest("0", count=known.members),
        ),
        summary=Summary(0, 0, 0, 0, 0, 0, 0, 0),
        limits=(),
        actions=(),
        findings=(),
    )


def answering(night: Night, made: Project) -> Callable[[Call], Fault | None]:
    """How the server answers in that night."""
    manners = {"members": night.members_are, "positions": night.positions_are}
    changes = Changes(night, made)

    def answer(call: Call) -> Fault | None:
        changes.before(call)
        match manners[call.table]:
            case "slow":
                return Slow(0.05)
            case "down":
                return Answer(503)
            case "cut":
                return Cut()
            case "lying":
                return Counted(getattr(night, call.table) + 1)
            case _:
                return None

    return answer


class Changes:
    """What becomes of the table while its pages are read: once before the second page, or before every page."""

    def __init__(self, night: Night, made: Project) -> None:
        self._night, self._made, self._done = night, made, 0

    def before(self, call: Call) -> None:
        """Change the table, where this is the moment."""
        if self._night.meanwhile == "nothing" or "gte" not in str(call.query) or call.table != "members":
            return
        always = self._night.meanwhile == "rows come and go all the time"
        if not self._done or always:
            self._done += 1
            come = (
                "INSERT INTO members (membernumber, firstname, lastname, email, status, membertypeid) VALUES "
                f"('{FIRST}-{self._done}', 'Bo', 'New', 'new{self._done}@example.org', 'Active', 6)"
            )
            go = "DELETE FROM members WHERE membernumber = (SELECT min(membernumber) FROM members)"
            comes = self._night.meanwhile != "a row goes"
            goes = self._night.meanwhile != "a row comes"
            self._made.shim.execute(*([go] if goes else []), *([come] if comes else []))


@contextmanager
def opened(night: Night, postgres_url: str, mariadb_url: str) -> Iterator[Source]:
    """The source of that night."""
    members, positions = rows(night.members, night.positions)
    if night.source == "mariadb":
        url = write_mysql(mariadb_url, members, positions)
        if night.members_are == "unreachable":
            url = "mysql://nobody@127.0.0.1:9/union"
        yield open_sql(url, rules().sources, shape="mysql", connect_seconds=1)
        return
    with project(postgres_url, members, positions, max_rows=night.page) as made:
        made.shim.hook = answering(night, made)
        if night.members_are != "unreachable":
            yield made.source()
    if night.members_are == "unreachable":
        yield made.source_at("http://127.0.0.1:9")


@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: night.night)
def test_night(night: Night, postgres_shared_url: str, mariadb_url: str) -> None:
    """C1 to C6: what came whole gives a plan, what did not gives none; and nothing destructive on half a union (C4)."""
    with opened(night, postgres_shared_url, mariadb_url) as source:
        known = night.last_night
        earlier = None if known is None else plan_of_last_night(known, source.name)
        if night.gives == "error":
            with pytest.raises(SourceError) as raised:
                planned(source, contacts(known), rules=rules(), earlier=earlier)
            assert night.says in str(raised.value)
            assert raised.value.next_step
            return
        made = planned(source, contacts(known), rules=rules(), earlier=earlier)
    counted = Counter(action.do for action in made.actions)
    if night.gives == "refused":
        assert not made.applyable
        assert night.says in "; ".join(made.refused_because)
        assert counted == {}
    else:
        assert (made.applyable, made.refused_because) == (True, ())
        assert counted == Counter({"create": night.create, "archive": night.archive}) + Counter()
        moved = {"a row comes": 1, "a row goes": -1}.get(night.meanwhile, 0)
        assert made.inputs.members.count == night.members + moved


def test_every_state_of_one_half_meets_every_state_of_the_other() -> None:
    """C4 asks for a matrix: {ok, empty, down, slow, partial} twice, and no cell is forgotten."""
    states = ("ok", "empty", "down", "slow", "partial")
    assert {night.night for night in NIGHTS} >= {f"{one} and {other}" for one in states for other in states}
