"""Who writes a contact just now: rows with an expiry, so that the nightly run and the web service never fight.

A name is a contact's id, or a member (`member 12345`) for whom a contact may be created. The service claims all that
one event may write, or nothing; the nightly run claims what it can of a batch, in one statement, and waits for the rest
when it comes to it. What the service has touched stays known for some days: an action that was planned before that is
compared with its contact before it is sent (runs/apply.py).

Rows and not locks of a session, for the reasons in lock.py; times are the database's own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, TextClause, bindparam, delete, select, text, update

from reconciler.core.actions import Action
from reconciler.runs.state import CLAIMS, NOW_SQL, StateDatabase

SECONDS = 60.0
"""How long a claim outlives the last sign of life of its holder."""

KEPT = 3 * 86_400.0
"""How long it is remembered, in seconds, that the service touched a contact: longer than a plan lives."""

NIGHT = "apply"
"""The holder in every run of a plan: there is one at a time (lock.py), and the next one takes over from a dead one."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim got. touched: name → unix seconds until when the service may last have written it."""

    names: frozenset[str]
    touched: dict[str, float]


NOTHING_TAKEN = Taken(frozenset(), {})


def names_of(action: Action) -> tuple[str, ...]:
    """What an action writes."""
    names = [name for name in (action.contact, action.into) if name is not None]
    return (*names, member_name(action.member)) if action.member is not None else tuple(names)


def member_name(number: str) -> str:
    """The name under which a member is claimed. No contact's id has a blank in it."""
    return f"member {number}"


class Claims:
    """The claims of one holder. Every method raises StateError.

    touches: whether what is claimed counts as touched from then on. seconds: how long a claim lasts without `renew`.
    sleep: how whoever waits for a claim does so, in seconds.
    """

    def __init__(
        self,
        database: StateDatabase,
        *,
        holder: str,
        touches: bool = False,
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.sleep = sleep
        self._database = database
        self._holder = holder
        self._touches = touches
        self._seconds = seconds
        self._monotonic = monotonic
        self._good_until = -1.0

    def take(self, names: Iterable[str]) -> Taken:
        """Claim those of these names that nobody else has; one statement, whatever their number."""
        wanted = sorted(set(names))
        if not wanted:
            return NOTHING_TAKEN
        asked_at = self._monotonic()
        with self._database.begin() as connection:
            taken = self._take(connection, wanted)
        self._good_until = asked_at + self._seconds
        return taken

    def take_all(self, names: Iterable[str]) -> Taken | None:
        """Claim all of these names, or none of them: then None."""
        wanted = sorted(set(names))
        asked_at = self._monotonic()
        with self._database.begin() as connection:
            taken = self._take(connection, wanted)
            if len(taken.names) < len(wanted):
                connection.rollback()
                return None
        self._good_until = asked_at + self._seconds
        return taken

    def renew(self) -> None:
        """Have everything that is still claimed last from now on."""
        asked_at = self._monotonic()
        with self._database.begin() as connection:
            now = self._database.now()
            mine = self._mine(CLAIMS.c.expires >= now)
            connection.execute(update(CLAIMS).where(mine).values(expires=now + self._seconds))
        self._good_until = asked_at + self._seconds

    def reason_to_stop(self) -> str | None:
        """Why nothing more may be written, or None: to be asked before every write."""
        if self._monotonic() < self._good_until:
            return None
        return "stopped, because the claim on its contacts was lost: this process was asleep, or took too long"

    def give_up(self) -> None:
        """Let go of everything, and forget old rows. What was touched is so until now."""
        with self._database.begin() as connection:
            now = self._database.now()
            mine = self._mine()
            if self._touches:
                connection.execute(update(CLAIMS).where(mine).values(expires=0.0, touched=now))
            else:
                connection.execute(delete(CLAIMS).where(mine, CLAIMS.c.touched < now - KEPT))
                connection.execute(update(CLAIMS).where(mine).values(expires=0.0))
        self._good_until = -1.0

    def _mine(self, *which: ColumnElement[bool]) -> ColumnElement[bool]:
        """The rows of this holder, locked in the order in which `_take` locks rows: so nobody waits in a circle."""
        rows = select(CLAIMS.c.name).where(CLAIMS.c.holder == self._holder, *which).order_by(CLAIMS.c.name)
        return CLAIMS.c.name.in_(rows.with_for_update().scalar_subquery())

    def _take(self, connection: Connection, names: list[str]) -> Taken:
        is_sqlite = self._database.url.get_backend_name() == "sqlite"
        rows = connection.execute(
            _SQLITE if is_sqlite else _POSTGRESQL,
            {
                "names": json.dumps(names),
                "holder": self._holder,
                "seconds": self._seconds,
                "touches": self._seconds if self._touches else None,
            },
        ).all()
        return Taken(frozenset(row.name for row in rows), {row.name: row.touched for row in rows if row.touched > 0})


def _statement(names: str, now: str) -> TextClause:
    """An upsert of all names at once, in one order, so that two of them never wait for each other in a circle."""
    return text(
        f"""
        INSERT INTO reconciler_claim (name, holder, expires, touched)
        SELECT value, :holder, {now} + :seconds, COALESCE({now} + CAST(:touches AS FLOAT), 0) FROM {names}
        ON CONFLICT (name) DO UPDATE SET
            holder = excluded.holder,
            expires = excluded.expires,
            touched = CASE WHEN excluded.touched > 0 THEN excluded.touched ELSE reconciler_claim.touched END
        WHERE reconciler_claim.expires < {now} OR reconciler_claim.holder = :holder
        RETURNING name, touched
        """  # noqa: S608 - the two parts are below, and no data
    ).bindparams(bindparam("touches", required=False))


_SQLITE = _statement("json_each(:names) WHERE true", NOW_SQL["sqlite"])
_POSTGRESQL = _statement("json_array_elements_text(CAST(:names AS json)) AS one(value)", NOW_SQL["postgresql"])
