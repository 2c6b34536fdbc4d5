"""Whole processes, measured by the operating system: CPU seconds and peak memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryFile
from threading import Timer

PASSES = (0, 3)
"""Exit codes of a run that did its work: a limit may hold some of a drifted world's actions."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One process, from start to end. cpu: user and system seconds; peak: MiB."""

    cpu: float
    peak: float


def run(command: Sequence[str], env: Mapping[str, str], *, seconds: float = 900) -> Figures:
    """Run a command to its end, silently. Raises RuntimeError, with what it said, where it fails or takes too long."""
    with TemporaryFile() as said:
        process = subprocess.Popen(command, env=dict(env), stdout=subprocess.DEVNULL, stderr=said)
        alarm = Timer(seconds, process.kill)
        alarm.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in PASSES:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} left with {process.returncode}: {said.read()[-2000:].decode()}")
    return Figures(cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss / 1024)


def middle(figures: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(cpu=median(one.cpu for one in figures), peak=median(one.peak for one in figures))


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with what is given on top."""
    return os.environ | extra
