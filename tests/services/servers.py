"""Starting and stopping the servers of other people that tests talk to, on a free port of 127.0.0.1."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

STARTS = 3
"""How often a server is started at most."""

START_SECONDS = 60
STOP_SECONDS = 30


@contextmanager
def running(
    name: str,
    *,
    command: Callable[[int], Sequence[str]],
    answers: Callable[[int], bool],
    log: Path,
    stop_by: signal.Signals = signal.SIGTERM,
    **options: Any,
) -> Iterator[int]:
    """Run a server, and stop it (that process alone) at the end; yields its port once it answers.

    command: how it is started on a port. answers: whether it does. options: for Popen.
    """
    port, process = _start(name, command=command, answers=answers, log=log, stop_by=stop_by, options=options)
    try:
        yield port
    finally:
        _stop(process, stop_by)


def _start(
    name: str,
    *,
    command: Callable[[int], Sequence[str]],
    answers: Callable[[int], bool],
    log: Path,
    stop_by: signal.Signals,
    options: dict[str, Any],
) -> tuple[int, subprocess.Popen[bytes]]:
    """Another process may take the free port first: then one more is tried."""
    for attempt in range(1, STARTS + 1):
        port = _free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(command(port), stdout=output, stderr=output, **options)
        try:
            _wait(name, process, port, answers, log)
        except RuntimeError:
            _stop(process, stop_by)
            if attempt == STARTS:
                raise
        else:
            return port, process
    raise AssertionError("STARTS is at least 1")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(name: str, process: subprocess.Popen[bytes], port: int, answers: Callable[[int], bool], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None:
        if answers(port):
            return
        if time.monotonic() > until:
            _fail(f"{name} did not answer within {START_SECONDS} s", log)
        time.sleep(0.05)
    _fail(f"{name} ended with status {process.returncode}", log)


def _fail(what: str, log: Path) -> NoReturn:
    tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
    raise RuntimeError(f"{what}; the end of its log:\n{tail}")


def _stop(process: subprocess.Popen[bytes], by: signal.Signals) -> None:
    process.send_signal(by)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
