"""The app spec, the Dockerfile and what is kept out of the image, held against the code and against each other."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import pytest
import yaml

from reconciler.settings import SETTINGS
from tests.support.campaign import NIGHTLY
from tests.support.command_lines import check_command_line

ROOT = Path(__file__).parents[1]

LEAVES_WITHIN = 10
"""Seconds after SIGTERM (tests/cli/test_signals.py, tests/runs/test_stops.py)."""

NOT_IN_THE_SPEC = {
    "INTERCOM_RATE_LIMIT": "Intercom's own headers set the pace",
    "INTERCOM_BULK": "off, as long as Intercom calls it a preview",
    "INTERCOM_SNAPSHOT": "by list, which is never minutes old",
    "RECONCILER_REDACT_KEY": "for whoever passes plans on, on their own machine",
    "MYSQL_HOST": "MYSQL_URL says it all",
    "MYSQL_PORT": "MYSQL_URL says it all",
    "MYSQL_USER": "MYSQL_URL says it all",
    "MYSQL_PASSWORD": "MYSQL_URL says it all",
    "MYSQL_DATABASE": "MYSQL_URL says it all",
    "RECONCILER_RULES": "the rules are in the image, where the default looks for them",
}
"""Variables that production does without, each with the reason."""

NO_SECRET_AS_IT_STANDS = {"RECONCILER_SOURCE": "supabase"}
"""A variable that may hold a secret, and a value of it that is none."""


class Closed(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of the app spec; the fields are those of github.com/digitalocean/godo, apps.gen.go, that we use."""


class Variable(Closed):
    key: str
    scope: Literal["RUN_TIME", "BUILD_TIME", "RUN_AND_BUILD_TIME"]
    type: Literal["GENERAL", "SECRET"] = "GENERAL"
    value: str | None = None


class Alert(Closed):
    rule: Literal["DEPLOYMENT_FAILED", "RESTART_COUNT", "JOB_INVOCATION_FAILED"]
    operator: Literal["GREATER_THAN", "LESS_THAN"] | None = None
    value: float | None = None
    window: Literal["FIVE_MINUTES", "TEN_MINUTES", "THIRTY_MINUTES", "ONE_HOUR"] | None = None


class GitHub(Closed):
    repo: str
    branch: str
    deploy_on_push: bool


class HealthCheck(Closed):
    http_path: str
    initial_delay_seconds: int
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int


class ServiceTermination(Closed):
    drain_seconds: int
    grace_period_seconds: int


class JobTermination(Closed):
    grace_period_seconds: int


class Schedule(Closed):
    cron: str
    time_zone: str


class Component(Closed):
    name: str
    dockerfile_path: str
    github: GitHub
    run_command: str
    instance_count: int
    instance_size_slug: str
    alerts: list[Alert]


class Service(Component):
    http_port: int
    health_check: HealthCheck
    liveness_health_check: HealthCheck
    termination: ServiceTermination


class Job(Component):
    kind: Literal["SCHEDULED"]
    schedule: Schedule
    timeout: str
    termination: JobTermination


class Spec(Closed):
    name: str
    region: str
    alerts: list[Alert]
    envs: list[Variable]
    services: list[Service]
    jobs: list[Job]


SPEC = msgspec.convert(yaml.safe_load((ROOT / ".do" / "app.yaml").read_text("utf-8")), Spec)
(WEB,) = SPEC.services
JOBS = {job.name: job for job in SPEC.jobs}
VARIABLES = {variable.key: variable for variable in SPEC.envs}


class Line(NamedTuple):
    """One instruction of the Dockerfile, continued lines joined."""

    instruction: str
    rest: str


def dockerfile() -> list[Line]:
    """Its instructions, in order."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [Line(*line.split(maxsplit=1)) for line in lines]


def said(instruction: str) -> list[str]:
    """What follows one instruction, each time it stands there."""
    return [line.rest for line in dockerfile() if line.instruction == instruction]


COMMANDS = {
    "web": shlex.split(WEB.run_command),
    **{name: shlex.split(job.run_command) for name, job in JOBS.items()},
    "Dockerfile": msgspec.json.decode(said("CMD")[0], type=list[str]),
}


# --- commands and times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_commands_of_ours(name: str) -> None:
    """With options and values that they take."""
    program, *words = COMMANDS[name]
    assert program == "reconcile"
    check_command_line(words)


def test_jobs_are_those_of_the_night() -> None:
    """Positions first, then contacts, neither of which has anybody to ask."""
    assert {name: words[1:] for name, words in COMMANDS.items() if name in JOBS} == {
        "positions": ["apply", "--target", "positions", "--auto-approve"],
        "contacts": ["apply", "--auto-approve"],
    }


@pytest.mark.parametrize(("name", "at"), [("positions", (2, 15)), ("contacts", (2, 30))])
def test_jobs_run_every_night_at_their_time(name: str, at: tuple[int, int]) -> None:
    """By the clock that logs and plans are dated with, so that no night is missing or doubled in spring and autumn."""
    minute, hour, *every = JOBS[name].schedule.cron.split(" ")
    assert (int(hour), int(minute)) == at
    assert every == ["*", "*", "*"]
    assert JOBS[name].schedule.time_zone == "UTC"


def span(text: str) -> timedelta:
    """A duration as the spec writes it: `1h30m`."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?", text)
    assert found is not None
    return timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0))


def test_contacts_do_not_run_beside_positions() -> None:
    """The first job is given up when the second begins; the second has time for a whole workspace."""
    assert timedelta(0) < span(JOBS["positions"].timeout) <= timedelta(minutes=15)
    assert span(JOBS["contacts"].timeout) >= timedelta(hours=2)


def test_bad_night_is_told_by_the_platform_too() -> None:
    """Where ours is killed before it can say anything."""
    for job in JOBS.values():
        assert [alert.rule for alert in job.alerts] == ["JOB_INVOCATION_FAILED"]


# --- health and the end -----------------------------------------------------------------------------------------------


def test_port_is_one_port() -> None:
    """Of the spec, of the command, and of the image."""
    assert WEB.run_command.split()[-2:] == ["--port", str(WEB.http_port)]
    assert COMMANDS["Dockerfile"] == COMMANDS["web"]
    assert said("EXPOSE") == [str(WEB.http_port)]


def test_health_is_asked_for() -> None:
    """Before a container gets calls, and for as long as it lives; the second more patiently."""
    for check in (WEB.health_check, WEB.liveness_health_check):
        assert check.http_path == "/api/health"
        assert check.timeout_seconds < check.period_seconds
    assert WEB.liveness_health_check.failure_threshold > WEB.health_check.failure_threshold


@pytest.mark.parametrize("grace", [WEB.termination, *(job.termination for job in JOBS.values())])
def test_there_is_time_to_leave(grace: ServiceTermination | JobTermination) -> None:
    """Before SIGKILL, what is under way is over and written down."""
    assert 2 * LEAVES_WITHIN <= grace.grace_period_seconds <= 600


# --- variables --------------------------------------------------------------------------------------------------------


def names(setting: str) -> list[str]:
    """The variables of the spec that a setting stands for."""
    return [key for key in VARIABLES if fnmatch(key, setting)]


def test_every_setting_is_there_or_said_to_be_left_out() -> None:
    """Production lacks nothing by mistake, and the spec names nothing that nobody reads."""
    settings = {setting.name for setting in SETTINGS}
    assert {name for name in settings if not names(name)} == set(NOT_IN_THE_SPEC)
    assert [key for key in VARIABLES if not any(fnmatch(key, name) for name in settings)] == []
    assert len(VARIABLES) == len(SPEC.envs)


@pytest.mark.parametrize("setting", [one for one in SETTINGS if names(one.name)], ids=lambda one: one.name)
def test_secrets_are_secrets_and_hold_nothing(setting: object) -> None:
    """What is secret in the code is encrypted there, and its value never stands in a repository."""
    one = next(known for known in SETTINGS if known is setting)
    for variable in (VARIABLES[key] for key in names(one.name)):
        assert variable.scope == "RUN_TIME"
        if NO_SECRET_AS_IT_STANDS.get(one.name) == variable.value and variable.value is not None:
            continue
        assert (variable.type == "SECRET") == one.secret
        assert (variable.value is None) == one.secret


def test_what_must_outlive_a_container_is_elsewhere() -> None:
    """Its disk is gone with it: plans are in a bucket, the state in a database that is named."""
    assert (VARIABLES["RECONCILER_PLANS"].value or "").startswith("s3://")
    assert "RECONCILER_STATE_URL" in VARIABLES


# --- the image --------------------------------------------------------------------------------------------------------


def test_base_is_pinned() -> None:
    """By exact version and digest, in both stages the same; a Python that the project supports and the tests run on."""
    bases = [rest.split()[0] for rest in said("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    found = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases[0])
    assert found is not None
    version = int(found[1]), int(found[2])
    assert version == sys.version_info[:2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert version >= tuple(int(part) for part in project["requires-python"].removeprefix(">=").split("."))


def test_image_needs_no_root_and_no_disk() -> None:
    """A user by number, since a platform that forbids root cannot know names; whatever is written goes to /tmp."""
    assert dockerfile()[-3].instruction == "USER"
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", said("USER")[0])
    environment = " ".join(said("ENV"))
    for part in ("PYTHONDONTWRITEBYTECODE=1", "HOME=/tmp", "MPLCONFIGDIR=/tmp"):
        assert part in environment
    assert not said("ENTRYPOINT"), "it would stand before the commands of the spec"


def test_packages_are_those_of_the_lock() -> None:
    """Each is checked against its hash, and after that no index is asked any more."""
    wheels, install = said("RUN")
    assert "--require-hashes" in wheels
    assert "--requirement requirements.lock" in wheels
    assert "--no-index --find-links /wheels" in install


def test_no_secret_is_built_in() -> None:
    """Neither as a variable nor as an argument: both stay readable in the image."""
    texts = " ".join([*said("ENV"), *said("ARG"), *said("LABEL")])
    assert not [setting.name for setting in SETTINGS if setting.name.rstrip("*") in texts]
    assert not said("ADD")


def let_in() -> list[str]:
    """The paths that .dockerignore lets into the image: all others are kept out by its `*`."""
    first, *rest = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"
    ]
    assert first == "*"
    return [line.removeprefix("!") for line in rest if line.startswith("!")]


def test_nothing_but_the_program_goes_into_the_image() -> None:
    """What is copied is there and let in, and nothing else is: no plan, no .env, no history."""
    copied = [path for rest in said("COPY") if not rest.startswith("--from") for path in rest.split()[:-1]]
    assert sorted(copied) == sorted(let_in())
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert set(copied) == {"requirements.lock", "pyproject.toml", "README.md", "reconciler", "rules"}


def test_data_of_the_program_is_installed_with_it() -> None:
    """Whatever lies among the modules is named as package data: installed, the program has nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    named = project["tool"]["setuptools"]["package-data"]["reconciler"]
    package = ROOT / "reconciler"
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    assert files
    assert [path.name for path in files if not any(fnmatch(str(path.relative_to(package)), one) for one in named)] == []


@pytest.mark.skipif(not NIGHTLY, reason="fetches every package: CAMPAIGN=nightly")
def test_install_steps_of_the_image_work(tmp_path: Path) -> None:
    """The very commands of the Dockerfile, in a folder with what it copies, and then the command that they install.

    The developers' tools are not among what is installed. Where there is a Docker daemon, `docker build .` does more.
    """
    for path in let_in():
        subprocess.run(["cp", "-r", str(ROOT / path), str(tmp_path)], check=True)
    steps = " && ".join(said("RUN")).replace("/wheels", f"{tmp_path}/wheels").replace("/venv", f"{tmp_path}/venv")
    steps = steps.replace("pip wheel", f"{shlex.quote(sys.executable)} -m pip wheel", 1)
    subprocess.run(["bash", "-ec", steps], cwd=tmp_path, check=True, timeout=1800)
    python = tmp_path / "venv" / "bin" / "python"
    demo = [str(python.with_name("reconcile")), "demo"]
    shown = subprocess.run(demo, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, check=True, capture_output=True)
    assert b"No changes." in shown.stdout
    listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
    assert "dbos" in listed
    assert "pytest" not in listed
