"""The stand-in on a real socket, where a reset is a reset."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from reconciler.simulator import Fault, Options, RunningSimulator, Simulator

HEADERS = {"Intercom-Version": "2.16"}


def test_real_sockets() -> None:
    """Over TCP: ordinary calls work side by side with resets, timeouts and torn bodies, and effects are as promised."""
    simulator = Simulator(Options(hold=30))
    faults: dict[str, Fault] = {
        "reset": Fault.RESET_AFTER,
        "early": Fault.RESET_BEFORE,
        "slow": Fault.TIMEOUT_AFTER,
        "torn": Fault.TORN_AFTER,
    }
    simulator.hook = lambda call, phase: next(
        (fault for name, fault in faults.items() if phase == "before" and name.encode() in call.body), None
    )
    with (
        RunningSimulator(simulator) as server,
        httpx.Client(base_url=server.base_url, headers=HEADERS, timeout=10) as client,
    ):
        assert client.post("/contacts", json={"external_id": "a/b"}).status_code == 200
        assert client.get("/contacts/find_by_external_id/a%2Fb").json()["external_id"] == "a/b"
        for name in ("reset", "early"):
            with pytest.raises(httpx.ReadError):
                client.post("/contacts", json={"external_id": name})
        with pytest.raises(httpx.ReadTimeout):
            client.post("/contacts", json={"external_id": "slow"}, timeout=0.3)
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            client.post("/contacts", json={"external_id": "torn"}).json()
        page = client.get("/contacts")
        assert [name for name, _ in page.headers.multi_items() if name in ("date", "server")] == ["date"]
        assert {"a/b", "reset", "slow", "torn"} == {one["external_id"] for one in page.json()["data"]}
        started = time.monotonic()
    assert time.monotonic() - started < 10


def test_stopping_frees_the_port() -> None:
    """Leaving the block closes the socket, even under an idle keep-alive connection, so that the port can be used
    again.
    """
    with RunningSimulator() as server, httpx.Client(base_url=server.base_url, headers=HEADERS) as client:
        assert client.get("/me").status_code == 200
        port = server.port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with RunningSimulator(port=port) as again:
        assert httpx.get(f"{again.base_url}/me", headers=HEADERS).status_code == 200


def test_a_port_in_use_is_an_error() -> None:
    """Two simulators cannot share a port: the second says so at once."""
    with RunningSimulator() as server, pytest.raises(OSError, match="in use"), RunningSimulator(port=server.port):
        pass


def test_serve_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """As its own process it seeds, says where it is, answers, and a SIGTERM ends it with that signal."""
    script = tmp_path / "serve.py"
    script.write_text(
        "import sys\n"
        "from reconciler.simulator import Options, serve\n"
        "serve(Options(), seed_contacts=sys.stdin, port=0, ready=lambda url: print(url, flush=True))\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"external_id": "1"}\n')
        process.stdin.close()
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/contacts", headers=HEADERS).json()["total_count"] == 1
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
