from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import obstore
import pytest

from reconciler.core import plan as plan_file
from reconciler.errors import PlanError, PlanUnreadable, ReconcilerError, SettingsError
from reconciler.runs.bucket import open_objects
from reconciler.runs.store import PlanStore
from tests.report.plans import every_kind
from tests.runs.test_store import DONE, plan_at, put_outcome
from tests.services.s3 import S3


def store_in(s3: S3, location: str | None = None) -> PlanStore:
    """A store in a bucket; a new one, where none is named."""
    return PlanStore(location or s3.new_bucket(), s3.environment)


def test_a_bucket_keeps_what_a_folder_keeps(s3: S3) -> None:
    """Plans and outcomes in a bucket are found by another process, by id, by its beginning, and in order."""
    store = store_in(s3)
    assert store.list_ids() == []
    assert store.latest_digest() is None
    store.put_plan(every_kind())
    first = plan_at(1, previous=store.latest_digest())
    store.put_plan(first)
    put_outcome(store, first)
    again = store_in(s3, store.location)
    assert again.list_ids() == [first.id, every_kind().id]
    assert again.get_plan(every_kind().id[:8]) == every_kind()
    assert again.get_outcome(first.id).outcomes == DONE
    assert again.get_outcome(first.id).previous == plan_file.digest_of(plan_file.encode(first))
    assert again.has_outcome(first.id)
    assert not again.has_outcome(every_kind().id)
    newest = again.last_good(target="contacts")
    assert newest is not None
    assert newest.id == every_kind().id


def test_a_bucket_is_put_if_absent(s3: S3) -> None:
    """The same plan again is a success; another under the same id is refused and changes nothing."""
    store = store_in(s3)
    assert store.put_plan(plan_at(1)) == store.put_plan(plan_at(1))
    with pytest.raises(PlanError, match="exists already with other content"):
        store_in(s3, store.location).put_plan(plan_at(1, tool="other"))
    assert store.get_plan(plan_at(1).id) == plan_at(1)


def test_a_store_that_overwrites_is_refused(s3: S3) -> None:
    """A server that passes over If-None-Match is found out before a plan is made or stored; nothing is lost in it."""
    good = store_in(s3)
    good.put_plan(plan_at(1))
    s3.forgets_conditions = True
    for location in (None, good.location):
        for first_use in ("a plan is begun", "a plan is stored"):
            store = store_in(s3, location)
            with pytest.raises(SettingsError, match="overwrites objects that are there already") as refused:
                store.ready() if first_use == "a plan is begun" else store.put_plan(plan_at(2))
            assert "conditional writes" in refused.value.next_step
            assert store.list_ids() == ([plan_at(1).id] if location else [])
    s3.forgets_conditions = False
    again = store_in(s3, good.location)
    again.ready()
    assert again.get_plan(plan_at(1).id) == plan_at(1)


@pytest.mark.parametrize("lost", range(1, 11))
def test_a_lost_answer_is_a_success_when_the_object_is_there(s3: S3, lost: int) -> None:
    """Of the PUTs of two records (the probe twice, then part, keys, link and record) any may lose its answer."""
    store = store_in(s3)
    s3.loses_answer_to = lost
    store.put_plan(plan_at(1))
    put_outcome(store, plan_at(1))
    assert s3.loses_answer_to == 0
    found = store.verify()
    assert (found.records, found.flaws) == (2, ())
    assert store_in(s3, store.location).get_outcome(plan_at(1).id).outcomes == DONE
    assert store_in(s3, store.location).latest_digest() is not None


def test_a_server_in_trouble_is_asked_again(s3: S3) -> None:
    """Two 500s in a row are waited out."""
    store = store_in(s3)
    s3.refuses = 2
    store.put_plan(plan_at(1))
    assert store.list_ids() == [plan_at(1).id]


def test_of_eight_writers_each_gets_a_place_of_its_own(s3: S3) -> None:
    """Racing for the same place in the chain, all records come to stand, one after the other."""
    location = s3.new_bucket()
    plans = [plan_at(1 + number, previous=None) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda plan: store_in(s3, location).put_plan(plan), plans))
    assert store_in(s3, location).list_ids() == [plan.id for plan in plans]
    names = sorted(name for name in open_objects(location, s3.environment).names("chain") if name != "probe")
    assert names == [f"{number:08}.json" for number in range(1, 9)]


def test_a_bucket_is_erased_and_verified_like_a_folder(s3: S3) -> None:
    """Personal data is taken out of an old plan in place; the chain still proves the rest."""
    store = store_in(s3)
    store.put_plan(every_kind())
    put_outcome(store, every_kind())
    head = store.verify().head
    assert len(store.erase_old(before=datetime(2027, 1, 1, tzinfo=UTC))) == 2
    found = store_in(s3, store.location).verify(head=head)
    assert (found.records, found.erased, found.flaws) == (2, 2, ())
    assert not store_in(s3, store.location).get_plan(every_kind().id).applyable


def test_an_edited_object_is_refused(s3: S3) -> None:
    """Whoever overwrites a plan in the bucket is found out when it is read, and nothing is built on it."""
    store = store_in(s3)
    name = store.put_plan(plan_at(1))
    bucket = open_objects(store.location, s3.environment)
    obstore.put(bucket._store(), name, bucket.get(name).replace(b"+17654657031", b"+17654657032"))
    with pytest.raises(PlanUnreadable, match=r"s3://plans-\d+/union/plans/.*8f3a1c5e\.json was changed"):
        store.get_plan(plan_at(1).id)
    with pytest.raises(PlanUnreadable, match="newest record"):
        store.ready()


def test_a_bucket_that_is_not_there(s3: S3) -> None:
    """An address that opens nothing is refused with the address, and the settings to look at."""
    with pytest.raises(ReconcilerError, match="cannot read s3://no-such-bucket/plans") as refused:
        PlanStore("s3://no-such-bucket/plans", s3.environment).list_ids()
    assert "AWS_ENDPOINT_URL" in refused.value.next_step


def test_nothing_goes_over_plain_http_to_another_machine() -> None:
    """Plans hold personal data: without TLS they go to this machine only."""
    environment = {"AWS_ENDPOINT_URL": "http://plans.example:9000", "AWS_ACCESS_KEY_ID": "x", "AWS_REGION": "x"}
    with pytest.raises(ReconcilerError, match="cannot read s3://bucket/plans"):
        PlanStore("s3://bucket/plans", {**environment, "AWS_SECRET_ACCESS_KEY": "x"}).list_ids()
