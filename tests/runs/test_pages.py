"""The HTML page beside a plan: there for reading, in no place of the chain, and gone with what it shows."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest

from reconciler.core.plan import Plan
from reconciler.report.html import plan_html
from reconciler.runs.bucket import open_objects
from reconciler.runs.reading import Reading
from reconciler.runs.store import PlanStore
from tests.report.plans import every_kind, make_action, make_plan
from tests.runs.test_bucket import store_in
from tests.runs.test_chain import verified
from tests.runs.test_retention import ANN, BENS, NIGHTS, SECRETS, holding, plan_of_both, store
from tests.runs.test_store import put_outcome
from tests.services.s3 import S3

__all__ = ["store"]

VERIFY = Path(__file__).parents[2] / "docs" / "verify.py"
LATER = datetime(2026, 1, 3, tzinfo=UTC)


def put_page(store: PlanStore, plan: Plan) -> str | None:
    """The page of a plan, as `reconcile plan` stores it."""
    return store.put_page(plan.id, plan_html(plan).encode())


def pages_of(store: PlanStore) -> list[str]:
    """The names of all pages in a folder."""
    return sorted(path.name for path in Path(store.location).glob("*.html"))


@pytest.fixture
def with_pages(store: PlanStore) -> PlanStore:
    """Some nights, each plan with its page."""
    for plan_id in store.list_ids():
        put_page(store, store.get_plan(plan_id))
    return store


def test_pages_are_in_nobodys_way(store: PlanStore) -> None:
    """Plans, outcomes, the chain and both verifiers are with pages as they were without."""
    folder = Path(store.location)

    def all_that_is_read() -> object:
        alone = subprocess.run(
            [sys.executable, str(VERIFY), str(folder), "--json"], capture_output=True, text=True, check=False
        )
        records = store.list_records(), Reading(store).run_ids(), store.latest_digest(), store.last_good()
        return verified(folder), alone.stdout, alone.returncode, records

    before = all_that_is_read()
    names = [put_page(store, store.get_plan(plan_id)) for plan_id in store.list_ids()]
    assert pages_of(store) == names == [f"{plan_id}.html" for plan_id in store.list_ids()]
    assert all_that_is_read() == before
    Path(folder, str(names[0])).write_text("<p>Somebody else's words</p>")
    assert all_that_is_read() == before


def test_a_page_is_written_anew(store: PlanStore) -> None:
    """Unlike a record, it may be replaced."""
    plan = store.get_plan(store.list_ids()[0])
    store.put_page(plan.id, b"an earlier release made it")
    name = put_page(store, plan)
    assert Path(store.location, str(name)).read_text("utf-8") == plan_html(plan)


def test_who_is_erased_is_on_no_page(with_pages: PlanStore) -> None:
    """A page that shows a member goes with the values in its record; the pages of other plans stay."""
    other = make_plan(make_action(7, contact="c-cy", expect={"name": "Cy Orr"}, set={"name": "Cy Ore"}))
    with_pages.put_plan(other)
    put_page(with_pages, other)
    assert len(holding(with_pages, SECRETS)) == 3 * NIGHTS
    with_pages.erase_member(ANN)
    assert holding(with_pages, SECRETS) == []
    assert pages_of(with_pages) == [f"{other.id}.html"]
    assert len(holding(with_pages, ("Cy Orr",))) == 2


def test_old_plans_lose_their_pages(with_pages: PlanStore) -> None:
    """Those made before a day; the pages of younger ones stay."""
    with_pages.erase_old(before=LATER)
    assert min(holding(with_pages, (*SECRETS, *BENS))) > "20260103"
    assert pages_of(with_pages) == [f"{plan_of_both(night, None).id}.html" for night in (3, 4)]


@pytest.mark.parametrize("how", ["a member", "all that is old"])
def test_a_crash_before_the_page_is_removed_is_mended_by_the_next_call(with_pages: PlanStore, how: str) -> None:
    """The record is without values already, and its page still shows them."""
    folder = Path(with_pages.location)
    kept = {path.name: path.read_bytes() for path in folder.glob("20260101*.html")}

    def erase() -> None:
        if how == "a member":
            with_pages.erase_member(ANN)
        else:
            with_pages.erase_old(before=LATER)

    erase()
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    assert len(kept) == 1
    erase()
    assert [name for name in pages_of(with_pages) if name in kept] == []


def test_a_page_that_comes_after_the_erasure_does_not_stay(store: PlanStore) -> None:
    """Whoever read the plan before somebody was erased, and stores its page after that, stores none."""
    plan = store.get_plan(store.list_ids()[-1])
    store.erase_member(ANN)
    assert put_page(store, plan) is None
    assert pages_of(store) == []


def test_a_plan_that_is_not_stored_has_no_page(store: PlanStore) -> None:
    """A page alone would be taken for the plan."""
    assert put_page(store, every_kind()) is None
    assert pages_of(store) == []


def test_a_bucket_keeps_pages_as_a_folder_does(s3: S3) -> None:
    """As HTML, to be opened in a browser from the bucket itself; verified as before, and gone with the values."""
    store = store_in(s3)
    plan = every_kind()
    store.put_plan(plan)
    put_outcome(store, plan)
    before = store.verify()
    assert put_page(store, plan) == f"{plan.id}.html"
    bucket = open_objects(store.location, s3.environment)
    found = obstore.get(bucket._store(), f"{plan.id}.html")
    assert found.attributes["Content-Type"] == "text/html; charset=utf-8"
    assert bytes(found.bytes()).decode() == plan_html(plan)
    assert store.verify() == before
    assert (store.list_ids(), store.get_plan(plan.id)) == ([plan.id], plan)
    store.erase_old(before=datetime(2027, 1, 1, tzinfo=UTC))
    assert bucket.names() == [f"{plan.id}.json", f"{plan.id}.outcome.json"]
