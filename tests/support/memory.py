"""Where tests keep their files: in memory where there is room, else where the system has its temporary files.

Plans, outcomes and state are flushed with every step. No test can tell whether they would outlast a loss of power, and
on a disk the worlds of tests/properties wait for that longer than for everything else together.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
"""A file system in memory on every Linux (shm_overview(7)); elsewhere there is none."""

ROOM = 4 * 2**30
"""Bytes that must be free there. A container has 64 MiB, unless it is told otherwise (docker run --shm-size)."""


def keep_files_in_memory() -> None:
    """For this process and those that it starts, unless TMPDIR names another place."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and _may_be_used(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # is looked up anew


def _may_be_used(folder: Path) -> bool:
    """Whether there is room, and files may be made and run: tests also write programs."""
    found = os.statvfs(folder)
    room = found.f_bavail * found.f_frsize
    return os.access(folder, os.W_OK | os.X_OK) and not found.f_flag & os.ST_NOEXEC and room >= ROOM
