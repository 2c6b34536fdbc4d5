"""`reconcile serve`, `reconcile events` and `reconcile webhook send`, run as people run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError
from reconciler.web.send import check_address
from reconciler.web.work import reference_of
from tests.web.served import ROOT, Order, Served, served
from tests.web.world import APP, SECRET, TAGGED, WEBHOOK, message, until

PARKED = reference_of("notif_1")
POISON = "poison1"


def reconcile(folder: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """One command with these settings alone: exit code, stdout and stderr."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "RECONCILER_RULES": str(ROOT / "rules")}
    command = [sys.executable, "-m", "reconciler.cli", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment | settings, capture_output=True, timeout=60, check=False, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """One state database for the commands of this page."""
    folder = tmp_path_factory.mktemp("commands")
    return Order(state_url=f"sqlite:///{folder / 'state.sqlite'}", journal=str(folder / "journal"))


@pytest.fixture(scope="module")
def service(order: Order, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that has parked one event."""
    with served(order, log=tmp_path_factory.mktemp("log") / "log") as one:
        assert one.post(message(1, contact=POISON)) == 200
        until(lambda: one.metric("events_parked_now") == 1)
        yield one


# events


def test_before_there_was_a_service(tmp_path: Path) -> None:
    """An empty queue, and no error."""
    code, out, _ = reconcile(tmp_path, "events", RECONCILER_STATE_URL=f"sqlite:///{tmp_path / 'state.sqlite'}")
    assert (code, out) == (0, "0 waiting, 0 being handled, 0 parked.\n")


def test_parked_events_are_shown(service: Served, order: Order, tmp_path: Path) -> None:
    """By the reference that an agent was told, with the reason, and how to try again."""
    code, out, err = reconcile(tmp_path, "events", RECONCILER_STATE_URL=order.state_url)
    assert code == 0
    assert out.splitlines()[0] == "0 waiting, 0 being handled, 1 parked."
    assert out.splitlines()[1].startswith(f"{PARKED}  20")
    assert out.splitlines()[1].endswith("conversation.user.replied  contact poison1, conversation 1")
    assert out.splitlines()[2:] == ["    ReconcilerError: Intercom does not answer."]
    assert f"reconcile events --retry {PARKED}" in err
    assert service.process.poll() is None


def test_as_json(service: Served, order: Order, tmp_path: Path) -> None:
    """Everything that is known of it, and no more than ids."""
    code, out, _ = reconcile(tmp_path, "events", "--json", RECONCILER_STATE_URL=order.state_url)
    assert code == 0
    told = json.loads(out)
    (one,) = told.pop("parked")
    assert told == {"waiting": 0, "running": 0}
    assert one.pop("accepted_at") <= one.pop("parked_at")
    assert one == {
        "reference": PARKED,
        "notification": "notif_1",
        "topic": "conversation.user.replied",
        "contact": POISON,
        "conversation": "1",
        "tag": None,
        "error": "ReconcilerError",
        "says": "Intercom does not answer",
        "told": True,
    }
    assert service.process.poll() is None


@pytest.mark.parametrize("asked", [PARKED, "notif_1"])
def test_a_parked_event_is_tried_again(asked: str, service: Served, order: Order, tmp_path: Path) -> None:
    """Five times more; here it fails again, and is parked again."""
    before = Counter(service.did("begin"))["notif_1"]
    code, _, err = reconcile(tmp_path, "events", "--retry", asked, RECONCILER_STATE_URL=order.state_url)
    assert (code, err.splitlines()[0]) == (0, f"{PARKED} is in the queue again.")
    until(lambda: Counter(service.did("begin"))["notif_1"] == before + 5)
    until(lambda: service.metric("events_parked_now") == 1)


def test_nothing_of_that_name_is_parked(service: Served, order: Order, tmp_path: Path) -> None:
    """Said so, with what to do."""
    code, _, err = reconcile(tmp_path, "events", "--retry", "E-0", RECONCILER_STATE_URL=order.state_url)
    assert code == 1
    assert "no parked event is called E-0" in err
    assert service.process.poll() is None


# webhook send


def send(folder: Path, service: Served, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """One test event to the service."""
    given = {"INTERCOM_CLIENT_SECRET": SECRET.reveal()} | settings
    url = ("--url", service.url + WEBHOOK)
    return reconcile(folder, "webhook", "send", *arguments, *url, "--workspace", APP, **given)


@pytest.mark.parametrize(
    "arguments", [("conversation.user.created", "--contact", "c5"), (TAGGED, "--conversation", "55", "--tag", "t5")]
)
def test_a_test_event_is_handled(arguments: tuple[str, ...], service: Served, tmp_path: Path) -> None:
    """Like any other."""
    code, out, err = send(tmp_path, service, *arguments)
    identity, _, answer = out.strip().partition(": ")
    assert (code, answer) == (0, '{"received":true}'), err
    until(lambda: identity in service.did("end"))


def test_a_test_ping(service: Served, tmp_path: Path) -> None:
    """Answered, and nothing to do."""
    assert send(tmp_path, service, "ping")[0] == 0


def test_a_test_event_with_another_secret(service: Served, tmp_path: Path) -> None:
    """The one mistake that everybody makes is named; neither secret is."""
    code, out, err = send(tmp_path, service, "ping", INTERCOM_CLIENT_SECRET="another-canary")
    assert code == 1
    assert "the service answered 401" in err
    assert "another INTERCOM_CLIENT_SECRET" in err
    assert "canary" not in out + err


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://127.0.0.1/x", "127.0.0.1:8080", "http://[::1", "x"])
def test_an_address_that_is_not_ours(url: str) -> None:
    """A signature goes nowhere in the clear."""
    with pytest.raises(ReconcilerError, match="must begin with https://"):
        check_address(url)


@pytest.mark.parametrize(
    "url", ["https://example.org/x", "http://127.0.0.1:8080/x", "http://[::1]/x", "http://localhost"]
)
def test_an_address_that_may_be(url: str) -> None:
    """Over TLS, or on this machine."""
    check_address(url)


# serve

ALL = {
    "INTERCOM_CLIENT_SECRET": "s",
    "INTERCOM_ACCESS_TOKEN": "t",
    "RECONCILER_SOURCE": "sqlite:///union.db",
}


@pytest.mark.parametrize("missing", ALL)
def test_what_the_service_cannot_do_without(missing: str, tmp_path: Path) -> None:
    """Above all a secret: without one anybody could sign. It says what is missing, and how to set it."""
    code, _, err = reconcile(tmp_path, "serve", "--port", "0", **{k: v for k, v in ALL.items() if k != missing})
    assert code == 1
    assert f"{missing if missing != 'RECONCILER_SOURCE' else 'No source'}" in err
    assert "Next: Set it" in err
