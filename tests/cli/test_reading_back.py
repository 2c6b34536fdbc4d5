"""history, timeline, diff and export as people call them; what they tell is held by the ten nights."""

from __future__ import annotations

import csv
import html
import json
import re
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core import plan as plan_file
from reconciler.errors import ExitCode
from reconciler.report.sheet import COLUMNS, cell_text
from reconciler.runs.store import PlanStore
from tests.cli.support import DEMO, SECONDS, Place
from tests.runs.test_reading import store_nights
from tests.support.positions import plan_of, rows_of, source_of

KEY = "canary-key-of-redaction"


def people() -> list[str]:
    """Every name, e-mail and phone of the demo's members, and of the contacts that the workspace holds."""
    with (DEMO / "members.csv").open(encoding="utf-8", newline="") as file:
        rows = [[row[column] for column in ("firstname", "lastname", "email", "phone")] for row in csv.DictReader(file)]
    lines = (DEMO / "contacts.jsonl").read_text("utf-8").splitlines()
    rows += [[str(one.get(field) or "") for field in ("name", "email", "phone")] for one in map(json.loads, lines)]
    return sorted({value for row in rows for value in row if value})


def named(text: str) -> list[str]:
    """Those of them that a text names."""
    return [value for value in people() if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text)]


def test_history_and_timeline_of_nothing(place: Place, snapshot: SnapshotAssertion) -> None:
    """Before the first plan there is nothing to tell, and that is no error."""
    for words in (["history"], ["history", "--json"], ["timeline", "100102"], ["timeline", "100102", "--json"]):
        assert place.plain(place.run(*words)) == snapshot(name=" ".join(words))


def test_history_and_timeline_of_a_plan(place: Place, snapshot: SnapshotAssertion) -> None:
    """A plan that nobody has applied yet."""
    place.plan()
    for words in (["history"], ["timeline", "100107"], ["timeline", "100107", "--json"]):
        shown = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DAY AND MINUTE", place.plain(place.run(*words)))
        assert shown == snapshot(name=" ".join(words))


def test_diff_of_two_plans(place: Place, snapshot: SnapshotAssertion) -> None:
    """The same night planned twice, the second time for one member only."""
    first = place.plan()
    second = place.plan("--only", "100107")
    for words in ([], ["--format", "markdown"], ["--all"]):
        assert place.plain(place.run("diff", first.id, second.id, *words)) == snapshot(name=" ".join(words))
    assert place.run("diff", first.id, "20200101").code == ExitCode.ERROR


def test_diff_of_plans_for_two_targets(place: Place) -> None:
    """One line says why not, and where it is seen which plan is for what; history shows it once there are both."""
    contacts = place.plan()
    assert "Target" not in place.run("history").out
    store = PlanStore("plans")
    rows = plan_of(source_of([("100", "pres")]), rows_of([]))
    store.put_plan(msgspec.structs.replace(rows, previous=store.latest_digest()))
    done = place.run("diff", contacts.id, rows.id)
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert done.err.splitlines() == [
        f"Error: plan {contacts.id} is for contacts, and plan {rows.id} for positions: they have nothing in common",
        "Next: Name two plans for one target. `reconcile history` shows what each is for.",
    ]
    heading, *lines = place.run("history").out.splitlines()
    assert "  Target  " in heading
    assert [line.split()[1] for line in lines[:2]] == ["positions", "contacts"]


def test_export(place: Place) -> None:
    """CSV by default, the bytes of the plan file on demand; to stdout, or to a file of the person's own."""
    made = place.plan()
    done = place.run("export", made.id)
    assert (done.code, done.err) == (ExitCode.DONE, "")
    rows = list(csv.DictReader(StringIO(done.out, newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert {row["id"] for row in rows if row["what"] == "action"} == {action.id for action in made.actions}
    phones = [row["after"] for row in rows if row["field"] == "phone" and row["after"]]
    assert phones
    assert all(phone.startswith("'+1") and cell_text(phone) == phone[1:] for phone in phones)
    assert place.run("export", made.id, "--format", "json").out == plan_file.encode(made).decode()
    assert place.run("export", made.id, "--out", "plan.csv").out == ""
    written = place.folder / "plan.csv"
    assert written.read_bytes().decode() == done.out
    assert written.stat().st_mode & 0o077 == 0
    assert place.run("export", made.id, "--out", "none/plan.csv").code == ExitCode.ERROR


REDACTING = [
    ["show"],
    ["show", "--json"],
    ["show", "--format", "markdown"],
    ["show", "--format", "html"],
    ["export"],
    ["export", "--format", "json"],
]


@pytest.mark.parametrize("words", REDACTING, ids=" ".join)
def test_redacted(words: list[str], place: Place) -> None:
    """No format of a redacted plan says who anybody is, and none does without a key."""
    made = place.plan()
    refused = place.run(words[0], made.id, *words[1:], "--redact")
    assert (refused.code, refused.out) == (ExitCode.ERROR, "")
    assert "RECONCILER_REDACT_KEY is not set" in refused.err
    place.set(RECONCILER_REDACT_KEY=KEY)
    plain, hidden = place.run(words[0], made.id, *words[1:]), place.run(words[0], made.id, *words[1:], "--redact")
    assert hidden.code == ExitCode.DONE
    assert len(named(html.unescape(plain.out))) > 10
    assert named(html.unescape(str(hidden))) == []
    assert KEY not in str(hidden)
    assert "100107" in hidden.out


def test_a_short_key_is_refused(place: Place) -> None:
    """Who can guess the key can try phones until a token fits."""
    made = place.plan()
    place.set(RECONCILER_REDACT_KEY="fifteen-letters")
    done = place.run("show", made.id, "--redact")
    assert done.code == ExitCode.ERROR
    assert "RECONCILER_REDACT_KEY is malformed" in done.err
    assert "fifteen" not in done.err


def test_redacted_files_compare_as_the_plans_do(place: Place) -> None:
    """Two plans written without personal data say the same to `diff` as the two plans do."""
    place.set(RECONCILER_REDACT_KEY=KEY)
    first = place.plan()
    second = place.plan("--only", "100107")
    for number, made in enumerate((first, second)):
        (place.folder / f"{number}.json").write_text(place.run("show", made.id, "--json", "--redact").out)
    files = json.loads(place.run("diff", "0.json", "1.json", "--json").out)
    plans = json.loads(place.run("diff", first.id, second.id, "--json").out)
    hidden = place.run("diff", first.id, second.id, "--json", "--redact")
    assert files["counts"] == plans["counts"]
    assert [pair["status"] for pair in files["actions"]] == [pair["status"] for pair in plans["actions"]]
    assert json.loads(hidden.out)["actions"] == files["actions"]
    assert named(hidden.out) == []


def test_a_redacted_plan_is_not_applied(place: Place) -> None:
    """Its creates would put tokens into Intercom; it is refused before any call."""
    place.set(RECONCILER_REDACT_KEY=KEY)
    made = place.plan()
    place.run("export", made.id, "--format", "json", "--redact", "--out", "redacted.json")
    place.set(RECONCILER_PLANS="elsewhere")
    calls = len(place.simulator.calls)
    done = place.run("apply", "redacted.json")
    assert (done.code, done.out) == (ExitCode.HELD, "")
    assert "redacted" in done.err
    assert len(place.simulator.calls) == calls


def test_a_redacted_plan_shows_its_own_summary(place: Place) -> None:
    """A reviewer reads what the plan does, and not that a copy of it may not run."""
    place.set(RECONCILER_REDACT_KEY=KEY)
    made = place.plan()
    plain, hidden = place.run("show", made.id).out, place.run("show", made.id, "--redact").out
    counts = next(line for line in plain.splitlines() if line.startswith("Plan: "))
    assert f"\n{counts}\n" in hidden
    assert "REFUSED" not in hidden


def test_400_nights_are_read_in_seconds(place: Place) -> None:
    """More than a year of nights: the table, a timeline and a comparison of the first with the last."""
    plans = store_nights(place.folder / "year", 400)
    place.set(RECONCILER_PLANS="year")
    began = time.process_time()
    runs = json.loads(place.run("history", "--json").out)["runs"]
    events = json.loads(place.run("timeline", "c399", "--json").out)["events"]
    found = json.loads(place.run("diff", plans[0].id, plans[-1].id, "--json").out)
    assert time.process_time() - began < SECONDS / 2
    assert [run["plan"] for run in runs] == [plan.id for plan in plans]
    assert [event["event"] for event in events] == ["planned", "done"]
    assert found["plans_read"] == 400


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["history", "--last", "0"], "--last"),
        (["history", "--since", "March"], "--since"),
        (["timeline"], "MEMBER|CONTACT"),
        (["timeline", " "], "is blank"),
        (["diff", "20261123"], "NEW"),
        (["export", "x", "--format", "xlsx"], "'csv', 'json'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(arguments: list[str], says: str, place: Place) -> None:
    """What cannot be meant is answered with 64 and what is right."""
    done = place.run(*arguments)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert says in done.err


def test_a_chart_without_matplotlib(place: Place, tmp_path: Path) -> None:
    """The charts are an extra: where it is not installed, the message says how to get it, and writes no file."""
    store_nights(place.folder / "year", 3)
    place.set(RECONCILER_PLANS="year")
    (tmp_path / "hidden" / "matplotlib").mkdir(parents=True)
    (tmp_path / "hidden" / "matplotlib" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')"
    )
    environment = dict(place.environment())
    environment["PYTHONPATH"] = f"{tmp_path / 'hidden'}:{environment['PYTHONPATH']}"
    ended = subprocess.run(
        [sys.executable, "-m", "reconciler.cli", "history", "--chart", "out.svg"],
        cwd=place.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (ExitCode.ERROR, "")
    assert ended.stderr.splitlines() == [
        "Error: a chart needs matplotlib: matplotlib is not installed",
        "Next: Install it with `pip install 'reconciler[charts]'`, or leave --chart out.",
    ]
    assert not (place.folder / "out.svg").exists()


def test_a_chart_that_cannot_be_written(place: Place) -> None:
    """The message names the option that is wrong."""
    store_nights(place.folder / "year", 3)
    place.set(RECONCILER_PLANS="year")
    done = place.run("history", "--chart", "none/out.svg")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "Next: Name another file with --chart." in done.err
