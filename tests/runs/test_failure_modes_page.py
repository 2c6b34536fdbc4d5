"""docs/failure-modes.md is held against the tests: a promise that nothing holds any more fails here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "failure-modes.md").read_text("utf-8")
KEPT = (("A", 1, 18), ("B", 1, 20), ("C", 1, 12), ("D", 1, 14), ("E", 1, 10), ("F", 5, 20))
ROWS = [f"{letter}{number}" for letter, first, last in KEPT for number in range(first, last + 1)]
LINES = dict(re.findall(r"^\| ([A-F]\d+) \| [^|]+ \| (.+) \|$", PAGE, re.MULTILINE))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_every_row_is_there_once() -> None:
    """In order, and nothing else."""
    assert re.findall(r"^\| ([A-F]\d+) ", PAGE, re.MULTILINE) == ROWS
    assert list(LINES) == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_a_test_or_says_why_not(row: str) -> None:
    """One or the other, and no half name of a test."""
    without = re.sub(r"`tests/[\w/]+\.py::test_\w+`", "", LINES[row])
    assert "::" not in without
    assert "::" in LINES[row] or LINES[row].startswith("Not held: ")


@pytest.mark.parametrize(("file", "name"), TESTS, ids=["::".join(test) for test in TESTS])
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    """By its very name, as a function of the file."""
    found = ast.parse((ROOT / file).read_text("utf-8")).body
    assert name in {one.name for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
