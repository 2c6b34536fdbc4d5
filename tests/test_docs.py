"""The documentation is held against the code: what is missing, stale or broken fails here."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import msgspec
import pytest

from reconciler.cli import COMMANDS, reconcile
from reconciler.core import actions, approval, link, model, outcome, plan, rules
from reconciler.core.actions import Action, with_id
from reconciler.core.findings import RULE_IDS
from reconciler.errors import ExitCode
from reconciler.settings import SETTINGS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def generator() -> ModuleType:
    """scripts/write_reference.py."""
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "scripts" / "write_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference(name: str) -> str:
    """One page of the reference."""
    return (ROOT / "docs" / "reference" / name).read_text("utf-8")


def test_the_reference_is_what_the_code_says_now() -> None:
    """A page that nobody wrote again after a change misleads; `make docs` writes them all."""
    stale = [name for name, text in generator().pages().items() if reference(name) != text]
    assert not stale, "run `make docs`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    """With help of its own."""
    assert f"## `reconcile {name}" in reference("commands.md")
    command = reconcile.get_command(click.Context(reconcile), name)
    assert command is not None
    assert command.help


def test_every_option_has_help() -> None:
    """An option without a word is a riddle at 2:30."""
    assert not re.findall(r"^\| `[^`]+` \|  ?\|$", reference("commands.md"), re.MULTILINE)


def test_every_rule_setting_and_exit_code_is_documented() -> None:
    """By its own name."""
    missing = [rule for rule in RULE_IDS if f"`{rule}`" not in reference("rules.md")]
    missing += [one.name for one in SETTINGS if f"`{one.name}`" not in reference("settings.md")]
    missing += [one.name for one in ExitCode if f"| {int(one)} | `{one.name}` |" not in reference("exit-codes.md")]
    assert not missing


@pytest.mark.parametrize("name", ["rules.md", "files.md"])
def test_every_key_and_field_has_a_word_said_about_it(name: str) -> None:
    """A blank cell is a question that the reader came with."""
    assert not [line for line in reference(name).splitlines() if line.startswith("| `") and line.endswith("|  |")]


def test_nothing_is_said_of_fields_that_are_gone() -> None:
    """The generator has words of its own for some fields; those of a renamed one must not stay behind."""
    modules = (plan, actions, approval, link, model, outcome, rules)
    for name, said in generator().SAID_HERE.items():
        struct = next(getattr(module, name) for module in modules if hasattr(module, name))
        assert set(said) <= {*struct.__struct_encode_fields__, "format", "digest"}, name


def test_every_dependency_is_accounted_for() -> None:
    """What for, and what else was considered."""
    listed = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    names = re.findall(
        r'^    "([A-Za-z][\w.\-]*(?:\[\w+\])?)', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    wanted = [name for name in names if not name.startswith(("types-", "reconciler.", "allow"))]
    known = {name for name in wanted if f"`{name}`" in listed}
    libraries = {
        name for name in wanted if re.search(rf'"{re.escape(name)}[><=]', (ROOT / "pyproject.toml").read_text())
    }
    assert libraries - known == set()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    """Inside the repository; what lies outside is not asked."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def commands_in(page: Path) -> Iterator[list[str]]:
    """The commands that a page shows, in blocks and in the text."""
    text = page.read_text("utf-8")
    for line in re.findall(r"(?:^|`)(reconcile [a-z][^`\n]*)", text, re.MULTILINE):
        yield shlex.split(line.split("  #")[0].split(" # ")[0])


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_that_are_shown_exist(page: Path) -> None:
    """A reader pastes them."""
    for words in commands_in(page):
        command = reconcile.get_command(click.Context(reconcile), words[1])
        assert command is not None, words
        for word in words[2:]:
            if isinstance(command, click.Group) and word in command.commands:
                command = command.commands[word]
        known = {spelling for one in command.params for spelling in (*one.opts, *one.secondary_opts)}
        assert {word for word in words[2:] if word.startswith("--")} <= known | {"--help"}, words


def test_commands_that_messages_name_exist() -> None:
    """Every error ends with a next step; one that does not exist is worse than none."""
    named = {
        word
        for path in sorted((ROOT / "reconciler").rglob("*.py"))
        for word in re.findall(r"`reconcile ([a-z]+)", path.read_text("utf-8"))
    }
    assert named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_are_named_are_there(page: Path) -> None:
    """A room that was renamed is renamed in the documentation too."""
    named = re.findall(r"`((?:reconciler|rules|docs|scripts|tests|benchmarks)/[\w/.\-]*)`", page.read_text("utf-8"))
    assert not [path for path in named if not (ROOT / path).exists()]


def blocks(language: str) -> list[str]:
    """The code blocks of the README in one language ("" for none)."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [text for named, text in found if named == language]


def test_the_action_in_the_readme_is_one() -> None:
    """Its id is the hash of what it says, so the line was written by the program and not by hand."""
    (line,) = blocks("json")
    action = msgspec.json.decode(line, type=Action)
    assert with_id(action).id == action.id
    assert set(msgspec.json.decode(line)) == {*Action.__struct_fields__} - {"into", "row", "expect_into"}


def test_the_plan_in_the_readme_is_what_the_demo_prints(tmp_path: Path) -> None:
    """Line by line, but for the id, which is new each time, and for where lines are broken."""
    environ = {"PATH": os.environ["PATH"], "RECONCILER_RULES": str(ROOT / "rules"), "PYTHONPATH": str(ROOT)}
    demo = [sys.executable, "-m", "reconciler.cli", "demo"]
    printed = subprocess.run(demo, cwd=tmp_path, env=environ, capture_output=True, check=True, timeout=60)
    told = " ".join(printed.stdout.decode().split())
    (excerpt,) = (block for block in blocks("") if block.startswith("Plan "))
    lines = [" ".join(line.split()) for line in excerpt.splitlines()[1:] if line.strip()]
    assert [line for line in lines if line not in told] == []


def test_make_targets_that_are_shown_exist() -> None:
    """The two commands of the README, and the others."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)) <= targets
