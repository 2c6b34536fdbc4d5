"""What holds for every test."""

from __future__ import annotations

import gc
import logging
import os
import sys
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.services.mariadb import mariadb, mariadb_url
from tests.services.postgres import postgres, postgres_shared_url, postgres_url
from tests.support.campaign import NIGHTLY
from tests.support.memory import keep_files_in_memory
from tests.support.order import longest_first
from tests.support.silence import OVERHEARD, personal_in

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["mariadb", "mariadb_url", "postgres", "postgres_shared_url", "postgres_url"]
# Here and nowhere else: each place that imports a fixture gets a server of its own.

# The same examples in every run of `main`, so that a change alone can turn a test red; no deadline on a busy machine.
settings.register_profile("main", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("nightly" if NIGHTLY else "main")

keep_files_in_memory()

# With each call, httpx's ASGITransport asks sniffio whether this is trio, and searches all of sys.path for what nobody
# installs. This says at once that it is not there (https://docs.python.org/3/reference/import.html#the-module-cache).
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # None is what the import system has for this


_said: list[str] = []
"""What was said in the test that is running: texts of errors, log records, and what other processes said."""

_registries: list[CollectorRegistry] = []
"""The metrics of every service that lives, or did since the last look at them."""


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"reconciler.error", OVERHEARD}:
        _said.append(" ".join(map(str, arguments)))
    elif event == "reconciler.metrics":
        _registries.extend(arguments)


class _Ear(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _said.append(record.getMessage())


def pytest_configure() -> None:
    """Listen to everything, from the first test to the last."""
    sys.addaudithook(_listen)
    logging.getLogger().addHandler(_Ear(level=logging.WARNING))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, the longest come first; one after the other, all stay where they are."""
    parts = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if parts > 1:
        items[:] = longest_first(items, parts=parts, function=lambda item: item.name.partition("[")[0])


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the collector need not go through them again and again."""
    gc.collect()
    gc.freeze()


def _counted() -> list[str]:
    """The metrics of every service, as they would be told; then those are let go that nobody else holds any more."""
    if not _registries:
        return []
    from prometheus_client import generate_latest  # noqa: PLC0415 - a test without a service need not wait for it

    texts = [generate_latest(one).decode() for one in _registries]
    living = [weakref.ref(one) for one in _registries]
    _registries.clear()
    _registries.extend(one for found in living if (one := found()) is not None)
    return texts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test fails where anything said in it holds what may be in no log, error or metric."""
    report = yield
    if report.when == "setup":
        return report
    said = [*_said, *_counted(), report.capstderr, report.caplog]
    _said.clear()
    found = sorted({one for text in said for one in personal_in(text)})
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: said in an error, a log line, a metric or on stderr: {', '.join(found)}"
    return report
