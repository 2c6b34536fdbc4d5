"""What an event has claimed while it looks around, which may take longer than a claim lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import update

from reconciler.runs.claims import NIGHT, SECONDS, Claims
from reconciler.runs.state import CLAIMS, StateDatabase
from reconciler.web.alone import Again, Busy, Claimed


@dataclass
class Passing:
    """A clock beside the database's own: what has passed on it has passed for every claim."""

    database: StateDatabase
    now: float = 0.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now

    def passes(self, seconds: float) -> None:
        """So long nobody does anything."""
        self.now += seconds
        with self.database.begin() as connection:
            connection.execute(update(CLAIMS).values(expires=CLAIMS.c.expires - seconds))


@pytest.fixture
def clock(state_url: str) -> Iterator[Passing]:
    """One on each kind of database."""
    database = StateDatabase(state_url)
    yield Passing(database, time.monotonic())
    database.close()


def claims_of(holder: str, clock: Passing) -> Claims:
    """The claims of somebody who has the same clock."""
    return Claims(clock.database, holder=holder, touches=holder != NIGHT, monotonic=clock)


def test_what_is_claimed_first_lasts_as_long_as_what_is_claimed_last(clock: Passing) -> None:
    """Reading takes most of a claim's time, then the member is claimed, too: nobody gets the contact until both end."""

    async def run() -> None:
        mine, night = claims_of("event 1", clock), claims_of(NIGHT, clock)
        claimed = Claimed(mine)
        await claimed.add(["c1"])
        clock.passes(SECONDS * 0.8)
        await claimed.add(["member 1001"])
        clock.passes(SECONDS * 0.8)
        assert mine.reason_to_stop() is None
        assert night.take(["c1", "member 1001"]).names == frozenset()
        clock.passes(SECONDS * 0.4)
        assert mine.reason_to_stop() is not None
        assert night.take(["c1", "member 1001"]).names == {"c1", "member 1001"}

    asyncio.run(run())


def test_what_was_read_under_a_claim_that_ran_out_is_read_anew(clock: Passing) -> None:
    """Somebody may have had the contact in between, even if it is free again."""

    async def run() -> None:
        claimed, night = Claimed(claims_of("event 1", clock)), claims_of(NIGHT, clock)
        await claimed.add(["c1"])
        clock.passes(SECONDS * 1.1)
        assert night.take(["c1"]).names == {"c1"}
        night.give_up()
        with pytest.raises(Again):
            await claimed.add(["member 1001"])

    asyncio.run(run())


def test_what_somebody_else_has_is_waited_for(clock: Passing) -> None:
    """All or nothing, and what was had before stays."""

    async def run() -> None:
        mine, night = claims_of("event 1", clock), claims_of(NIGHT, clock)
        claimed = Claimed(mine)
        await claimed.add(["c1"])
        night.take(["c2"])
        with pytest.raises(Busy):
            await claimed.add(["c2", "c3"])
        assert night.take(["c1", "c3"]).names == {"c3"}

    asyncio.run(run())
