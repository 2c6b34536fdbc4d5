"""Worlds for the doctor: one good night for all tests, and a copy of it for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from reconciler.simulator import RunningSimulator, Simulator
from tests.cli.conftest import engine_without_a_log, make_place
from tests.cli.support import Place, seeded
from tests.doctor.support import Night, World, leave_night, make_world, simulator_of

__all__ = ["engine_without_a_log", "make_place"]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """What a good night left."""
    with pytest.MonkeyPatch.context() as patch, RunningSimulator(seeded()) as server:
        place = Place(tmp_path_factory.mktemp("night"), server.simulator, server.base_url, patch, capfd=None)  # type: ignore[arg-type]  # nothing is captured here
        place.demo_union()
        yield leave_night(place)


@pytest.fixture
def world(night: Night, make_place: Callable[[Simulator], Place]) -> World:
    """A copy of it."""
    return make_world(make_place(simulator_of(night)), night)
