"""What holds for every test."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.support.campaign import NIGHTLY
from tests.support.silence import personal_in

# The same examples in every run of `main`, so that a change alone can turn a test red; no deadline on a busy machine.
settings.register_profile("main", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("nightly" if NIGHTLY else "main")


_said: list[str] = []
"""What was said in the test that is running: texts of errors, and log records."""


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if event == "reconciler.error":
        _said.append(" ".join(map(str, arguments)))


class _Ear(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _said.append(record.getMessage())


def pytest_configure() -> None:
    """Listen to everything, from the first test to the last."""
    sys.addaudithook(_listen)
    logging.getLogger().addHandler(_Ear(level=logging.WARNING))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test fails where anything said in it holds what may be in no log, error or metric."""
    report = yield
    if report.when == "setup":
        return report
    said = [*_said, report.capstderr, report.caplog]
    _said.clear()
    found = sorted({one for text in said for one in personal_in(text)})
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: said in an error, a log line or on stderr: {', '.join(found)}"
    return report
