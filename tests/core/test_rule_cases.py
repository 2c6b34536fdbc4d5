from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from reconciler.core.actions import Action
from reconciler.core.cases import Case, parse_cases, run_case, world_of
from reconciler.core.findings import RULE_IDS
from reconciler.core.model import Contact
from reconciler.core.planner import Decision, Scope, decide
from reconciler.core.snapshot import index
from reconciler.core.world import build_world, may_merge, with_fields
from tests.support.builders import RULES_FOLDER, default_rules

CASES = [
    case
    for path in sorted((RULES_FOLDER / "tests").glob("*.yaml"))
    for case in parse_cases(path.read_text(encoding="utf-8"), file=f"rules/tests/{path.name}")
]
RULES = default_rules()


def stem(case: Case) -> str:
    """The rule or subject that a case's file is about."""
    return Path(case.file).stem


def has_each_number_once(case: Case) -> bool:
    """Two rows of one number are told apart by their order alone."""
    numbers = [member.number.strip() for member in case.shape.members]
    return len(set(numbers)) == len(numbers)


each_case = pytest.mark.parametrize("case", [pytest.param(case, id=f"{stem(case)}: {case.name}") for case in CASES])
each_rule = pytest.mark.parametrize("rule", RULE_IDS)


@each_case
def test_case(case: Case) -> None:
    """Every case of rules/tests/ holds under the rules of this repository, to the last action and finding."""
    assert "\n".join(run_case(case, RULES)) == ""


@each_rule
def test_every_rule_has_a_file_of_cases(rule: str) -> None:
    """A rule whose behaviour nobody can read in rules/tests/ is not finished."""
    assert any(stem(case) == rule for case in CASES), f"write rules/tests/{rule}.yaml"


@each_rule
def test_a_rule_that_does_nothing_fails_its_cases(rule: str) -> None:
    """Cases that pass without their rule would prove nothing."""
    off = {"then": "off"}
    own = [case for case in CASES if stem(case) == rule]
    silenced = [replace(case, rules={**case.rules, rule: {**case.rules.get(rule, {}), **off}}) for case in own]
    assert any(run_case(case, RULES) for case in silenced)


@each_rule
def test_every_choice_of_a_rule_is_tried(rule: str) -> None:
    """A choice that findings.yaml offers and no case takes could break without anybody seeing it."""
    entry = getattr(RULES.findings, rule.replace("-", "_"))
    for field in msgspec.inspect.type_info(type(entry)).fields:  # type: ignore[attr-defined]
        if isinstance(field.type, msgspec.inspect.LiteralType):
            tried = {
                case.rules.get(rule, {}).get(field.name, getattr(entry, field.name))
                for case in CASES
                if stem(case) == rule
            }
            assert tried == set(field.type.values), f"{rule}: {field.name}"


@each_case
def test_the_plan_of_a_case_can_be_carried_out(case: Case) -> None:
    """Whatever a case is about: each contact is in one action, no action waits for one that is missing or that waits
    for it, and exactly the fixable findings have an action.
    """
    decision = decide(world_of(case, RULES), Scope())
    contacts = [action.contact for action in decision.actions if action.contact is not None]
    assert len(contacts) == len(set(contacts))
    assert len(in_order(decision)) == len(decision.actions)
    mended = {one.finding for action in decision.actions for one in action.because}
    assert {one.id for one in decision.findings if one.severity == "fixable"} == mended


@each_case
def test_no_user_gets_what_another_user_holds(case: Case) -> None:
    """Carried out in any order that the plan allows, no two users have one e-mail or external id (409 `conflict`).

    The last of what may run runs first, so that an order which only the list keeps does not pass.
    """
    world = world_of(case, RULES)
    contacts = dict(world.snapshot.by_id)
    clashing = clashes(contacts)
    for action in in_order(decide(world, Scope())):
        carry_out(action, contacts)
        assert clashes(contacts) <= clashing


@each_case
def test_once_a_plan_is_carried_out_nothing_is_left_to_do(case: Case) -> None:
    """Planning again after an apply gives an empty plan, or the same work would be done every night."""
    world = world_of(case, RULES)
    contacts = dict(world.snapshot.by_id)
    for action in in_order(decide(world, Scope())):
        carry_out(action, contacts)
    live = [contact for contact in contacts.values() if not contact.role.startswith("archived")]
    after = build_world(world.source, index(live), world.rules)
    again = msgspec.structs.replace(after, open_conversations=world.open_conversations)
    assert decide(again, Scope()).actions == ()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if has_each_number_once(case)])
def test_the_order_of_rows_and_contacts_changes_nothing(case: Case) -> None:
    """A database may return rows in any order, and Intercom contacts; the plan is the same, byte for byte."""
    shape = case.shape
    turned = msgspec.structs.replace(
        shape, members=shape.members[::-1], positions=shape.positions[::-1], contacts=shape.contacts[::-1]
    )
    assert decided(replace(case, shape=turned)) == decided(case)


def decided(case: Case) -> Decision:
    """What the rules make of a case."""
    return decide(world_of(case, RULES), Scope())


def in_order(decision: Decision) -> list[Action]:
    """The actions that can run, each after those it waits for; otherwise the last of the list first."""
    done: list[Action] = []
    waiting = list(decision.actions)
    while ready := [one for one in waiting if set(one.after) <= {before.id for before in done}]:
        done.append(ready[-1])
        waiting.remove(ready[-1])
    return done


def clashes(contacts: dict[str, Contact]) -> set[tuple[str, str, str]]:
    """Pairs of users with one e-mail or external id, archived ones included."""
    users = [contact for _, contact in sorted(contacts.items()) if contact.role in {"user", "archived user"}]
    return {
        (field, one.id, other.id)
        for field in ("email", "external_id")
        for one in users
        for other in users
        if one.id < other.id and one.get(field) and str(one.get(field)).lower() == str(other.get(field)).lower()
    }


def carry_out(action: Action, contacts: dict[str, Contact]) -> None:
    """What Intercom would make of an action. An archived user is gone from lists, and keeps its identifiers."""
    if action.do == "merge":
        assert action.into is not None
        assert may_merge(contacts[str(action.contact)], contacts[action.into])
        del contacts[str(action.contact)]
        return
    contact = contacts.get(action.contact or "", Contact(id=f"new-{action.member}", role="user"))
    contact = with_fields(contact, action.set)
    if action.do == "archive":
        contact = msgspec.structs.replace(contact, role=f"archived {contact.role}")
    contacts[contact.id] = contact
