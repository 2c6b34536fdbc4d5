"""What Intercom is told by `reconcile apply`: many updates in few calls, and nothing that it could not take."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import msgspec
import pytest

from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from reconciler.simulator import Simulator
from tests.cli.support import Place

Make = Callable[[Simulator], Place]


def rename_region(place: Place) -> None:
    """Everybody's region gets another name in the source."""
    with closing(sqlite3.connect(place.folder / "union.db")) as database, database:
        database.execute("UPDATE members SET region = 'Western'")


@pytest.mark.parametrize(("bulk", "least", "most"), [("preview", 110, 130), ("off", 400, 420)])
def test_the_setting(bulk: str, least: int, most: int, make_place: Make) -> None:
    """`INTERCOM_BULK=preview`: after the canary of 110, the other 290 cost few calls; then there is nothing to do."""
    simulator = Simulator()
    place = make_place(simulator)
    place.new_members(400)
    assert place.run("apply", place.plan("--accept", "create=400", "--reason", "a new union").id).code == ExitCode.DONE
    rename_region(place)
    place.set(INTERCOM_BULK=bulk)
    made = place.plan("--accept", "update=400", "--reason", "a region was renamed")
    assert made.summary.update == 400
    before = len(simulator.calls)
    assert place.run("apply", made.id).code == ExitCode.DONE
    assert least <= len(simulator.calls) - before <= most
    assert place.run("plan").out.endswith("\nNo changes.\n")


def test_an_attribute_that_is_gone_holds_what_writes_it(make_place: Make) -> None:
    """One look before the first write; the actions that write it are held, with what to do, and none fails."""
    simulator = Simulator()
    place = make_place(simulator)
    place.new_members(30)
    made = place.plan()
    region = simulator.world.attributes_by_name["region"]
    simulator.world.put_attribute(msgspec.structs.replace(region, archived=True))
    done = place.run("apply", made.id)
    assert done.code == ExitCode.HELD
    outcomes = PlanStore(str(place.folder / "plans")).get_outcome(made.id).outcomes
    assert Counter(one.outcome for one in outcomes) == {"held": 30}
    assert "Attribute region is archived in Intercom; bring it back" in done.out
    assert place.effects() == []
    assert sum(call.path == "/data_attributes" for call in simulator.calls) == 1


@pytest.mark.parametrize("strategy", ["list", "cursors"])
def test_both_ways_to_read_show_one_workspace(strategy: str, make_place: Make) -> None:
    """`INTERCOM_SNAPSHOT`: the searches are made where they are wanted, and the plan is the same."""
    simulator = Simulator()
    simulator.seed(
        json.dumps({"id": f"c{number}", "role": "lead", "email": f"nia.{number}@example.org", "name": f"N {number}"})
        for number in range(400)
    )
    place = make_place(simulator)
    place.new_members(10)
    place.set(INTERCOM_SNAPSHOT=strategy)
    made = place.plan()
    assert (made.inputs.actual.count, made.summary.promote) == (400, 10)
    searched = any(call.path == "/contacts/search" for call in simulator.calls)
    assert searched == (strategy == "cursors")
