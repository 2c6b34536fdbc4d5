"""`reconcile simulate` in a process of its own, so that its CPU is not counted as ours."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

CONTACT = {"id": "c1", "role": "user", "external_id": "1", "email": "ann@example.org", "name": "Ann Lee"}
RECONCILE = str(Path(sys.executable).with_name("reconcile"))
START_SECONDS = 20.0


@contextmanager
def simulator(*options: str, contacts: Sequence[dict[str, str]] = (CONTACT,)) -> Iterator[str]:
    """Serve these contacts, with these options of `reconcile simulate`; the base URL."""
    with TemporaryDirectory(prefix="reconciler-bench-") as folder:
        seed = Path(folder, "contacts.jsonl")
        seed.write_text("".join(json.dumps(contact) + "\n" for contact in contacts), encoding="utf-8")
        port = _free_port()
        command = [RECONCILE, "simulate", "--port", str(port), "--seed", str(seed), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the simulator did not start") from None
            time.sleep(0.05)
        else:
            return
