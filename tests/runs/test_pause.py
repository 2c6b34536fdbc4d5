"""The emergency stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase


def switch_at(folder: Path) -> PauseSwitch:
    """The switch as one process sees it."""
    return PauseSwitch(StateDatabase(f"sqlite:///{folder / 'state.sqlite'}"))


def test_every_process_sees_it_at_once(tmp_path: Path) -> None:
    """One process pauses, another is stopped, a third resumes."""
    assert switch_at(tmp_path).reason() is None
    assert switch_at(tmp_path).pause("wrong archive seen")
    assert "wrong archive seen" in (switch_at(tmp_path).reason() or "")
    assert switch_at(tmp_path).resume()
    assert switch_at(tmp_path).reason() is None


def test_the_first_reason_stays(tmp_path: Path) -> None:
    """Who pauses a second time learns that it was paused, and why."""
    switch = switch_at(tmp_path)
    assert switch.pause("first")
    assert not switch.pause("second")
    assert "first" in (switch.reason() or "")


def test_nothing_to_resume(tmp_path: Path) -> None:
    """Resuming twice is no error."""
    assert not switch_at(tmp_path).resume()


def test_a_switch_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """Unreadable means stop, which needs an error and not a None."""
    (tmp_path / "state.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StateError, match="failed"):
        switch_at(tmp_path).reason()
