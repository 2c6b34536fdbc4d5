"""A place where commands run as people run them: a folder, an environment, a union in SQLite, and a served Intercom."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import selectors
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from reconciler.cli import run
from reconciler.cli.demo import write_union
from reconciler.core.plan import Plan
from reconciler.runs.store import PlanStore
from reconciler.settings import SETTINGS
from reconciler.simulator import LoggedCall, Options, Simulator
from tests.services.worlds import write_sqlite
from tests.support.silence import personal_in

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "reconciler" / "cli" / "demo"

TOKEN = "canary-token-5e1f"
"""The token of every command here; no output may hold it."""

SECONDS = 20.0
"""Longer than this no command may take."""

HESITATION = 0.2
"""Seconds between a question and its answer. A Ctrl-C right before the program waits for input waits with it."""

COLUMNS, ROWS = 80, 24

_CHANGING = (
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}"), "PLAN-ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SHA256"),
    (re.compile(r"\(sha256 [0-9a-f]{12}\)"), "(sha256 BEGINNING)"),
    (re.compile(r'^ "basis": \{.*\},$', re.MULTILINE), ' "basis": RULES AND SCOPE,'),
    (re.compile(r"process \d+ on [^,\s]+"), "process NUMBER on HOST"),
)


def plain(text: str, *, folder: Path | None = None) -> str:
    """The text without what differs from run to run: times, ids, digests, ports, and paths below `folder`."""
    if folder is not None:
        text = text.replace(str(folder), "FOLDER")
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        """Log lines and errors hold nothing personal, whatever the test is about."""
        said = [line for line in self.err.splitlines() if line.startswith(("{", "Error:", "Next:"))]
        found = [one for line in said for one in personal_in(line)]
        assert not found, f"said in a log line or an error: {found}"

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


@dataclass
class Place:
    """A folder that commands run in, and the workspace that they reach."""

    folder: Path
    simulator: Simulator
    base_url: str
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The rules of the repository, no setting of the person who runs the tests, and those of the place."""
        (self.folder / "rules").symlink_to(REPOSITORY / "rules")
        self.monkeypatch.chdir(self.folder)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            self.monkeypatch.delenv(name)
        for setting in SETTINGS:
            self.monkeypatch.delenv(setting.name, raising=False)
        for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
            self.monkeypatch.delenv(name, raising=False)
        self.set(INTERCOM_ACCESS_TOKEN=TOKEN, INTERCOM_BASE_URL=self.base_url)

    # --- what commands find -------------------------------------------------------------------------------------------

    def set(self, **settings: str | None) -> None:
        """Set variables of the environment, or with None unset them."""
        for name, value in settings.items():
            if value is None:
                self.monkeypatch.delenv(name, raising=False)
            else:
                self.monkeypatch.setenv(name, value)

    def demo_union(self) -> None:
        """The seventeen members of `reconcile demo`."""
        path = self.folder / "union.db"
        path.unlink(missing_ok=True)
        write_union(path)
        self.set(RECONCILER_SOURCE="sqlite:///union.db")

    def new_members(self, count: int) -> None:
        """A union of so many members, none of whom Intercom knows."""
        members = [
            {
                "membernumber": f"{200_000 + number}",
                "firstname": "Nia",
                "lastname": f"Number {number}",
                "email": f"nia.{number}@example.org",
                "status": "Active",
                "membertypeid": 6,
                "region": "Eastern",
                "facility": "ZNY",
            }
            for number in range(count)
        ]
        path = self.folder / "union.db"
        path.unlink(missing_ok=True)
        write_sqlite(path, members, [])
        self.set(RECONCILER_SOURCE="sqlite:///union.db")

    def own_rules(self) -> Path:
        """A copy of the rules that may be changed; returns its folder."""
        folder = self.folder / "own"
        shutil.copytree(REPOSITORY / "rules", folder)
        self.set(RECONCILER_RULES="own")
        return folder

    # --- running them -------------------------------------------------------------------------------------------------

    def run(self, *arguments: str) -> Done:
        """Run a command in this process."""
        self.capfd.readouterr()
        code = run(list(arguments))
        out, err = self.capfd.readouterr()
        return Done(code, out, err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "reconciler.cli", *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> Mapping[str, str]:
        """What a process of its own gets to see."""
        return {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def shell(self, script: str) -> Done:
        """Run a line of shell in which `reconcile` is the command."""
        ended = subprocess.run(
            ["bash", "-c", f'set -o pipefail; reconcile() {{ "{sys.executable}" -m reconciler.cli "$@"; }}; {script}'],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Done(ended.returncode, ended.stdout, ended.stderr)

    def plain(self, done: Done) -> str:
        """All that a command said, for a snapshot."""
        return plain(str(done), folder=self.folder)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def plan(self, *arguments: str) -> Plan:
        """Make a plan with the command, and read it from the store."""
        done = self.run("plan", *arguments)
        assert done.code in {0, 3}, str(done)
        return self.newest()

    def newest(self) -> Plan:
        """The plan made last."""
        store = PlanStore(str(self.folder / "plans"))
        return max((store.get_plan(one) for one in store.list_ids()), key=lambda made: self._written(made.id))

    def _written(self, plan_id: str) -> int:
        return (self.folder / "plans" / f"{plan_id}.json").stat().st_mtime_ns

    def effects(self) -> list[LoggedCall]:
        """The calls that changed the workspace."""
        return [call for call in self.simulator.calls if call.effect]

    def change_name(self, contact: str, name: str) -> None:
        """Somebody edits a contact in Intercom."""
        httpx.put(
            f"{self.base_url}/contacts/{contact}",
            json={"name": name},
            headers={"Authorization": f"Bearer {TOKEN}", "Intercom-Version": "2.16"},
        ).raise_for_status()

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a running command, and wait until all that it had sent has been answered.

        A call of ours that comes after its calls, and takes as long, is answered after them.
        """
        process.kill()
        ended(process)
        httpx.get(
            f"{self.base_url}/me", headers={"Authorization": f"Bearer {TOKEN}", "Intercom-Version": "2.16"}
        ).raise_for_status()

    def wait_for_effects(self, count: int, process: subprocess.Popen[str]) -> None:
        """Until a running command has changed the workspace so many times."""
        until = time.monotonic() + SECONDS
        while len(self.effects()) < count:
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise AssertionError(f"only {len(self.effects())} effects; {process.communicate()}")
            time.sleep(0.01)

    def wait_for_calls(self, count: int, process: subprocess.Popen[str]) -> None:
        """Until so many calls in all have been answered."""
        until = time.monotonic() + SECONDS
        while len(self.simulator.calls) < count:
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise AssertionError(f"only {len(self.simulator.calls)} calls; {process.communicate()}")
            time.sleep(0.01)


def seeded(options: Options | None = None) -> Simulator:
    """The drifted workspace of `reconcile demo`."""
    simulator = Simulator(options)
    simulator.seed((DEMO / "contacts.jsonl").read_bytes().splitlines())
    return simulator


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a process, and read what it wrote."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Done(process.returncode, out, err)


def in_terminal(
    place: Place, *arguments: str, answer: str | None = None, environ: Mapping[str, str] | None = None
) -> Done:
    """Run a command at a terminal: stdin and stderr are one, stdout another, so that they can be told apart.

    answer: typed once stderr shows a question that ends in `: `.
    """
    out, err = _Terminal(), _Terminal()
    process = subprocess.Popen(
        # With stdin as its controlling terminal, so that Ctrl-C is a signal.
        ["setsid", "--ctty", sys.executable, "-m", "reconciler.cli", *arguments],
        cwd=place.folder,
        env={**place.environment(), "TERM": "xterm", **(environ or {})},
        stdin=err.inner,
        stdout=out.inner,
        stderr=err.inner,
    )
    try:
        _watch(process, out, err, answer)
        return Done(process.wait(SECONDS), out.text(), err.text())
    finally:
        process.kill()
        process.wait()
        out.close()
        err.close()


class _Terminal:
    """Both ends of a pseudo-terminal."""

    def __init__(self) -> None:
        self.outer, self.inner = pty.openpty()
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.seen = b""

    def text(self) -> str:
        """What was written to it so far, with line ends as the program wrote them."""
        return self.seen.decode().replace("\r\n", "\n")

    def close(self) -> None:
        """Both ends."""
        os.close(self.outer)
        os.close(self.inner)


def _watch(process: subprocess.Popen[bytes], out: _Terminal, err: _Terminal, answer: str | None) -> None:
    """Read both terminals until the process has ended and nothing is left to read."""
    until = time.monotonic() + SECONDS
    with selectors.DefaultSelector() as ready:
        for one in (out, err):
            ready.register(one.outer, selectors.EVENT_READ, one)
        while time.monotonic() < until:
            over = process.poll() is not None
            readable = ready.select(0 if over else 0.05)
            for key, _ in readable:
                key.data.seen += os.read(key.fd, 65_536)
            if answer is not None and err.seen.rstrip(b"\x1b[?25h").endswith(b": "):
                time.sleep(HESITATION)
                os.write(err.outer, answer.encode())
                answer = None
            if over and not readable:
                return
    raise AssertionError(f"not over after {SECONDS} s; stderr: {err.text()}")
