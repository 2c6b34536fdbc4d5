"""Places to run commands in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog

from reconciler.simulator import Options, RunningSimulator, Simulator
from tests.cli.support import Place, seeded
from tests.services.s3 import _s3_process, s3

__all__ = ["_s3_process", "s3"]


@pytest.fixture(autouse=True)
def engine_without_a_log() -> Iterator[None]:
    """The durable engine and our log keep the stderr that they found first, and pytest gives every test another one."""
    yield
    logging.getLogger("dbos").handlers.clear()
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def drifted() -> Iterator[RunningSimulator]:
    """The drifted workspace of the demo, for tests that write nothing to it."""
    with RunningSimulator(seeded()) as server:
        yield server


@pytest.fixture
def place(
    drifted: RunningSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Place]:
    """A folder of its own before the shared workspace; a test that writes to that fails."""
    one = Place(tmp_path, drifted.simulator, drifted.base_url, monkeypatch, capfd)
    one.demo_union()
    yield one
    assert one.effects() == []


@pytest.fixture
def make_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[Simulator], Place]]:
    """A folder and a workspace of its own, made from a simulator."""
    with ExitStack() as servers:

        def make(simulator: Simulator) -> Place:
            server = servers.enter_context(RunningSimulator(simulator))
            return Place(tmp_path, simulator, server.base_url, monkeypatch, capfd)

        yield make


@pytest.fixture
def own_place(make_place: Callable[[Simulator], Place]) -> Place:
    """The demo's union, and its workspace, which the test may change."""
    one = make_place(seeded())
    one.demo_union()
    return one


@pytest.fixture
def slow_place(make_place: Callable[[Simulator], Place]) -> Place:
    """Sixty members to create in an empty workspace whose every call takes 0.05 s."""
    one = make_place(Simulator(Options(latency=(0.05, 0.0))))
    one.new_members(60)
    return one
