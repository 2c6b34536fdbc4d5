"""The watch over every test (tests/conftest.py) sees what it is there to see, or silence would prove nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SAYING = """
import logging
import sys
from base64 import b64encode

import pytest

from reconciler.errors import ReconcilerError
from reconciler.web.metrics import Metrics
from tests.support.silence import overheard

METRICS = Metrics()

def test_quiet_member_number():
    Metrics().handled.labels("100107").inc()
    logging.getLogger("any").error("member 100107 has no e-mail")
    overheard("plan 20261123T023000Z-8f3a1c5e, nobody@example.invalid")

def test_loud_error_that_is_caught():
    with pytest.raises(ReconcilerError):
        raise ReconcilerError("grace.lindqvist@new.example.org is on two contacts")

def test_loud_next_step():
    with pytest.raises(ReconcilerError):
        raise ReconcilerError("no such contact", next_step="Call (212) 555-2368.")

def test_loud_log_record():
    logging.getLogger("any").warning("the phone is %s", "+12125552368")

def test_loud_stderr():
    print("Error: canary-token-5e1f is not accepted", file=sys.stderr)

def test_loud_label_of_a_metric_that_nobody_asks_for():
    Metrics().handled.labels("grace.lindqvist@new.example.org").inc()

def test_loud_label_of_a_service_that_outlives_its_test():
    METRICS.refused.labels("Quentin Duarte").inc()

def test_loud_service_that_still_says_it():
    pass

def test_loud_secret_in_a_header():
    logging.getLogger("any").error("Basic %s", b64encode(b"reader:canary-token-5e1f").decode())

def test_loud_address_in_a_url():
    logging.getLogger("any").error("GET /contacts?email=grace.lindqvist%%40new.example.org")

def test_loud_other_process():
    overheard("Traceback: KeyError: 'Ann Lee12345'")
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name of a test → how it ended, of tests that do nothing but say something."""
    folder = tmp_path_factory.mktemp("said")
    (folder / "test_saying.py").write_text(SAYING)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rA", "test_saying.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return {name: verdict for verdict, name in re.findall(r"^(PASSED|FAILED) \S+::(\w+)", ended.stdout, re.MULTILINE)}


def test_whoever_says_something_personal_fails(verdicts: dict[str, str]) -> None:
    """An error, a log record, stderr, a metric of any service, another process: each on its own turns its test red."""
    loud = re.findall(r"def (test_loud_\w+)", SAYING)
    assert len(loud) == 10
    assert [verdicts[name] for name in loud] == ["FAILED"] * len(loud)


def test_ids_may_be_said(verdicts: dict[str, str]) -> None:
    """Numbers, ids of plans, and addresses that are nobody's."""
    assert verdicts["test_quiet_member_number"] == "PASSED"
