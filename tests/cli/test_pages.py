"""The page beside each plan that people make: the one that `show` makes of it, and never worth a plan."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from pathlib import Path

from reconciler.errors import ExitCode
from reconciler.runs.bucket import open_objects
from reconciler.runs.store import PlanStore
from tests.cli.support import SECONDS, Place
from tests.cli.test_erase import values_of
from tests.services.s3 import S3


def page_of(plan_id: str) -> str:
    """The page of a plan, as it is stored."""
    return Path("plans", f"{plan_id}.html").read_text("utf-8")


def test_a_plan_has_its_page_beside_it(place: Place) -> None:
    """The one that `show --format html` makes of the record; `show` goes on reading the record."""
    made = place.plan()
    shown = place.run("show", made.id, "--format", "html").out
    assert page_of(made.id) == shown
    Path("plans", f"{made.id}.html").write_text("<p>Somebody else's words</p>")
    assert place.run("show", made.id, "--format", "html").out == shown
    assert place.run("verify").code == ExitCode.DONE
    assert len(json.loads(place.run("history", "--json").out)["runs"]) == 1


def test_an_apply_without_a_plan_and_an_undo_make_pages_too(own_place: Place) -> None:
    """Every plan that people are to read has one, whichever command made it."""
    assert own_place.run("apply", "--auto-approve").code == ExitCode.DONE
    (first,) = PlanStore("plans").list_ids()
    assert own_place.run("undo", first).code == ExitCode.DONE
    back = next(one for one in PlanStore("plans").list_ids() if one != first)
    for plan_id in (first, back):
        assert page_of(plan_id) == own_place.run("show", plan_id, "--format", "html").out


def test_who_is_erased_is_on_no_page(own_place: Place) -> None:
    """The page goes with the values in the record, and the record can still be shown as a page."""
    made = own_place.plan()
    member = next(one.member for one in made.actions if one.member and values_of(made, one.member))
    assert any(value in html.unescape(page_of(made.id)) for value in values_of(made, member))
    assert own_place.run("erase", member, "--yes").code == ExitCode.DONE
    assert not Path("plans", f"{made.id}.html").exists()
    shown = html.unescape(own_place.run("show", made.id, "--format", "html").out)
    assert [value for value in values_of(made, member) if value in shown] == []


def test_without_what_makes_pages_there_is_a_plan_all_the_same(place: Place, tmp_path: Path) -> None:
    """jinja2 is not even imported before the plan is stored; that there is no page is one line on stderr."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "jinja2.py").write_text("raise ModuleNotFoundError('Grace, 202 555 0111')")
    ended = subprocess.run(
        [sys.executable, "-m", "reconciler.cli", "plan", "--json"],
        cwd=place.folder,
        env={**place.environment(), "PYTHONPATH": f"{tmp_path / 'hidden'}:{place.environment()['PYTHONPATH']}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    (plan_id,) = PlanStore("plans").list_ids()
    assert ended.returncode == ExitCode.DONE
    assert json.loads(ended.stdout)["id"] == plan_id
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert said == [f"The plan is stored, but not its page {plan_id}.html: ModuleNotFoundError"]
    assert list(Path("plans").glob("*.html")) == []


def test_a_bucket_that_takes_no_pages_keeps_the_plan(place: Place, s3: S3) -> None:
    """Rights for records alone: the plan is stored, shown and verified; the line names the page and what was said."""
    location = s3.new_bucket()
    place.set(RECONCILER_PLANS=location, **s3.environment)
    s3.refuses_pages = True
    done = place.run("plan")
    (plan_id,) = PlanStore(location, s3.environment).list_ids()
    assert done.code == ExitCode.DONE
    assert done.out.startswith(f"Plan {plan_id}\n")
    said = [line for line in done.err.splitlines() if not line.startswith("{")]
    assert len(said) == 1
    assert said[0].startswith(f"The plan is stored, but not its page {plan_id}.html: cannot write {location}/{plan_id}")
    assert "1 record is as written" in place.run("verify").out
    s3.refuses_pages = False
    assert place.run("plan", "--only", "100102").err.count("not its page") == 0
    assert [name for name in open_objects(location, s3.environment).names() if name.endswith(".html")] != []
