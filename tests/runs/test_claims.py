"""Claims on contacts, on both databases: nobody writes what another writes, and nobody waits for the dead for long."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from reconciler.core.actions import Action
from reconciler.runs.claims import KEPT, NIGHT, Claims, names_of
from reconciler.runs.state import StateDatabase
from tests.runs.conftest import NewState


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a state database that nobody has used."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.sqlite'}"
    new_state: NewState = request.getfixturevalue("new_state")
    return new_state()


@pytest.fixture
def database(url: str) -> Iterator[StateDatabase]:
    """The database."""
    opened = StateDatabase(url)
    yield opened
    opened.close()


def event(database: StateDatabase, name: str, *, seconds: float = 60.0) -> Claims:
    """The claims of an event of the web service."""
    return Claims(database, holder=f"event {name}", touches=True, seconds=seconds)


def test_what_another_has_is_not_had(database: StateDatabase) -> None:
    """The night gets what is free; an event gets all that it wants, or nothing."""
    night, web = Claims(database, holder=NIGHT), event(database, "e1")
    assert web.take_all(["c1", "member 1001"]) is not None
    assert night.take(["c0", "c1", "c2"]).names == {"c0", "c2"}
    assert event(database, "e2").take_all(["c2", "c9"]) is None
    assert night.take(["c9"]).names == {"c9"}
    web.give_up()
    assert night.take(["c1"]).names == {"c1"}


def test_one_may_claim_again_what_one_has(database: StateDatabase) -> None:
    """Whoever takes an event or a run up after a crash has the same name, and need not wait."""
    assert event(database, "e1").take_all(["c1"]) is not None
    assert event(database, "e1").take_all(["c1", "c2"]) is not None


def test_a_claim_ends_by_itself(database: StateDatabase) -> None:
    """A dead holder keeps nobody waiting for ever; one that was asleep may not write any more."""
    now = [0.0]
    dead = Claims(database, holder="event dead", touches=True, seconds=-1.0, monotonic=lambda: now[0])
    assert dead.take_all(["c1"]) is not None
    assert dead.reason_to_stop() is not None
    alive = Claims(database, holder="event e2", monotonic=lambda: now[0])
    assert alive.take_all(["c1"]) is not None
    now[0] = 59.0
    assert alive.reason_to_stop() is None
    alive.renew()
    now[0] = 118.0
    assert alive.reason_to_stop() is None
    now[0] = 119.0
    assert alive.reason_to_stop() is not None


def test_what_the_service_touched_is_known(database: StateDatabase) -> None:
    """Also where it died and never said that it was done; the night's own claims touch nothing."""
    night = Claims(database, holder=NIGHT)
    assert night.take(["c1", "c2"]).touched == {}
    night.give_up()
    web = event(database, "e1")
    web.take_all(["c1"])
    web.give_up()
    event(database, "dead", seconds=-1.0).take_all(["c2"])
    touched = night.take(["c0", "c1", "c2"]).touched
    assert sorted(touched) == ["c1", "c2"]
    night.give_up()
    assert night.take(["c1"]).touched == {"c1": touched["c1"]}


def test_old_rows_are_forgotten(database: StateDatabase) -> None:
    """What was touched before any plan that may still run was made, and what never was."""
    web, night = event(database, "e1"), Claims(database, holder=NIGHT)
    web.take_all(["c1", "c2"])
    web.give_up()
    with database.begin() as connection:
        connection.execute(text(f"UPDATE reconciler_claim SET touched = touched - {KEPT + 1} WHERE name = 'c1'"))
    night.take(["c1", "c2", "c3"])
    night.give_up()
    with database.begin() as connection:
        assert connection.execute(text("SELECT name FROM reconciler_claim")).scalars().all() == ["c2"]


def test_names_are_data(database: StateDatabase) -> None:
    """Whatever an id or a number holds."""
    odd = ["it's", '"quoted"', "\\", "%s", ":holder", "é😀", "member 1'); DROP TABLE reconciler_claim; --"]
    assert Claims(database, holder="o'hara").take(odd).names == frozenset(odd)


def test_what_an_action_writes() -> None:
    """Its contact, the one that it is merged into, and the member who may get a new one."""
    assert names_of(Action("m-1", "merge", "l1", into="c1", member="1001")) == ("l1", "c1", "member 1001")
    assert names_of(Action("c-1", "create", member="1001")) == ("member 1001",)
    assert names_of(Action("a-1", "archive", "c9")) == ("c9",)


def test_many_at_once_never_have_the_same(url: str) -> None:
    """Eight at once, each over its own connection, in random order: no deadlock, and no name twice.

    The first of them makes the tables, or several do.
    """
    held: dict[str, int] = {}
    wrong: list[str] = []
    guard = threading.Lock()

    def work(number: int) -> None:
        database, chance = StateDatabase(url), random.Random(number)
        try:
            for _ in range(25):
                names = chance.sample([f"c{n}" for n in range(12)], 4)
                claims = event(database, f"{number}")
                if claims.take_all(names) is None:
                    continue
                with guard:
                    wrong.extend(name for name in names if name in held)
                    held.update(dict.fromkeys(names, number))
                with guard:
                    for name in names:
                        del held[name]
                claims.give_up()
        except Exception as error:
            wrong.append(repr(error))
            raise
        finally:
            database.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
