from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from tests.cli.nights.spend import spend_nights, story
from tests.cli.support import Place

COLUMNS = ("planned", "done", "failed", "stale", "held", "duplicates", "drift")


@dataclass(frozen=True)
class Spent:
    """The ten nights, and where their records are."""

    told: Mapping[str, Any]
    plans: Path
    ids: Mapping[str, str]
    """Date → the id of that night's plan."""

    def dated(self, text: str) -> str:
        """With dates for the ids of plans."""
        for date, plan in self.ids.items():
            text = text.replace(plan, f"of {date}")
        return text


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Spent:
    """The nights of the story, spent once."""
    folder = tmp_path_factory.mktemp("nights")
    told = story()
    return Spent(told, folder / "plans", asyncio.run(spend_nights(told, folder)))


@pytest.fixture
def there(place: Place, spent: Spent) -> Place:
    """A place whose store holds the ten nights; neither Intercom nor a source is needed to read them."""
    place.set(RECONCILER_PLANS=str(spent.plans), INTERCOM_ACCESS_TOKEN=None, RECONCILER_SOURCE=None)
    return place


def read(place: Place, *arguments: str) -> Any:
    """What a command says with --json."""
    done = place.run(*arguments, "--json")
    assert (done.code, done.err) == (ExitCode.DONE, "")
    return json.loads(done.out)


def test_history(there: Place, spent: Spent) -> None:
    """Each night has the numbers that the story gives it, oldest first."""
    runs = read(there, "history")["runs"]
    lines = [[run["at"][:10], *("-" if run[name] is None else str(run[name]) for name in COLUMNS)] for run in runs]
    assert lines == [line.split() for line in spent.told["history"].splitlines()[1:]]
    assert [run["plan"] for run in runs] == list(spent.ids.values())


def test_trends(there: Place, spent: Spent) -> None:
    """Where duplicates, failures and drift go over the ten nights; the undo counts for failures only."""
    said = "first {first}, last {last}, change {change:+d}, lowest {lowest}, highest {highest}, {runs} runs"
    found = [f"{one['of']}: {said.format(**one)}" for one in read(there, "history")["trends"]]
    assert found == spent.told["trends"].splitlines()


def sentence(event: Mapping[str, Any]) -> str:
    """One event as the story tells it."""
    what = " ".join(filter(None, (event["at"][:10], event["event"], event.get("do"), event.get("contact"))))
    by = f", by {', '.join(event['rules'])}" if event.get("rules") else ""
    if event.get("do") == "update" and event["event"] in {"planned", "done", "undone"}:
        why = "; ".join(
            f"{one['field']}: {one.get('before') or '(blank)'} → {one['after']}" for one in event["changes"]
        )
    else:
        why = " ".join(event.get("says", ()))
    return f"{what}{by}: {why}"


@pytest.mark.parametrize("subject", story()["timelines"])
def test_timeline(subject: str, there: Place, spent: Spent) -> None:
    """Everything that happened to one member or contact, with dates, rules and values, and nothing else."""
    events = read(there, "timeline", subject)["events"]
    assert [spent.dated(sentence(event)) for event in events] == spent.told["timelines"][subject].splitlines()


def test_why_was_this_member_archived_in_march(there: Place, spent: Spent) -> None:
    """The auditor's question, answered by one command: when, by which plan and rule, and why."""
    done = there.run("timeline", "b2")
    assert done.code == ExitCode.DONE
    lines = done.out.splitlines()
    at = next(place for place, line in enumerate(lines) if line.endswith("  archived"))
    assert lines[at].startswith("2026-03-04T")
    assert spent.ids["2026-03-04"] in lines[at + 1]
    assert lines[at + 1].endswith("rule archive-duplicates")
    assert lines[at + 2] == "  is member 102 too; c102 is kept"


@pytest.mark.parametrize("case", story()["comparisons"], ids=lambda case: f"{case['old'][-2:]}-{case['new'][-2:]}")
def test_diff(case: Mapping[str, Any], there: Place, spent: Spent) -> None:
    """Between two nights: what is new, resolved, persistent and flapping, and who came back."""
    found = read(there, "diff", spent.ids[case["old"]], spent.ids[case["new"]])
    said = []
    for pair in found["actions"]:
        one = pair["new"] or pair["old"]
        flapping = ", flapping" if pair["flapping"] else ""
        said.append(f"{pair['status']}{flapping}: {one['do']} {one.get('contact') or one['member']}")
    said += [f"came back: {one['contact']}" for one in found["came_back"]]
    assert said == case.get("says", [])


def test_history_of_the_last_nights(there: Place, spent: Spent) -> None:
    """--last and --since narrow the runs, and the table says of how many."""
    ids = list(spent.ids.values())
    assert [run["plan"] for run in read(there, "history", "--last", "3")["runs"]] == ids[-3:]
    assert [run["plan"] for run in read(there, "history", "--since", "2026-03-09")["runs"]] == ids[-2:]
    assert [run["plan"] for run in read(there, "history", "--since", "2026-03-01", "--last", "1")["runs"]] == ids[-1:]
    assert read(there, "history", "--since", "2027-01-01") == {"runs": [], "trends": []}
    assert "\n3 of 10 runs\n" in there.run("history", "--last", "3").out


def test_a_chart_is_the_same_every_time(there: Place) -> None:
    """One file without a date, drawn twice to the same bytes, with a line for each measure; the table comes as well."""
    table = there.run("history").out
    for name in ("one.svg", "two.svg"):
        done = there.run("history", "--chart", name)
        assert (done.code, done.out) == (ExitCode.DONE, table)
    drawn = (there.folder / "one.svg").read_text("utf-8")
    assert drawn == (there.folder / "two.svg").read_text("utf-8")
    assert re.findall(r">(Duplicates|Failures|Drift):", drawn) == ["Duplicates", "Failures", "Drift"]
    assert "<dc:date>" not in drawn
    assert not re.search(
        r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org)[^\s\"]", drawn.split("<defs>", 1)[1]
    )


def test_a_record_that_was_edited_is_named(there: Place, spent: Spent, tmp_path: Path) -> None:
    """The others are read all the same, and the exit code says that this is not the whole story."""
    copy = tmp_path / "edited"
    copy.mkdir()
    for record in spent.plans.glob("*.json"):
        (copy / record.name).write_bytes(record.read_bytes())
    damaged = copy / f"{spent.ids['2026-03-04']}.json"
    damaged.write_bytes(damaged.read_bytes().replace(b"c102 is kept", b"c103 is kept"))
    there.set(RECONCILER_PLANS=str(copy))
    for command in (("history",), ("timeline", "102"), ("diff", spent.ids["2026-03-03"], spent.ids["2026-03-05"])):
        done = there.run(*command)
        assert done.code == ExitCode.ERROR, command
        assert damaged.name in done.err
        assert done.err.splitlines()[-1].startswith("Next: ")
        assert "2026-03-05" in done.out


WHO_IS_ERASED = ["everybody", "101", "102"]


@pytest.mark.parametrize("who", WHO_IS_ERASED)
def test_erased_nights_still_tell_what_happened(who: str, there: Place, spent: Spent, tmp_path: Path) -> None:
    """When, what, whose, which rule and what became of it are answered after an erasure, without a value; exit 0."""
    copy = tmp_path / "erased"
    shutil.copytree(spent.plans, copy)
    told = [there.run(*command) for command in looking_back(spent)]
    store = PlanStore(str(copy))
    assert store.erase_old(before=datetime(2027, 1, 1, tzinfo=UTC)) if who == "everybody" else store.erase_member(who)
    there.set(RECONCILER_PLANS=str(copy))
    for command, before in zip(looking_back(spent), told, strict=True):
        after = there.run(*command)
        assert (after.code, after.err) == (ExitCode.DONE, ""), command
        assert without_values(json.loads(after.out)) == without_values(json.loads(before.out)), command


def looking_back(spent: Spent) -> list[tuple[str, ...]]:
    """Everything that is asked of the past, as JSON."""
    subjects = spent.told["timelines"]
    between = [(spent.ids[case["old"]], spent.ids[case["new"]]) for case in spent.told["comparisons"]]
    return [
        ("history", "--json"),
        *(("timeline", subject, "--json") for subject in subjects),
        *(("diff", *pair, "--json") for pair in between),
    ]


VALUES = {"before", "after", "says", "read", "value", "id", "finding", "expect", "set", "flapping", "plans_read"}
"""What an erasure takes out; and what comes and goes, which nobody can tell without the values."""


def without_values(told: Any) -> Any:
    """What is told, without any value; of fields their names, in alphabetical order, as an erasure leaves them."""
    if isinstance(told, dict):
        kept = {name: without_values(one) for name, one in told.items() if name not in VALUES}
        fields = {name: sorted(told[name]) for name in ("expect", "set") if name in told}
        changes = {name: sorted(one["field"] for one in told[name]) for name in ("changes",) if name in told}
        return kept | fields | changes
    return list(map(without_values, told)) if isinstance(told, list) else told
