from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.core import link as link_file
from reconciler.core import sealed
from reconciler.core.plan import Plan
from reconciler.errors import PlanUnreadable
from reconciler.runs.audit import Audit
from reconciler.runs.ledger import Ledger
from reconciler.runs.objects import Folder
from reconciler.runs.store import PlanStore
from tests.report.plans import make_action, make_plan
from tests.runs.test_store import put_outcome
from tests.services.s3 import S3
from tests.support.campaign import NIGHTLY

VERIFIER = Path(__file__).parents[2] / "docs" / "verify.py"
NIGHTS = 50


def plan_of(night: int, previous: str | None = None) -> Plan:
    """A small plan, as one night makes it."""
    return make_plan(make_action(), id=f"202611{1 + night // 24:02}T{night % 24:02}3000Z-8f3a1c5e", previous=previous)


def chain(folder: Path, nights: int) -> PlanStore:
    """A store of so many nights: two records each."""
    store = PlanStore(str(folder))
    for night in range(nights):
        store.put_plan(plan := plan_of(night, store.latest_digest()))
        put_outcome(store, plan)
    return store


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of a hundred records. Nobody may change it: copy it."""
    return Path(chain(tmp_path_factory.mktemp("chain") / "plans", NIGHTS).location)


@pytest.fixture
def copy(hundred: Path, tmp_path: Path) -> Path:
    """A copy of the chain of a hundred that may be changed."""
    return Path(shutil.copytree(hundred, tmp_path / "plans"))


def alone(folder: Path, *options: str) -> dict[str, Any]:
    """What docs/verify.py says, as a program that was copied away from here."""
    command = [sys.executable, "-I", str(VERIFIER), str(folder), "--json", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(ran.stdout)
    assert ran.returncode == (1 if report["flaws"] else 0)
    return report


def verified(folder: Path, *, head: str | None = None) -> Audit:
    """What `reconcile verify` finds, and docs/verify.py to the letter the same."""
    found = PlanStore(str(folder)).verify(head=head)
    assert alone(folder, *(() if head is None else ("--head", head))) == json.loads(msgspec.json.encode(found))
    return found


def record(night: int) -> str:
    """The name of a plan."""
    return f"{plan_of(night).id}.json"


def reseal(path: Path, old: bytes, new: bytes) -> None:
    """Edit a record, and make its digest fit, as somebody who knows the format would."""
    body, _, tail = path.read_bytes().rpartition(b' "previous": ')
    assert old in body
    path.write_bytes(sealed.seal(body.replace(old, new), previous=json.loads(tail.partition(b",")[0])))


def test_a_chain_that_nobody_touched(hundred: Path) -> None:
    """Two records a night, each after the one before it; the head is the digest of the newest link."""
    found = verified(hundred)
    assert (found.records, found.erased, found.flaws) == (2 * NIGHTS, 0, ())
    newest = (hundred / "chain" / f"{2 * NIGHTS:08}.json").read_bytes()
    assert found.head == sealed.digest_of(newest)
    assert found.head is not None
    assert verified(hundred, head=found.head).flaws == ()


def test_an_empty_place(tmp_path: Path) -> None:
    """Where nothing is stored nothing is wrong, but for a head that was noted."""
    assert PlanStore(str(tmp_path / "none")).verify() == Audit(0, 0, None, ())
    assert [flaw.kind for flaw in verified(tmp_path, head="sha256:" + "0" * 64).flaws] == ["cut"]


def unlink(*paths: Path) -> None:
    """Remove files."""
    for path in paths:
        path.unlink()


def swap(one: Path, other: Path) -> None:
    """Give two files each other's name."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


TAMPERED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a value is edited": (
        lambda at: (at / record(7)).write_bytes((at / record(7)).read_bytes().replace(b"+1765", b"+1766")),
        record(7),
        "edited",
    ),
    "a value is edited and the digest made to fit": (
        lambda at: reseal(at / record(7), b"+1765", b"+1766"),
        record(7),
        "edited",
    ),
    "an outcome is edited and the digest made to fit": (
        lambda at: reseal(at / f"{plan_of(7).id}.outcome.json", b'"done"', b'"held"'),
        f"{plan_of(7).id}.outcome.json",
        "edited",
    ),
    "a record is emptied": (lambda at: (at / record(7)).write_bytes(b""), record(7), "edited"),
    "a record is dropped": (lambda at: (at / record(7)).unlink(), record(7), "dropped"),
    "a record and its link are dropped": (
        lambda at: unlink(at / record(7), at / "chain" / "00000015.json"),
        "chain/00000015.json",
        "dropped",
    ),
    "the first record and its link are dropped": (
        lambda at: unlink(at / record(0), at / "chain" / "00000001.json"),
        "chain/00000001.json",
        "dropped",
    ),
    "two records change places": (lambda at: swap(at / record(7), at / record(9)), record(7), "reordered"),
    "two links change places": (
        lambda at: swap(at / "chain" / "00000015.json", at / "chain" / "00000019.json"),
        "chain/00000015.json",
        "reordered",
    ),
    "a link is edited": (
        lambda at: (at / "chain" / "00000015.json").write_bytes(
            (at / "chain" / "00000015.json").read_bytes().replace(b"true", b"false")
        ),
        "chain/00000015.json",
        "edited",
    ),
    "record and link are made anew": (lambda at: made_anew(at, 15), "chain/00000016.json", "forked"),
    "two records change places, and all links from there on are made anew": (
        lambda at: links_made_anew(at, swapped=15),
        f"{plan_of(7).id}.outcome.json",
        "forked",
    ),
    "another history from a record on": (
        lambda at: (at / record(60)).write_bytes(_plan_after(at, 14)),
        record(60),
        "forked",
    ),
    "a record out of nowhere": (
        lambda at: (at / record(60)).write_bytes(_encoded(plan_of(60, "sha256:" + "f" * 64))),
        record(60),
        "added",
    ),
    "all links are gone": (lambda at: shutil.rmtree(at / "chain"), record(0), "added"),
}
"""What is done to a chain of a hundred → what is found first, and of which kind it is."""


def _encoded(plan: Plan) -> bytes:
    from reconciler.core.plan import encode  # noqa: PLC0415 - beside `sealed` two modules would be called the same

    return encode(plan)


def _plan_after(folder: Path, number: int) -> bytes:
    data = (folder / "chain" / f"{number:08}.json").read_bytes()
    return _encoded(plan_of(60, link_file.decode(data, where="x").record_digest))


def made_anew(folder: Path, number: int) -> None:
    """Somebody who may write edits a record, and makes its link fit; the next link names the one that was there."""
    path = folder / "chain" / f"{number:08}.json"
    link = link_file.decode(path.read_bytes(), where="x")
    reseal(folder / link.record, b"+1765", b"+1766")
    digest = sealed.digest_of((folder / link.record).read_bytes())
    path.write_bytes(link_file.encode(msgspec.structs.replace(link, record_digest=digest)))


def links_made_anew(folder: Path, *, swapped: int) -> None:
    """Somebody who may write puts a record before the one that it follows, and makes every later link fit."""
    paths = sorted((folder / "chain").iterdir())
    links = [link_file.decode(path.read_bytes(), where="x") for path in paths]
    one, other = links[swapped - 1], links[swapped]
    links[swapped - 1] = msgspec.structs.replace(other, number=swapped)
    links[swapped] = msgspec.structs.replace(one, number=swapped + 1)
    previous = links[swapped - 2]
    for place in range(swapped - 1, len(links)):
        digest = sealed.digest_of(link_file.encode(previous))
        previous = msgspec.structs.replace(links[place], previous=digest)
        paths[place].write_bytes(link_file.encode(previous))


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_done_to_a_chain_is_found(copy: Path, name: str) -> None:
    """The first record that is not as it was written is named, with what was done to it."""
    tamper, first, kind = TAMPERED[name]
    tamper(copy)
    found = verified(copy)
    assert found.flaws, name
    assert (found.flaws[0].record, found.flaws[0].kind) == (first, kind)


def test_a_tail_that_was_cut_off_is_found_by_a_head_noted_elsewhere(copy: Path) -> None:
    """Without the last records the chain is sound by itself; the head that was noted is no longer in it."""
    head = verified(copy).head
    for number in range(90, 2 * NIGHTS + 1):
        path = copy / "chain" / f"{number:08}.json"
        (copy / link_file.decode(path.read_bytes(), where="x").record).unlink()
        path.unlink()
    found = verified(copy)
    assert (found.records, found.flaws) == (89, ())
    assert [flaw.kind for flaw in verified(copy, head=head).flaws] == ["cut"]


def test_a_chain_that_was_written_anew_is_found_by_a_head_noted_elsewhere(hundred: Path, tmp_path: Path) -> None:
    """Who makes a whole new chain has another head, whatever the records say."""
    head = PlanStore(str(hundred)).verify().head
    again = chain(tmp_path / "plans", 3)
    assert verified(Path(again.location)).flaws == ()
    assert [flaw.kind for flaw in verified(Path(again.location), head=head).flaws] == ["cut"]


def test_a_head_noted_earlier_stays_in_the_chain(copy: Path) -> None:
    """The chain has grown since the head was noted, and it is still the same chain."""
    head = verified(copy).head
    PlanStore(str(copy)).put_plan(plan_of(70))
    found = verified(copy, head=head)
    assert (found.records, found.flaws) == (2 * NIGHTS + 1, ())
    assert found.head != head


def flips(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The data with one bit of each of these bytes flipped, or cut off before it."""
    for place in places:
        yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        yield data[:place]


@pytest.mark.parametrize("part", ["plan", "outcome", "link"])
def test_every_flip_and_every_cut_of_a_record_is_found(copy: Path, part: str) -> None:
    """Of a plan, an outcome and a link in the middle of a chain, byte by byte: all at night, a sample by day."""
    small = chain(copy.parent / "small", 3)
    name = {"plan": record(1), "outcome": f"{plan_of(1).id}.outcome.json", "link": "chain/00000003.json"}[part]
    path = Path(small.location, name)
    good = path.read_bytes()
    places = list(range(len(good)))
    for bad in flips(good, places if NIGHTLY else random.Random(7).sample(places, 150)):
        path.write_bytes(bad)
        found = small.verify()
        assert found.flaws, bad
        assert found.flaws[0].record == name
    path.write_bytes(good)
    assert small.verify().flaws == ()


def test_flips_and_cuts_anywhere_in_a_chain_of_a_hundred_are_found(copy: Path) -> None:
    """In any file of the chain, at any place: 60 files by day; at night all of them, each at twenty places."""
    store = PlanStore(str(copy))
    chance = random.Random(8)
    names = sorted(str(path.relative_to(copy)) for path in copy.rglob("*.json") if path.parent.name != "keys")
    assert len(names) == 4 * NIGHTS
    for name in names if NIGHTLY else chance.sample(names, 60):
        path = copy / name
        good = path.read_bytes()
        places = list(range(len(good)))
        for bad in flips(good, chance.sample(places, 20 if NIGHTLY else 1)):
            path.write_bytes(bad)
            assert store.verify().flaws[0].record == name, name
        path.write_bytes(good)


def test_every_order_of_two_writers_makes_one_chain(tmp_path: Path) -> None:
    """Plans and outcomes that are stored at once come to stand one after the other: no two follow the same link."""
    plans = [plan_of(night) for night in range(12)]

    def store_one(plan: Plan) -> None:
        store = PlanStore(str(tmp_path / "plans"))
        store.put_plan(plan)
        put_outcome(store, plan)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(store_one, plans))
    found = verified(tmp_path / "plans")
    assert (found.records, found.flaws) == (24, ())
    assert not list((tmp_path / "plans" / "chain").glob("*.part"))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_a_dead_writer_began_is_completed(tmp_path: Path, steps: int) -> None:
    """Killed after the bytes, the link or the record: the chain is sound, and the next writer completes it."""
    store = chain(tmp_path / "plans", 2)
    folder = Path(store.location)
    part = folder / "chain" / f"{sealed.digest_of((folder / f'{plan_of(1).id}.outcome.json').read_bytes())[7:]}.part"
    part.write_bytes((folder / f"{plan_of(1).id}.outcome.json").read_bytes())
    if steps < 3:
        (folder / f"{plan_of(1).id}.outcome.json").unlink()
    if steps < 2:
        (folder / "chain" / "00000004.json").unlink()
    found = verified(folder)
    assert (found.records, found.flaws) == (3 if steps < 2 else 4, ())
    store.put_plan(plan_of(2, store.latest_digest()))
    assert verified(folder).flaws == ()
    assert store.has_outcome(plan_of(1).id) == (steps > 1)
    assert part.exists() == (steps == 1)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Dying(Folder):
    """A folder whose process is killed before or after the effect of one call that changes it."""

    def __init__(self, path: str, *, at: int, before: bool) -> None:
        super().__init__(path)
        self._left = at
        self._before = before

    def _effect(self, do: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left == 0 and self._before:
            raise Killed
        done = do()
        if self._left == 0:
            raise Killed
        return done

    def create(self, name: str, data: bytes) -> bool:
        """As a folder does."""
        done: bool = self._effect(lambda: super(Dying, self).create(name, data))
        return done

    def remove(self, name: str) -> None:
        """As a folder does."""
        self._effect(lambda: super(Dying, self).remove(name))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 6))
def test_killed_at_any_effect_of_a_write(tmp_path: Path, at: int, before: bool) -> None:
    """A record stands whole or not at all, the chain is sound, and both writers' records come to stand in the end."""
    store = chain(tmp_path / "plans", 1)
    dying = Ledger(Dying(store.location, at=at, before=before), random=os.urandom)
    plan = plan_of(1, store.latest_digest())
    with pytest.raises(Killed):
        dying.append(f"{plan.id}.json", lambda _: _encoded(plan))
    assert verified(tmp_path / "plans").flaws == ()
    store.put_plan(plan_of(2, store.latest_digest()))
    store.put_plan(plan)
    found = verified(tmp_path / "plans")
    assert (found.records, found.flaws) == (4, ())
    assert store.get_plan(plan.id) == plan
    assert not list((tmp_path / "plans" / "chain").glob("*.part"))


def test_the_newest_record_gone_stops_the_next(tmp_path: Path) -> None:
    """Nothing is built on a record that is gone."""
    store = chain(tmp_path / "plans", 2)
    Path(store.location, f"{plan_of(1).id}.outcome.json").unlink()
    with pytest.raises(PlanUnreadable, match="the newest record, is gone") as refused:
        store.put_plan(plan_of(2))
    assert "reconcile verify" in refused.value.next_step


def test_records_from_before_the_chain_are_taken_into_it(tmp_path: Path) -> None:
    """Plans of an earlier release, or of a folder that was copied without its chain, are proven from then on."""
    store = chain(tmp_path / "plans", 2)
    shutil.rmtree(tmp_path / "plans" / "chain")
    store.put_plan(plan_of(2, store.latest_digest()))
    found = verified(tmp_path / "plans")
    assert (found.records, found.flaws) == (5, ())


def test_a_plan_from_elsewhere_is_in_the_chain_as_such(tmp_path: Path) -> None:
    """A plan of another place is applied from a file: the record that it follows there is not looked for here."""
    store = chain(tmp_path / "plans", 1)
    elsewhere = plan_of(5, "sha256:" + "e" * 64)
    store.put_plan(elsewhere)
    put_outcome(store, elsewhere)
    found = verified(tmp_path / "plans")
    assert (found.records, found.flaws) == (4, ())


def test_a_longer_chain_costs_no_more_calls(s3: S3) -> None:
    """What every command does first asks as much of a bucket after many nights as after a few: one page of names."""
    location = s3.new_bucket()
    asked: dict[int, list[int]] = {}
    for nights in (2, 12):
        store = PlanStore(location, s3.environment)
        for night in range(len(store.list_ids()), nights):
            store.put_plan(plan := plan_of(night, store.latest_digest()))
            put_outcome(store, plan)
        for use in ("latest_digest", "get_plan", "last_good"):
            s3.calls.clear()
            store.get_plan(plan.id) if use == "get_plan" else getattr(store, use)()
            asked.setdefault(nights, []).append(len(s3.calls))
    assert asked[2] == asked[12]
    assert max(asked[12]) <= 5
