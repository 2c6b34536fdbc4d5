"""The state databases that services of tests run on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.services.postgres import Postgres
from tests.web.served import Order

NewOrder: TypeAlias = Callable[..., Order]


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty state database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.sqlite'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.new_database())


@pytest.fixture
def order(state_url: str, tmp_path: Path) -> Order:
    """A service over it."""
    return Order(state_url=state_url, journal=str(tmp_path / "journal"))


@pytest.fixture
def sqlite_order(tmp_path: Path) -> Order:
    """A service over SQLite alone, for what does not depend on the database."""
    return Order(state_url=f"sqlite:///{tmp_path / 'state.sqlite'}", journal=str(tmp_path / "journal"))
