"""The order in which workers run the tests (tests/support/order.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.order import LONGEST, longest_first

TESTS = [*(f"short {number}" for number in range(20)), LONGEST[5], LONGEST[0], LONGEST[0], "short 20", LONGEST[3]]


@pytest.mark.parametrize("parts", [1, 2, 3, 8, 25, 40])
def test_no_test_is_lost(parts: int) -> None:
    """Each is there as often as before, however many workers there are."""
    assert sorted(longest_first(TESTS, parts=parts, function=str)) == sorted(TESTS)


def test_each_worker_begins_with_the_longest() -> None:
    """Twenty-five tests for three workers: parts of eight, eight and nine."""
    ordered = longest_first(TESTS, parts=3, function=str)
    assert [ordered[0], ordered[1], ordered[8], ordered[16]] == [LONGEST[0], LONGEST[5], LONGEST[0], LONGEST[3]]
    assert [one for one in ordered if one not in LONGEST] == [f"short {number}" for number in range(21)]


@pytest.mark.parametrize("name", LONGEST)
def test_the_longest_are_there(name: str) -> None:
    """A test that was renamed does not fall out of the list unseen."""
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    assert [path.name for path in files if f"\ndef {name}(" in path.read_text("utf-8")]
