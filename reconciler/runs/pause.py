"""The emergency stop: one row in the state database, read before every write.

Where it cannot be read nobody knows whether writing is paused, so nothing is written (failure mode B14).
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from reconciler.errors import StateError
from reconciler.runs.state import PAUSES, StateDatabase

_NAME = "writing"


class PauseSwitch:
    """Pauses and resumes every process that shares the state database. Every method raises StateError."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    def pause(self, reason: str) -> bool:
        """Pause; False where it was paused already, and the older reason stays."""
        try:
            with self._database.begin() as connection:
                connection.execute(insert(PAUSES).values(name=_NAME, since=self._database.now(), reason=reason[:400]))
        except StateError as error:
            if isinstance(error.__cause__, IntegrityError):
                return False
            raise
        return True

    def resume(self) -> bool:
        """Resume; False where nothing was paused."""
        with self._database.begin() as connection:
            return bool(connection.execute(delete(PAUSES).where(PAUSES.c.name == _NAME)).rowcount)

    def reason(self) -> str | None:
        """Since when and why writing is paused; None where it is not."""
        with self._database.begin() as connection:
            row = connection.execute(select(PAUSES).where(PAUSES.c.name == _NAME)).one_or_none()
        if row is None:
            return None
        since = f"{datetime.fromtimestamp(row.since, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"paused since {since}: {row.reason or 'no reason was given'}"
