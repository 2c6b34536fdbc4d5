"""What a plan keeps is enough to decide the same again, and no more than the plan is about."""

from __future__ import annotations

import msgspec
import pytest

from reconciler.core.cases import Case, parse_cases, world_of
from reconciler.core.explain.again import rules_of, setting_of
from reconciler.core.history import History
from reconciler.core.model import MAX_TEXT
from reconciler.core.plan import Plan, decode, encode
from reconciler.core.planner import Scope, with_rules_only
from reconciler.core.rules import Rules
from tests.support.builders import (
    RULES_FOLDER,
    default_rules,
    make_contact,
    make_member,
    make_position,
    make_world,
    planned,
)

CASES = [
    case
    for path in sorted((RULES_FOLDER / "tests").glob("*.yaml"))
    for case in parse_cases(path.read_text(encoding="utf-8"), file=f"rules/tests/{path.name}")
]


def check_that_groups_decide_alike(plan: Plan, rules: Rules) -> None:
    """Each group, decided alone, comes to the plan's actions, and all groups together to all of them."""
    again = [action for seen in plan.seen for action in setting_of(plan, seen, rules).decide().actions]
    assert {action.id: action for action in again} == {action.id: action for action in plan.actions}
    subjects = {finding.id for seen in plan.seen for finding in setting_of(plan, seen, rules).decide().findings}
    named = {one.id for one in plan.findings if one.member is not None or one.contact is not None}
    assert named <= subjects


def check_that_groups_do_not_overlap(plan: Plan) -> None:
    """Each member and each contact stands in one group, so that a world is one line of the file."""
    numbers = [number for seen in plan.seen for number in sorted({one.number for one in seen.members if one.number})]
    contacts = [contact.id for seen in plan.seen for contact in seen.contacts]
    assert len(set(numbers)) == len(numbers)
    assert len(set(contacts)) == len(contacts)


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.file}: {case.name}") for case in CASES])
def test_a_group_decides_as_the_whole_did(case: Case) -> None:
    """Every case of rules/tests/: the plan's own record, read back from its file, gives the plan's actions again."""
    world = world_of(case, default_rules())
    if not world.source.members:
        return  # a source without members is refused, and nothing is decided
    plan = planned(world)
    plan = decode(encode(plan), where="memory")
    check_that_groups_do_not_overlap(plan)
    # The rules of a case are not in its files, so those of its world are taken.
    check_that_groups_decide_alike(plan, world.rules)


def test_what_is_unchanged_is_not_kept() -> None:
    """A thousand members who are in order add nothing to the file of one who is not."""
    members = tuple(make_member(f"{number}") for number in range(1000, 2000))
    contacts = [make_contact(f"c{member.number}", member) for member in members]
    contacts[7] = make_contact("c1007", members[7], name="Old")
    plan = planned(make_world(members=members, contacts=tuple(contacts)))
    (seen,) = plan.seen
    assert [member.number for member in seen.members] == ["1007"]
    assert [contact.id for contact in seen.contacts] == ["c1007"]
    assert len(msgspec.json.encode(plan.seen)) < 1000


def test_colleagues_of_one_office_phone_are_not_kept() -> None:
    """Five hundred people of one switchboard have nothing to do with each other; a father and a son of one name do."""
    phone = "+16175550123"
    members = [make_member(f"{number}", phone=phone) for number in range(1000, 1500)]
    members[1] = make_member("1001", phone=phone, last_name=members[0].last_name)
    contacts = tuple(make_contact(f"c{member.number}", member) for member in members[1:])
    plan = planned(make_world(members=tuple(members), contacts=contacts))
    assert [[member.number for member in seen.members] for seen in plan.seen] == [["1000", "1001"]]


def test_namesake_whose_phone_a_contact_has_is_kept() -> None:
    """Once renamed, the contact would be tied to the namesake, too: nothing is done, and decided again, neither."""
    ann = make_member("1001", last_name="Lee")
    namesake = make_member("1002", last_name="Lee", phone="+16175550123")
    contact = make_contact("c1", ann, name="Old", phone="+16175550123")
    world = make_world(members=(ann, namesake), contacts=(contact, make_contact("c2", namesake)))
    plan = planned(world)
    assert plan.actions == ()
    assert [[member.number for member in seen.members] for seen in plan.seen] == [["1001", "1002"]]
    check_that_groups_decide_alike(plan, world.rules)


def test_members_named_by_only_are_kept_also_where_nothing_is_to_do() -> None:
    """`plan --only 1001` shows the member, whatever came of it."""
    member = make_member("1001")
    world = make_world(members=(member, make_member("1002")), contacts=(make_contact("c1", member),))
    plan = planned(world, Scope(only=frozenset({"1001"})))
    assert (plan.actions, plan.findings) == ((), ())
    assert [seen.members for seen in plan.seen] == [(member,)]
    assert plan.basis is not None
    assert plan.basis.only == ("1001",)


def test_rules_are_kept_as_they_stood() -> None:
    """Texts with their lines, and what `--rule` switched off: the same rules come out."""
    rules = with_rules_only(default_rules(), ["fix-phone"])
    plan = planned(make_world(members=(make_member(),), rules=rules))
    assert plan.basis is not None
    assert rules_of(plan.basis) == rules
    assert "mappings.yaml" not in plan.basis.files


def test_only_what_freezes_is_kept_of_the_past() -> None:
    """The decision not to write a contact that is written back and forth can be decided again."""
    member = make_member()
    world = make_world(members=(member,), contacts=(make_contact("c1", member, name="Old"), make_contact("c9")))
    history = History(flips={"c1": {"name": 3, "phone": 1}, "c9": {"name": 5}})
    plan = planned(world, history=history)
    assert [seen.flips for seen in plan.seen] == [{"c1": {"name": 3}}]
    check_that_groups_decide_alike(plan, world.rules)


def test_values_that_nobody_could_use_are_cut() -> None:
    """A name of a megabyte is no reason for a plan of one, and is still too long to be decided otherwise."""
    world = make_world(members=(make_member(last_name="x" * 1_000_000),), positions=(make_position("12345", "pres"),))
    plan = planned(world)
    assert [finding.rule for finding in plan.findings] == ["invalid-member"]
    assert len(encode(plan)) < 40_000
    kept = plan.seen[0].members[0].last_name or ""
    assert MAX_TEXT < len(kept) <= 2 * MAX_TEXT
    assert [one.rule for one in setting_of(plan, plan.seen[0], world.rules).decide().findings] == ["invalid-member"]
