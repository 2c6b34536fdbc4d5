from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core import erasure
from reconciler.core import plan as plan_file
from reconciler.core.actions import Outcome
from reconciler.core.model import Contact, Evidence, Finding, Member
from reconciler.core.plan import Plan
from reconciler.core.seen import Seen
from reconciler.errors import PlanUnreadable
from reconciler.runs.store import PlanStore
from tests.report.plans import every_kind, hostile, make_action, make_plan
from tests.runs.test_chain import verified
from tests.runs.test_store import put_outcome

ANN, BEN = "10001", "10002"
SECRETS = ("Ann Lee", "ann@union.example", "+17654657031", "(765) 465-7031")
"""Values of member 10001 in every plan here; those of member 10002 are others."""

NIGHTS = 4

BENS = ("Ben Roe", "ben@union.example")


def plan_of_both(night: int, previous: str | None) -> Plan:
    """A plan with an action and a finding for each of two members, and an action of Ben's that waits for Ann's."""
    anns = make_action(
        1,
        "update",
        id="u-aaaaaaaaaaaa",
        member=ANN,
        contact="c-ann",
        expect={"name": "Ann Lee", "email": "ann@union.example", "phone": "(765) 465-7031"},
        set={"phone": "+17654657031"},
    )
    bens = make_action(
        2,
        "update",
        id="u-bbbbbbbbbbbb",
        member=BEN,
        contact="c-ben",
        expect={"name": "Ben Roe"},
        set={"email": "ben@union.example"},
    )
    about = Finding(
        id="f-cccccccccccc",
        rule="shared-email",
        severity="review",
        contact="c-ann",
        says="ann@union.example is on two contacts",
        evidence=(Evidence("intercom contacts/c-ann", "email", "ann@union.example"),),
    )
    other = Finding(
        id="f-dddddddddddd",
        rule="fix-phone",
        severity="review",
        member="10003",
        says="Ann Lee has the same phone",
        evidence=(Evidence(f"supabase members/{ANN}", "phone", "+17654657031"),),
    )
    return make_plan(
        anns,
        bens,
        findings=(about, other),
        seen=(seen_of_ann(), seen_of_ben()),
        id=f"202601{night:02}T023000Z-8f3a1c5e",
        created_at=f"2026-01-{night:02}T02:30:00Z",
        previous=previous,
    )


def seen_of_ann() -> Seen:
    """Her row and her contact, as the plan keeps them to be explained later."""
    return Seen(
        members=(Member(number=ANN, first_name="Ann", last_name="Lee", phone="(765) 465-7031", row=f"members/{ANN}"),),
        contacts=(Contact(id="c-ann", role="user", external_id=ANN, name="Ann Lee", email="ann@union.example"),),
    )


def seen_of_ben() -> Seen:
    """His row."""
    return Seen(members=(Member(number=BEN, email="ben@union.example", row=f"members/{BEN}"),))


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    """Some nights, and what became of them."""
    store = PlanStore(str(tmp_path / "plans"))
    for night in range(1, NIGHTS + 1):
        plan = plan_of_both(night, store.latest_digest())
        store.put_plan(plan)
        put_outcome(
            store,
            plan,
            (
                Outcome(
                    action="u-aaaaaaaaaaaa",
                    do="update",
                    outcome="done",
                    contact="c-ann",
                    member=ANN,
                    sent={"phone": "+17654657031"},
                    read_back={"name": "Ann Lee", "phone": "+17654657031"},
                ),
                Outcome(
                    action="u-bbbbbbbbbbbb",
                    do="update",
                    outcome="done",
                    contact="c-ben",
                    member=BEN,
                    sent={"email": "ben@union.example"},
                ),
            ),
        )
    return store


def all_of_it(store: PlanStore) -> dict[str, str]:
    """Every file of the store, by its name."""
    folder = Path(store.location)
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def holding(store: PlanStore, values: tuple[str, ...]) -> list[str]:
    """The names of the files that hold one of these values."""
    return sorted(name for name, text in all_of_it(store).items() if any(value in text for value in values))


def test_what_a_merge_expects_of_its_survivor_is_erased(store: PlanStore) -> None:
    """It holds values of the member as `expect` does."""
    merge = make_action(
        3, "merge", member=ANN, contact="c-lead", into="c-ann", expect_into={"email": "ann@union.example"}
    )
    store.put_plan(make_plan(merge, id="20260109T023000Z-8f3a1c5e", previous=store.latest_digest()))
    assert len(holding(store, SECRETS)) == 2 * NIGHTS + 1
    store.erase_member(ANN)
    assert holding(store, SECRETS) == []


def test_a_member_is_erased_and_the_chain_still_proves_the_rest(store: PlanStore) -> None:
    """Nothing of Ann's is left in any file, in whatever record it stood; all of Ben's is; the head is the same."""
    head = store.verify().head
    assert len(store.erase_member(ANN)) == 2 * NIGHTS
    assert holding(store, SECRETS) == []
    assert len(holding(store, BENS)) == 2 * NIGHTS
    found = verified(Path(store.location), head=head)
    assert (found.records, found.erased, found.flaws, found.head) == (2 * NIGHTS, 2 * NIGHTS, (), head)
    assert store.erase_member(ANN) == ()


def test_the_ids_that_are_hashes_of_her_values_are_gone_too(store: PlanStore) -> None:
    """An id of an action or a finding is a hash of its values: with it, phone numbers could be tried until one fits."""
    store.erase_member(ANN)
    assert holding(store, ("u-aaaaaaaaaaaa", "f-cccccccccccc", "f-dddddddddddd")) == []
    assert len(holding(store, ("u-bbbbbbbbbbbb",))) == 2 * NIGHTS


def test_what_waits_for_an_erased_action_no_longer_names_it(tmp_path: Path) -> None:
    """An action of somebody else that waits for hers holds her action's id, so that it goes as well."""
    store = PlanStore(str(tmp_path / "plans"))
    plan = plan_of_both(1, None)
    waiting = make_action(3, "update", id="u-eeeeeeeeeeee", after=("u-aaaaaaaaaaaa",))
    after_that = make_action(4, "update", id="u-ffffffffffff", after=("u-eeeeeeeeeeee",))
    store.put_plan(make_plan(*plan.actions, waiting, after_that, id=plan.id))
    store.erase_member(ANN)
    assert holding(store, ("u-aaaaaaaaaaaa", "u-eeeeeeeeeeee", "u-ffffffffffff")) == []
    assert holding(store, ("u-bbbbbbbbbbbb",)) == [f"{plan.id}.json"]


def test_no_digest_of_what_was_read_is_left_to_try_values_with(store: PlanStore) -> None:
    """The digest of a record stays; without those of its inputs nobody can compute it from values that they try."""
    inputs = store.get_plan(plan_of_both(1, None).id).inputs
    store.erase_member(ANN)
    assert holding(store, (inputs.members.sha256, inputs.actual.sha256)) == []
    assert len(holding(store, (inputs.rules.sha256,))) == NIGHTS


def test_old_plans_lose_what_is_personal_and_young_ones_keep_it(store: PlanStore) -> None:
    """All that was made before a day; their keys go with it."""
    folder = Path(store.location)
    keys = len(list((folder / "keys").iterdir()))
    changed = store.erase_old(before=datetime(2026, 1, 3, tzinfo=UTC))
    assert sorted(changed) == [name for name in sorted(all_of_it(store)) if "20260101" <= name < "20260103"]
    assert min(holding(store, (*SECRETS, *BENS))) > "20260103"
    assert len(list((folder / "keys").iterdir())) == keys - 4
    found = verified(folder)
    assert (found.records, found.erased, found.flaws) == (2 * NIGHTS, 4, ())
    assert store.erase_old(before=datetime(2026, 1, 3, tzinfo=UTC)) == ()


def test_an_erased_plan_still_says_what_was_done_and_why(store: PlanStore) -> None:
    """Which contact, which member, which rule, which fields and what became of it are answered after years."""
    plan = plan_of_both(1, None)
    store.erase_old(before=datetime(2026, 1, 3, tzinfo=UTC))
    read = store.get_plan(plan.id)
    assert [(one.do, one.contact, one.member, one.undo) for one in read.actions] == [
        (one.do, one.contact, one.member, one.undo) for one in plan.actions
    ]
    assert [[because.rule for because in one.because] for one in read.actions] == [
        [because.rule for because in one.because] for one in plan.actions
    ]
    assert read.actions[0].set == {"phone": erasure.ERASED}
    assert (read.id, read.created_at, read.summary) == (plan.id, plan.created_at, plan.summary)
    run = store.get_outcome(plan.id)
    assert [(one.outcome, one.contact, one.sent) for one in run.outcomes] == [
        ("done", "c-ann", {}),
        ("done", "c-ben", {}),
    ]


def test_an_erased_plan_is_never_applied(store: PlanStore) -> None:
    """`[erased]` must not become anybody's name: the plan is not applyable, and cannot be stored again."""
    store.erase_member(ANN)
    read = store.get_plan(plan_of_both(NIGHTS, None).id)
    assert not read.applyable
    assert read.refused_because == (plan_file.GONE,)
    assert plan_file.is_erased(read)


def test_the_baseline_of_the_guards_outlives_an_erasure(store: PlanStore) -> None:
    """What the last run read is counted, not personal: the next one is still measured against it."""
    before = store.last_good(target="contacts")
    store.erase_member(ANN)
    after = store.last_good(target="contacts")
    assert before is not None
    assert after is not None
    assert (after.id, after.inputs.members.count) == (before.id, before.inputs.members.count)


def test_the_chain_goes_on_after_an_erasure(store: PlanStore) -> None:
    """Also where the newest record was erased."""
    store.erase_member(ANN)
    store.put_plan(plan_of_both(NIGHTS + 1, store.latest_digest()))
    found = verified(Path(store.location))
    assert (found.records, found.flaws) == (2 * NIGHTS + 1, ())


@pytest.mark.parametrize("plan", [every_kind(), hostile(), make_plan()], ids=["every kind", "hostile", "empty"])
def test_any_plan_can_be_erased_and_read(tmp_path: Path, plan: Plan) -> None:
    """Every kind of action and every odd text: erased, read, and proven."""
    store = PlanStore(str(tmp_path / "plans"))
    store.put_plan(plan)
    assert store.erase_old(before=datetime(2027, 1, 1, tzinfo=UTC)) == (f"{plan.id}.json",)
    assert [action.do for action in store.get_plan(plan.id).actions] == [action.do for action in plan.actions]
    assert verified(tmp_path / "plans").flaws == ()


def test_what_is_left_cannot_be_changed(store: PlanStore) -> None:
    """Every byte of what is left of a plan, and of the keys that prove it, is held against the chain."""
    store.erase_member(ANN)
    path = Path(store.location, f"{plan_of_both(3, None).id}.json")
    digest = json.loads(path.read_text())["record_digest"].removeprefix("sha256:")
    for one in (path, Path(store.location, "keys", f"{digest}.json")):
        good = one.read_bytes()
        for place in range(0, len(good), 7):
            for bad in (good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :], good[:place]):
                one.write_bytes(bad)
                assert [flaw.record for flaw in store.verify().flaws] == [path.name], place
        one.write_bytes(good)
    assert verified(Path(store.location)).flaws == ()


def test_who_is_erased_cannot_be_put_back_in_another_form(store: PlanStore) -> None:
    """An erased line with other values in their place does not give what the chain holds."""
    store.erase_member(ANN)
    path = Path(store.location, f"{plan_of_both(3, None).id}.json")
    path.write_text(path.read_text().replace("c-ann", "c-eve"))
    assert [flaw.kind for flaw in verified(Path(store.location)).flaws] == ["edited"]


def test_a_record_that_was_touched_is_not_erased(store: PlanStore) -> None:
    """Erasing would hide that it was edited: it is refused with its name."""
    path = Path(store.location, f"{plan_of_both(3, None).id}.json")
    path.write_bytes(path.read_bytes().replace(b"+1765", b"+1766"))
    with pytest.raises(PlanUnreadable, match=path.name):
        store.erase_member(ANN)


def test_keys_that_were_lost_keep_a_record_from_being_erased(store: PlanStore) -> None:
    """Without them what is left could not be proven."""
    shutil.rmtree(Path(store.location, "keys"))
    with pytest.raises(PlanUnreadable, match="nothing was erased in it"):
        store.erase_member(ANN)


def test_what_dead_writers_left_goes_too(store: PlanStore) -> None:
    """The bytes of a record that never came to stand hold names as well."""
    left = Path(store.location, "chain", f"{'0' * 64}.part")
    left.write_text("Ann Lee")
    store.erase_member(ANN)
    assert not left.exists()


@pytest.mark.parametrize(
    "name", [f"20260101T023000Z-8f3a1c5e.{end}#1" for end in ("json", "html")] + ["chain/a.part#27"]
)
def test_what_a_put_that_was_killed_left_goes_too(store: PlanStore, name: str) -> None:
    """Bytes stand as `NAME#1` before they are NAME, and are never listed; of a put that may be under way they stay."""
    left, young = Path(store.location, name), Path(store.location, f"{name}1")
    for path in (left, young):
        path.write_text("Ann Lee")
    os.utime(left, (0, 0))
    store.erase_member(ANN)
    assert holding(store, SECRETS) == [str(young.relative_to(store.location))]


def test_a_crash_between_record_and_keys_is_mended_by_the_next_call(store: PlanStore) -> None:
    """The keys of what is gone are thrown away, also where only they were left."""
    folder = Path(store.location)
    keys = {path.name: path.read_bytes() for path in (folder / "keys").iterdir()}
    store.erase_member(ANN)
    after = {path.name: path.read_bytes() for path in (folder / "keys").iterdir()}
    for name, data in keys.items():
        (folder / "keys" / name).write_bytes(data)
    store.erase_member(ANN)
    assert {path.name: path.read_bytes() for path in (folder / "keys").iterdir()} == after
    assert verified(folder).flaws == ()
