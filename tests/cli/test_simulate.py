from __future__ import annotations

import re
import signal
import socket

import httpx
import pytest

from reconciler.errors import ExitCode
from tests.cli.support import DEMO, Place, ended


def test_serves_until_it_is_stopped(place: Place) -> None:
    """It says where it is once it can be called (with port 0 nobody else knows), and ends on SIGTERM."""
    process = place.start("simulate", "--port", "0", "--seed", str(DEMO / "contacts.jsonl"))
    assert process.stderr is not None
    said, setting = process.stderr.readline(), process.stderr.readline()
    address = re.search(r"http://127\.0\.0\.1:[1-9]\d*", said)
    assert address is not None, said
    url = address.group()
    me = httpx.get(f"{url}/me", headers={"Authorization": "Bearer any", "Intercom-Version": "2.16"})
    assert me.status_code == 200
    assert len(httpx.get(f"{url}/_simulator/state").json()["live"]) == 16
    assert [call["path"] for call in httpx.get(f"{url}/_simulator/calls").json()["calls"]] == ["/me"]
    process.send_signal(signal.SIGTERM)
    done = ended(process)
    assert done.code in {-signal.SIGTERM, ExitCode.STOPPED}
    assert done.out == ""
    assert f"INTERCOM_BASE_URL={url} " in setting
    assert "Traceback" not in done.err


def test_commands_reach_it(place: Place) -> None:
    """What its second line says is all that a plan needs."""
    process = place.start("simulate", "--port", "0", "--seed", str(DEMO / "contacts.jsonl"))
    assert process.stderr is not None
    process.stderr.readline()
    setting = re.search(r"INTERCOM_BASE_URL=(\S+)", process.stderr.readline())
    assert setting is not None
    place.set(INTERCOM_BASE_URL=setting.group(1))
    assert place.plan().actions
    process.terminate()
    ended(process)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--faults", "nonsense=1"], "unknown fault 'nonsense': valid kinds are 500"),
        (["--faults", "429"], "has no probability"),
        (["--faults", "429=often"], "is not a number: 'often'"),
        (["--faults", "429=0.7,500=0.7"], "more than 1"),
        (["--latency", "fast"], "latency 'fast' is not SECONDS or SECONDS,JITTER"),
        (["--latency", "-1"], "must not be negative"),
        (["--port", "70000"], "70000"),
        (["--seed", "none.jsonl"], "none.jsonl"),
        (["--window", "0"], "--window"),
        (["--limit", "0"], "--limit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(arguments: list[str], says: str, place: Place) -> None:
    """What cannot be simulated is answered with 64 and what can, before a port is opened."""
    done = place.run("simulate", *arguments)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert says in done.err
    assert "A stand-in" not in done.err


def test_wrong_seed_line(place: Place) -> None:
    """The line is named, and nothing is served."""
    (place.folder / "bad.jsonl").write_text('{"email": "a@example.org"}\n{"email": 5}\n')
    done = place.run("simulate", "--port", "0", "--seed", "bad.jsonl")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "bad.jsonl: seed line 2" in done.err
    assert "A stand-in" not in done.err


def test_port_that_is_taken(place: Place) -> None:
    """The message names the port and the option, and does not claim to serve."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = place.run("simulate", "--port", str(port))
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert str(port) in done.err
    assert "Next: Name another --port." in done.err
    assert "A stand-in" not in done.err
