"""The runbook is run: every command of every entry, in its order, in a world after a good night."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.errors import ExitCode
from tests.cli.support import DEMO
from tests.doctor.support import World, delete_attribute
from tests.services.postgres import write_postgres
from tests.services.postgrest.server import SERVICE_KEY, Shim
from tests.support.command_lines import check_command_line

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "runbook.md").read_text("utf-8")

PLAN_SHOWN, NIGHT_BEFORE, LAST_NIGHT = "20261124T023000Z-8f3a1c5e", "20261123", "20261124"
"""What stands in the page in place of plans."""

MEMBER_SHOWN, MEMBER = "12345", "100102"
"""What stands there in place of a member, and a member of the demo's union."""

HEAD_SHOWN = f"sha256:{'0' * 64}"
"""What stands there in place of the head of a chain."""

ENDS_WITH = {
    "approve": (ExitCode.HELD, "the plan of this world was applied already, and wants nobody's consent"),
    "erase": (ExitCode.USAGE, "it asks, and nobody is there to answer"),
}
"""Commands that do not leave with 0 in this world, and why that is right."""

NEEDS_A_SERVICE = ("serve", "webhook")
"""`serve` does not end by itself, and `webhook send` wants one that runs: they are parsed here, and run by their own
tests.
"""


class Entry(NamedTuple):
    """One heading of the page, and what stands below it."""

    title: str
    text: str

    def commands(self) -> list[list[str]]:
        """The commands in blocks and in the text, in order, without `reconcile`."""
        found = re.findall(r"(?:^|`)reconcile ([a-z][^`\n]*)", self.text, re.MULTILINE)
        return [shlex.split(line) for line in found]


def entries() -> list[Entry]:
    """The page's entries, and what stands before the first as `start`."""
    start, *rest = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return [Entry("start", start), *(Entry(*text.split("\n", 1)) for text in rest)]


ENTRIES = entries()

SYMPTOMS = {
    "nightly run missing": "The night did not run, or did not finish",
    "recovery after a failed night": "The night did not run, or did not finish",
    "high failure rate": "Exit 4: applied in part",
    "blocked contacts": "Exit 4: applied in part",
    "duplicate conflicts": "Exit 4: applied in part",
    "invalid phones": "Many invalid phones, unknown codes, members without e-mail",
    "API errors": "Intercom is down, or slow",
    "rate limit": "The rate limit",
    "duplicates that come back": "Duplicates that come back, UUIDs that stay, two members on one contact",
    "UUIDs left": "Duplicates that come back, UUIDs that stay, two members on one contact",
    "webhook silent": "The webhook is silent",
    "only 1,000 members synced": "Only 1,000 members, or far too few",
    "tag re-sync not working": "A tag does not re-sync",
    "positions stale": "Positions are stale",
    "emergency stop": "Stop everything",
    "daily, weekly and monthly checks": "Daily, weekly, monthly",
    "token rotation every 90 days": "The token",
}
"""What the page must have an entry for, and which one it is."""


def test_every_symptom_has_an_entry() -> None:
    """Under the heading named here; each says what good looks like."""
    titles = {entry.title: entry.text for entry in ENTRIES}
    assert set(SYMPTOMS.values()) <= set(titles)
    assert [entry.title for entry in ENTRIES if not re.search(r"Good:\s", entry.text)] == []


def anchor(title: str) -> str:
    """The link to a heading, as renderers make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_table_leads_to_every_entry() -> None:
    """From what is seen, but for the one entry that is read before anything is wrong; no link leads nowhere."""
    known = {anchor(entry.title) for entry in ENTRIES[1:]}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links == known


def test_code_names_entries_that_exist() -> None:
    """A next step that sends somebody to the page names a heading of it."""
    titles = {entry.title for entry in ENTRIES}
    named = {
        title
        for path in sorted((ROOT / "reconciler").rglob("*.py"))
        for title in re.findall(r"docs/runbook\.md, `([^`]+)`", path.read_text("utf-8"))
    }
    assert named
    assert named <= titles


def test_page_is_read_in_one_go() -> None:
    """Short entries, narrow lines (tables fold by themselves)."""
    assert [entry.title for entry in ENTRIES if len(entry.text.splitlines()) > 45] == []
    assert [line for line in PAGE.splitlines() if len(line) > 130 and not line.startswith("|")] == []


MIRRORING = ["apply", "--target", "positions", "--auto-approve"]


@pytest.fixture
def mirrored(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    """A Supabase project with the positions of the union, for the entry that wants one."""
    with (DEMO / "positions.csv").open(encoding="utf-8") as file:
        url = write_postgres(request.getfixturevalue("postgres_url"), [], list(csv.DictReader(file)))
    with Shim(url) as project:
        world.place.set(SUPABASE_URL=project.base_url, SUPABASE_KEY=SERVICE_KEY)
        yield


@pytest.mark.parametrize("entry", [one for one in ENTRIES if one.commands()], ids=lambda entry: entry.title)
def test_commands_of_the_runbook(entry: Entry, world: World, request: pytest.FixtureRequest) -> None:
    """Each runs and leaves with 0, or as is said above."""
    if "--create-attributes" in entry.text:
        delete_attribute(world.place.simulator, "region")
    if MIRRORING in entry.commands():
        request.getfixturevalue("mirrored")
    for words in entry.commands():
        if words[0] in NEEDS_A_SERVICE:
            check_command_line(words)
        else:
            ids = world.store.list_ids()
            shown = {NIGHT_BEFORE: ids[0], LAST_NIGHT: ids[-1], MEMBER_SHOWN: MEMBER}
            shown[HEAD_SHOWN] = world.store.verify().head or ""
            shown[PLAN_SHOWN] = ids[-1] if words[0] == "rehearse" else world.applied()
            done = world.place.run(*[shown.get(word, word) for word in words])
            expected, why = ENDS_WITH.get(words[0], (ExitCode.DONE, "the world is well"))
            assert done.code == expected, f"{words}: {why}; {done}"
