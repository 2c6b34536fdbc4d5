from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core import sealed
from reconciler.core.actions import Outcome
from reconciler.core.plan import Heading, LimitCheck, Plan
from reconciler.errors import PlanError, PlanUnreadable, ReconcilerError, SettingsError
from reconciler.runs.objects import MOST_BYTES
from reconciler.runs.store import PlanStore
from tests.report.plans import every_kind, hostile, make_action, make_plan

STARTED = datetime(2026, 11, 23, 2, 30, 10, tzinfo=UTC)
FINISHED = datetime(2026, 11, 23, 2, 31, 0, tzinfo=UTC)

DONE = (
    Outcome(
        action="u-000001",
        do="update",
        outcome="done",
        contact="5ba682d2",
        member="10001",
        calls=("PUT /contacts/5ba682d2 200",),
        sent={"phone": "+17654657031"},
        read_back={"phone": "+17654657031"},
        request_id="req-1",
    ),
    Outcome(action="u-000002", do="update", outcome="stale", member="10002", says="phone has changed"),
)


def plan_at(night: int, suffix: str = "8f3a1c5e", **overrides: object) -> Plan:
    """A plan of one night of November."""
    return make_plan(make_action(), id=f"202611{night:02}T023000Z-{suffix}", **overrides)


def id_of(heading: Heading | None) -> str | None:
    """Of the plan whose heading was found."""
    return heading.id if heading is not None else None


def put_outcome(store: PlanStore, plan: Plan, outcomes: tuple[Outcome, ...] = DONE) -> str:
    """Stores an outcome of made-up times."""
    return store.put_outcome(plan, outcomes, started_at=STARTED, finished_at=FINISHED)


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    """A store whose folder does not exist yet."""
    return PlanStore(str(tmp_path / "new" / "plans"))


@pytest.mark.parametrize("plan", [every_kind(), hostile(), make_plan()], ids=["every kind", "hostile", "empty"])
def test_plan_comes_back_as_it_was_put(store: PlanStore, plan: Plan) -> None:
    """What is stored is what is applied, in a folder made on first use."""
    assert store.put_plan(plan) == f"{plan.id}.json"
    assert store.get_plan(plan.id) == plan
    assert store.list_ids() == [plan.id]


def test_folder_is_closed_to_others(store: PlanStore) -> None:
    """Plans hold personal data, so the folder that the store makes is its owner's alone."""
    store.put_plan(plan_at(1))
    assert Path(store.location).stat().st_mode & 0o077 == 0


def test_put_is_put_if_absent(store: PlanStore) -> None:
    """The same plan again is a success; another under the same id is refused and changes nothing."""
    plan = plan_at(1)
    assert store.put_plan(plan) == store.put_plan(plan)
    with pytest.raises(PlanError, match="exists already with other content"):
        store.put_plan(plan_at(1, tool="other"))
    assert store.get_plan(plan.id) == plan


def test_outcome_is_stored_once_beside_its_plan(store: PlanStore) -> None:
    """The same outcome again is a success; a second outcome of the plan is refused, since a plan is applied once."""
    plan = plan_at(1)
    store.put_plan(plan)
    assert not store.has_outcome(plan.id)
    assert put_outcome(store, plan) == put_outcome(store, plan) == f"{plan.id}.outcome.json"
    assert store.has_outcome(plan.id)
    with pytest.raises(PlanError, match="exists already"):
        put_outcome(store, plan, DONE[:1])
    run = store.get_outcome(plan.id[:8])
    assert run.outcomes == DONE
    assert run.plan_digest == plan_file.digest_of(plan_file.encode(plan))
    assert run.previous == run.plan_digest
    assert run.summary == outcome_file.Counts(done=1, stale=1)
    assert (run.started_at, run.finished_at) == ("2026-11-23T02:30:10Z", "2026-11-23T02:31:00Z")
    assert run == store.get_outcome(str(Path(store.location, f"{plan.id}.outcome.json")))


def test_outcome_file_is_one_outcome_a_line(store: PlanStore) -> None:
    """`grep`, `jq` and `git diff` work on an outcome file, and its keys stand in the order of its contract."""
    plan = plan_at(1)
    text = Path(store.location, put_outcome(store, plan)).read_text()
    document = json.loads(text)
    assert list(document) == [
        "format", "plan", "plan_digest", "started_at", "finished_at", "summary", "outcomes", "previous", "digest",
    ]  # fmt: skip
    assert document["format"] == "reconciler.outcome/1"
    assert document["summary"] == {"done": 1, "stale": 1, "held": 0, "failed": 0, "unknown": 0}
    lines = [json.loads(line.rstrip(",")) for line in text.splitlines() if line.startswith('{"action"')]
    assert lines == document["outcomes"]


def test_outcome_schema_accepts_what_is_written(store: PlanStore) -> None:
    """The published schema is that of the file."""
    jsonschema = pytest.importorskip("jsonschema")
    written = Path(store.location, put_outcome(store, plan_at(1))).read_bytes()
    jsonschema.validate(json.loads(written), outcome_file.schema())


def test_every_flipped_bit_and_every_cut_is_found() -> None:
    """No edited or torn outcome passes for the one that was written."""
    run = outcome_file.RunOutcome(
        plan="20261101T023000Z-8f3a1c5e",
        plan_digest="sha256:" + "a" * 64,
        started_at="2026-11-23T02:30:10Z",
        finished_at="2026-11-23T02:31:00Z",
        summary=outcome_file.count(DONE),
        outcomes=DONE,
    )
    good = outcome_file.encode(run)
    assert outcome_file.decode(good, where="x") == run
    flipped = (good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in range(8))
    cut = (good[:at] for at in range(len(good)))
    for bad in (*flipped, *cut, good + b"\n", good + good):
        with pytest.raises(PlanUnreadable):
            outcome_file.decode(bad, where="x")


@pytest.mark.parametrize(
    ("reason", "old", "new"),
    [
        ("a field of a later release", b'"summary"', b'"approved_by": "me",\n "summary"'),
        ("another format", b"reconciler.outcome/1", b"reconciler.outcome/2"),
        ("an outcome that does not exist", b'"stale", "member"', b'"skipped", "member"'),
        ("a plan in its place", b"reconciler.outcome/1", b"reconciler.plan/1"),
    ],
)
def test_outcome_schema_is_closed(store: PlanStore, reason: str, old: bytes, new: bytes) -> None:
    """What this release does not know is refused, even where the digest fits the bytes."""
    plan = plan_at(1)
    path = Path(store.location, put_outcome(store, plan))
    body, _, tail = path.read_bytes().rpartition(b' "previous": ')
    assert old in body
    path.write_bytes(sealed.seal(body.replace(old, new), previous=json.loads(tail.partition(b",")[0])))
    assert sealed.is_whole(path.read_bytes())
    with pytest.raises(PlanUnreadable) as refused:
        store.get_outcome(plan.id)
    assert str(path) in refused.value.what, reason
    assert refused.value.next_step


IDS = ["20261101T023000Z-aaaaaaaa", "20261102T023000Z-aaaaaaaa", "20261102T023000Z-bbbbbbbb", "20261202T023000Z-c"]


@pytest.mark.parametrize(
    ("reason", "ref", "found"),
    [
        ("a whole id", IDS[1], IDS[1]),
        ("eight characters that begin one id", "20261101", IDS[0]),
        ("a longer beginning", "20261102T023000Z-b", IDS[2]),
        ("a whole id that also begins another", IDS[3], IDS[3]),
    ],
)
def test_ref_names_one_plan(store: PlanStore, reason: str, ref: str, found: str) -> None:
    """A plan is named by its id or by as much of it as is needed."""
    for plan_id in (*IDS, f"{IDS[3]}c"):
        store.put_plan(make_plan(id=plan_id))
    assert store.get_plan(ref).id == found, reason


@pytest.mark.parametrize(
    ("ref", "says", "next_step"),
    [
        ("20261102", "beginning of 2 plans", f"{IDS[2]}, {IDS[1]}"),
        ("2026110", "no plan 2026110", "8 or more characters"),
        ("20270101", "no plan 20270101", f"{IDS[3]}, {IDS[2]}, {IDS[1]}, {IDS[0]}"),
        ("missing.json", "nor as a file", "Name a file"),
        ("../20261101", "nor as a file", "Name a file"),
        ("-", "standard input", "file"),
        ("", "no plan", "Name a file"),
        ("a\0b", "no plan", "Name a file"),
        ("x" * 5000, "cannot read", ""),
    ],
)
def test_ref_that_names_none(store: PlanStore, ref: str, says: str, next_step: str) -> None:
    """A name that means nothing or too much is refused with the plans that there are."""
    for plan_id in IDS:
        store.put_plan(make_plan(id=plan_id))
    with pytest.raises(ReconcilerError) as missing:
        store.get_plan(ref)
    assert says in missing.value.what
    assert next_step in missing.value.next_step


def test_ref_may_be_a_path(store: PlanStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan handed over as a file is read from there, and a stored id comes before a file of the same name."""
    elsewhere, stored = every_kind(), plan_at(2)
    (tmp_path / "approved.json").write_bytes(plan_file.encode(elsewhere))
    assert store.get_plan(str(tmp_path / "approved.json")) == elsewhere
    store.put_plan(stored)
    monkeypatch.chdir(tmp_path)
    Path(stored.id).write_bytes(plan_file.encode(elsewhere))
    assert store.get_plan(stored.id) == stored
    assert store.get_plan("approved.json") == elsewhere


def test_missing_plan_lists_the_newest_five(store: PlanStore) -> None:
    """Whoever mistypes an id sees the ids that they probably meant, newest first."""
    for night in range(1, 8):
        store.put_plan(plan_at(night))
    with pytest.raises(PlanError) as missing:
        store.get_plan("20261225")
    assert ", ".join(plan_at(night).id for night in (7, 6, 5, 4, 3)) in missing.value.next_step
    assert plan_at(2).id not in missing.value.next_step


def test_missing_plan_in_an_empty_store(store: PlanStore) -> None:
    """In an empty store the next step is to make a plan; looking makes no folder."""
    with pytest.raises(PlanError) as missing:
        store.get_plan("20261225")
    assert "reconcile plan" in missing.value.next_step
    assert store.list_ids() == []
    assert store.latest_digest() is None
    assert store.last_good() is None
    assert not Path(store.location).exists()


def test_a_plan_for_a_part_is_no_measure(store: PlanStore) -> None:
    """A plan that does not say how many rows it was made from read only some of them."""
    whole, part = plan_at(1), plan_at(2)
    digest = msgspec.structs.replace(part.inputs.members, count=None)
    part = msgspec.structs.replace(part, inputs=msgspec.structs.replace(part.inputs, members=digest))
    store.put_plan(whole)
    store.put_plan(part)
    assert id_of(store.last_good()) == whole.id


def test_outcome_of_a_plan_that_came_as_a_file(store: PlanStore) -> None:
    """A plan applied from a file has its outcome in the store, and is found by its id like any other."""
    put_outcome(store, plan_at(1))
    assert store.has_outcome(plan_at(1).id)
    assert store.get_outcome(plan_at(1).id).outcomes == DONE
    assert store.list_ids() == []


def test_missing_outcome(store: PlanStore) -> None:
    """A plan that was not applied has no outcome, which is said as such."""
    store.put_plan(plan_at(1))
    with pytest.raises(PlanError, match="has no outcome"):
        store.get_outcome(plan_at(1).id)


@pytest.mark.parametrize("plan_id", ["../../etc/passwd", "a/b", "", "20261101T023000Z-8f3a1c5e.outcome", "x\n"])
def test_foreign_id_is_no_file_name(store: PlanStore, plan_id: str) -> None:
    """A plan file from elsewhere cannot choose where its outcome is written."""
    with pytest.raises(PlanError, match="is not the id of a plan"):
        store.put_plan(make_plan(id=plan_id))
    with pytest.raises(PlanError, match="is not the id of a plan"):
        put_outcome(store, make_plan(id=plan_id))


def test_edited_plan_is_refused(store: PlanStore) -> None:
    """A plan edited where it is stored is refused, also where the digest was made to fit."""
    plan = plan_at(1)
    path = Path(store.location, store.put_plan(plan))
    path.write_bytes(path.read_bytes().replace(b"+17654657031", b"+17654657032"))
    with pytest.raises(PlanUnreadable, match=r"8f3a1c5e\.json was changed"):
        store.get_plan(plan.id)


def test_plan_under_the_name_of_another_is_refused(store: PlanStore) -> None:
    """A sound plan copied over another cannot be applied in its place."""
    store.put_plan(plan_at(1))
    path = Path(store.location, store.put_plan(plan_at(2)))
    path.write_bytes(Path(store.location, f"{plan_at(1).id}.json").read_bytes())
    with pytest.raises(PlanUnreadable, match="holds the record of another plan"):
        store.get_plan(plan_at(2).id)


def test_latest_digest_follows_the_records(store: PlanStore) -> None:
    """The newest record is the one that was stored last, whatever the ids and whichever plan an outcome belongs to."""
    store.put_plan(plan_at(2))
    store.put_plan(plan_at(1))
    assert store.latest_digest() == plan_file.digest_of(plan_file.encode(plan_at(1)))
    put_outcome(store, plan_at(2))
    first = outcome_file.digest_of(outcome_file.encode(store.get_outcome(plan_at(2).id)))
    assert store.latest_digest() == first
    put_outcome(store, plan_at(1))
    assert store.get_outcome(plan_at(1).id).previous == first


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data.replace(b"contacts", b"c0ntacts", 1)])
def test_nothing_is_built_on_a_damaged_record(store: PlanStore, damage: object) -> None:
    """The chain is not continued from a record that was cut or edited."""
    path = Path(store.location, store.put_plan(plan_at(1)))
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(PlanUnreadable, match="newest record"):
        store.latest_digest()


def test_an_object_larger_than_any_record_is_not_read(store: PlanStore) -> None:
    """What somebody else put under a plan's name, or names as a file, does not fill the memory."""
    path = Path(store.location, store.put_plan(plan_at(1)))
    os.truncate(path, MOST_BYTES + 1)  # sparse: it takes no room on the disk
    for ref in (plan_at(1).id, str(path)):
        with pytest.raises(PlanUnreadable, match=r"8f3a1c5e\.json is larger than 256 MiB"):
            store.get_plan(ref)


GUARD = LimitCheck(limit="members", allowed=20000, planned=100, ok=False, says="99% fewer than last night")
CLASS = LimitCheck(limit="archive", allowed=1, planned=2, ok=False, says="over")


@pytest.mark.parametrize(
    ("reason", "newest", "is_good"),
    [
        ("an applyable plan", plan_at(9), True),
        ("a held class says nothing against the source", plan_at(9, limits=(CLASS,)), True),
        ("a refused plan", plan_at(9, applyable=False), False),
        ("a guard that was not met", plan_at(9, limits=(GUARD,)), False),
        ("a guard that a person accepted", plan_at(9, limits=(msgspec.structs.replace(GUARD, ok=True),)), True),
        ("a plan for something else", plan_at(9, target="positions"), False),
    ],
)
def test_last_good_is_the_newest_to_be_believed(store: PlanStore, reason: str, newest: Plan, is_good: bool) -> None:
    """The next run is measured against the last plan whose source was believed."""
    store.put_plan(plan_at(7))
    store.put_plan(plan_at(8))
    store.put_plan(newest)
    good = store.last_good(target="contacts")
    assert id_of(good) == (newest if is_good else plan_at(8)).id, reason


def test_other_files_in_the_folder_are_left_alone(store: PlanStore) -> None:
    """A note, a copy or what a killed writer left behind is not taken for a record."""
    store.put_plan(plan_at(1))
    folder = Path(store.location)
    for name in ("notes.json", "README.md", f"{plan_at(2).id}.json#1", f"{plan_at(2).id} copy.json"):
        (folder / name).write_text("{}")
    (folder / "old").mkdir()
    (folder / "old" / f"{plan_at(3).id}.json").write_text("{}")
    assert store.list_ids() == [plan_at(1).id]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A location below a file is refused with its path and the setting to look at."""
    (tmp_path / "file").write_text("")
    store = PlanStore(str(tmp_path / "file" / "plans"))
    with pytest.raises(ReconcilerError, match=r"cannot write .*file/plans: ") as refused:
        store.put_plan(plan_at(1))
    assert "RECONCILER_PLANS" in refused.value.next_step
    with pytest.raises(ReconcilerError, match=r"cannot read .*file: it is not a folder"):
        PlanStore(str(tmp_path / "file")).list_ids()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """A folder without write permission is refused with its path."""
    tmp_path.chmod(0o500)
    with pytest.raises(ReconcilerError, match=r"cannot write .*Permission denied"):
        PlanStore(str(tmp_path)).put_plan(plan_at(1))


CLOSED = """
import os, sys
from reconciler.errors import ReconcilerError
from reconciler.runs.store import PlanStore
if os.geteuid() == 0:  # who may write anywhere
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for location in sys.argv[1:]:
    for ask in (PlanStore(location).ready, PlanStore(location).look_ready):
        try:
            ask()
            print("ready")
        except ReconcilerError as error:
            print(error.what, error.next_step)
"""


def test_closed_folder_is_told_before_anything_is_read() -> None:
    """Minutes of reading both sides would be for nothing; and the doctor, who may write nothing, sees it as well."""
    with tempfile.TemporaryDirectory() as name:
        closed, opened = Path(name, "closed"), Path(name, "opened")
        closed.mkdir()
        opened.mkdir()
        places = [closed, closed / "plans", opened, opened / "not" / "yet"]
        opened.chmod(0o777)
        closed.chmod(0o555)
        Path(name).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", CLOSED, *map(str, places)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    step = "Check that the folder RECONCILER_PLANS names exists, belongs to this user and has room left."
    why = "this user may not write to the folder closed"
    refused = [f"cannot write {place}: {why} {step}" for place in places[:2] for _ in range(2)]
    assert done.stdout.splitlines() == [*refused, *["ready"] * 4]


FULL = """
import resource, sys
from reconciler.errors import ReconcilerError
from reconciler.runs.store import PlanStore
from tests.report.plans import every_kind
resource.setrlimit(resource.RLIMIT_FSIZE, (512, resource.RLIM_INFINITY))
try:
    PlanStore(sys.argv[1]).put_plan(every_kind())
except ReconcilerError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(error.what)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_full_disk_leaves_no_record(store: PlanStore) -> None:
    """A write that runs out of room half way is an error that names the path, and no part of the plan is left.

    A limit on the size of files stands in for a full disk: both end a write in the middle.
    """
    store.put_plan(plan_at(1))
    ran = subprocess.run(
        [sys.executable, "-c", FULL, store.location],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert f"cannot write {store.location}/chain/" in ran.stdout
    assert store.list_ids() == [plan_at(1).id]
    names = sorted(str(path.relative_to(store.location)) for path in Path(store.location).rglob("*.*"))
    keys = plan_file.digest_of(plan_file.encode(plan_at(1))).removeprefix("sha256:")
    assert names == [f"{plan_at(1).id}.json", "chain/00000001.json", f"keys/{keys}.json"]


def test_place_that_is_not_there_yet() -> None:
    """An address of a storage that we cannot open is refused by name, never taken for a folder."""
    with pytest.raises(SettingsError, match="RECONCILER_PLANS: cannot store plans at a gs address"):
        PlanStore("gs://bucket/plans")


def test_the_baseline_passes_over_plans_of_another_release(tmp_path: Path) -> None:
    """After an upgrade the old plans are whole, and of no use: the next plan must be made all the same."""
    store = PlanStore(str(tmp_path))
    plan = make_plan()
    store.put_plan(plan)
    body = plan_file.encode(plan).replace(b'"reconciler.plan/1"', b'"reconciler.plan/9"', 1)
    unsealed = body[: body.rindex(b'"sha256:')]
    resealed = unsealed + b'"sha256:' + sha256(unsealed).hexdigest().encode() + b'"}\n'
    (tmp_path / f"{plan.id}.json").write_bytes(resealed)
    assert store.last_good() is None
    (tmp_path / f"{plan.id}.json").write_bytes(resealed.replace(b'"contacts"', b'"cantacts"', 1))
    with pytest.raises(PlanUnreadable):
        store.last_good()


@pytest.mark.parametrize("ends", [("aaaaaaaa", "bbbbbbbb"), ("bbbbbbbb", "aaaaaaaa")])
def test_two_plans_of_one_second_stand_in_the_order_in_which_they_were_stored(
    tmp_path: Path, ends: tuple[str, str]
) -> None:
    """The ends of their ids are hashes, and say nothing of which is newer."""
    store = PlanStore(str(tmp_path / "plans"))
    ids = [f"20261124T023000Z-{end}" for end in ends]
    for plan_id in ids:
        store.put_plan(make_plan(id=plan_id, previous=store.latest_digest()))
    assert store.list_ids() == ids
