"""One apply at a time, on whichever machine (failure modes B3, B4, B5)."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from reconciler.errors import LockHeld, StateError
from reconciler.runs.lock import Lease, last_holder
from reconciler.runs.state import LEASES, StateDatabase


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A state database of this test's own, in a folder that is not there yet."""
    return f"sqlite:///{tmp_path / 'state' / 'state.sqlite'}"


def test_the_second_is_told_who_holds_it_and_since_when(url: str) -> None:
    """At 2:30 somebody reads this line."""
    with Lease(StateDatabase(url), holder="process 7 on night"), pytest.raises(LockHeld) as caught:
        Lease(StateDatabase(url), holder="process 8").__enter__()
    assert "process 7 on night, since 20" in caught.value.what
    assert caught.value.exit_code == 5


def test_it_is_free_again_after_its_holder(url: str) -> None:
    """However often it was held."""
    for holder in ("a", "b", "a"):
        with Lease(StateDatabase(url), holder=holder) as lease:
            assert lease.reason_to_stop() is None


def test_it_outlives_its_first_term_while_the_holder_lives(url: str) -> None:
    """A night takes longer than a minute."""
    with Lease(StateDatabase(url), holder="a", seconds=0.4) as lease:
        time.sleep(1.0)
        assert lease.reason_to_stop() is None
        with pytest.raises(LockHeld):
            Lease(StateDatabase(url), holder="b").__enter__()


def test_a_holder_that_slept_past_its_term_writes_no_more(url: str) -> None:
    """SIGSTOP, a suspended machine: the monotonic clock has gone on, and another may be writing by now."""
    now = 1000.0
    with Lease(StateDatabase(url), holder="a", seconds=60, monotonic=lambda: now) as lease:
        assert lease.reason_to_stop() is None
        now += 61
        assert "lock was lost" in (lease.reason_to_stop() or "")


def test_a_holder_whose_lock_was_taken_writes_no_more(url: str) -> None:
    """Its renewal finds another name in the row."""
    database = StateDatabase(url)
    with Lease(database, holder="a", seconds=0.4) as lease:
        with database.begin() as connection:
            connection.execute(update(LEASES).values(holder="b", epoch=99))
        time.sleep(0.3)
        assert lease.reason_to_stop() is not None


def test_a_dead_holder_of_this_machine_need_not_be_waited_for(url: str) -> None:
    """Killed with SIGKILL it gave nothing back, and its number is free."""
    script = (
        "import os, signal\n"
        "from reconciler.runs.lock import Lease\n"
        "from reconciler.runs.state import StateDatabase\n"
        f"Lease(StateDatabase({url!r}), holder='killed').__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    left = last_holder(StateDatabase(url))
    assert left is not None
    assert (left.who, left.alive) == ("killed", False)
    with Lease(StateDatabase(url), holder="b") as lease:
        assert lease.reason_to_stop() is None


def test_a_holder_on_another_machine_is_waited_for(url: str) -> None:
    """Whether it lives cannot be seen from here."""
    database = StateDatabase(url)
    with Lease(database, holder="a"), database.begin() as connection:
        connection.execute(update(LEASES).values(process="another-boot pid:[1] 1"))
    with database.begin() as connection:
        connection.execute(update(LEASES).values(expires=database.now() + 60))
    with pytest.raises(LockHeld):
        Lease(StateDatabase(url), holder="b").__enter__()


def test_of_twenty_at_once_one_gets_it(url: str) -> None:
    """Processes, not threads; each says whether it won while it holds on for a while."""
    StateDatabase(url).begin().__enter__().close()
    script = (
        "import sys, time\n"
        "from reconciler.errors import LockHeld\n"
        "from reconciler.runs.lock import Lease\n"
        "from reconciler.runs.state import StateDatabase\n"
        "try:\n"
        f"    with Lease(StateDatabase({url!r}), holder='x'):\n"
        "        print('won', flush=True)\n"
        "        sys.stdin.read()\n"
        "except LockHeld:\n"
        "    print('lost', flush=True)\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(20)
    ]
    said = [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]
    for racer in racers:
        racer.communicate(timeout=30)
    assert sorted(said) == ["lost"] * 19 + ["won"]


def test_a_database_that_is_not_there_is_a_clear_error() -> None:
    """Where nobody can say who holds the lock, nobody may write."""
    with pytest.raises(StateError, match="state database") as caught:
        Lease(StateDatabase("postgresql://u:secret@127.0.0.1:9/none"), holder="a").__enter__()
    assert "secret" not in str(caught.value)


def test_last_holder_is_known(url: str) -> None:
    """Nobody; who has it; and who had it, once it is free."""
    database = StateDatabase(url)
    assert last_holder(database) is None
    with Lease(database, holder="process 7 on night"):
        held = last_holder(database)
    free = last_holder(database)
    assert held is not None
    assert (held.who, held.alive) == ("process 7 on night", True)
    assert abs(held.since - datetime.now(UTC)) < timedelta(minutes=1)
    assert free == replace(held, alive=False)
