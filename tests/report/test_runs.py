"""Runs over time, as people read them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.trends import Run
from reconciler.report.runs import runs_json, runs_text

NIGHT = Run(
    plan="20261123T023000Z-8f3a1c5e",
    at="2026-11-23T02:30:00Z",
    target="contacts",
    state="applied",
    takes_back=False,
    narrowed=False,
    planned=2041,
    done=2000,
    failed=1,
    stale=12,
    held=28,
    duplicates=5,
    drift=1990,
)


def changed(**changes: Any) -> Run:
    """The night with something else about it."""
    return msgspec.structs.replace(NIGHT, **changes)


ROWS = changed(
    plan="20261123T020000Z-11111111", at="2026-11-23T02:00:00Z", target="positions", duplicates=None, drift=None
)
FROM_A_FILE = changed(plan="20261101T020000Z-22222222", target=None, at="2026-11-23T09:00:00Z")
REFUSED = changed(state="refused", planned=0, done=None, failed=None, stale=None, held=0, duplicates=None, drift=None)
NARROWED = changed(narrowed=True, state="not applied", done=None, failed=None, stale=None, duplicates=None, drift=None)
HUGE = changed(planned=20_000_000, done=20_000_000)

RUNS = {
    "one target": [NIGHT, REFUSED, NARROWED],
    "two targets": [ROWS, NIGHT, FROM_A_FILE],
    "one target and one that nobody knows": [NIGHT, FROM_A_FILE],
    "many": [NIGHT, HUGE],
}


@pytest.mark.parametrize("runs", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_table(runs: list[Run], width: int, snapshot: SnapshotAssertion) -> None:
    """What each run is for stands in it where there are several; where a terminal has little room, no time of day."""
    assert runs_text(runs, width=width) == snapshot


def test_a_table_of_one_target_fits_a_terminal() -> None:
    """80 columns hold every number of a night of thousands: a line that folds is not read."""
    heading, line = runs_text([NIGHT], width=80).splitlines()[:2]
    assert len(heading) == len(line) == 80


def test_scripts_are_told_what_each_run_is_for() -> None:
    """Always, and null where nobody knows."""
    runs = json.loads(runs_json([NIGHT, ROWS, FROM_A_FILE]))["runs"]
    assert [run["target"] for run in runs] == ["contacts", "positions", None]
