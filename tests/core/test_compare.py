"""Two plans against each other: counts that add up, and what is the same across nights."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.actions import KINDS, Outcome
from reconciler.core.compare import Comparison, LeftOut, Pair, compare
from reconciler.core.model import Evidence
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan
from reconciler.core.seen import Basis
from reconciler.errors import PlanError
from tests.report.plans import make_action, make_finding, make_plan
from tests.support.plans import PLANS

NIGHTS = [f"2026-11-{night:02}T02:30:00Z" for night in range(1, 31)]


def plan_at(night: int, *actions: Any, **overrides: Any) -> Plan:
    """The plan of one night of November, from 1."""
    at = NIGHTS[night - 1]
    plan_id = f"{at.replace('-', '').replace(':', '')}-8f3a1c5e"
    return make_plan(*actions, **({"id": plan_id, "created_at": at} | overrides))


def statuses(pairs: tuple[Pair[Any], ...]) -> list[str]:
    """What became of each."""
    return [pair.status for pair in pairs]


SMALL = st.integers(0, 3)
ACTIONS = st.lists(
    st.builds(make_action, SMALL, st.sampled_from(KINDS), set=st.dictionaries(st.sampled_from("ab"), SMALL.map(str))),
    max_size=6,
)
FINDINGS = st.lists(
    st.builds(make_finding, SMALL, rule=st.sampled_from(["x", "y"]), member=st.none() | SMALL.map(str)), max_size=6
)
ALIKE = st.builds(lambda actions, findings: make_plan(*actions, findings=tuple(findings)), ACTIONS, FINDINGS)
"""Plans of so few members, fields and values that two of them have much in common, and one says things twice."""


@settings(max_examples=60)
@given(old=ALIKE | PLANS, new=ALIKE | PLANS, others=st.lists(ALIKE, max_size=3))
def test_counts_add_up(old: Plan, new: Plan, others: list[Plan]) -> None:
    """For every class old - resolved + new = now, persistent is in both, and each action and finding counts once."""
    found = compare(old, msgspec.structs.replace(new, target=old.target), others=others)
    for counts, was, now in (
        (
            found.action_counts(),
            Counter(str(one.do) for one in old.actions),
            Counter(str(one.do) for one in new.actions),
        ),
        (
            found.finding_counts(),
            Counter(one.rule for one in old.open_findings()),
            Counter(one.rule for one in new.open_findings()),
        ),
    ):
        assert {line.name for line in counts} == {*was, *now}
        for line in counts:
            assert (line.old, line.now) == (was[line.name], now[line.name])
            assert line.old - line.resolved + line.new == line.now
            assert line.persistent == line.old - line.resolved == line.now - line.new
            assert 0 <= line.flapping <= line.persistent + line.resolved + line.new
            assert min(line.resolved, line.new, line.persistent) >= 0
    assert [pair.new for pair in found.actions if pair.new is not None] == list(new.actions)
    assert [pair.old for pair in found.actions if pair.new is None] == [
        one for one in old.actions if all(one is not pair.old for pair in found.actions if pair.new is not None)
    ]


@settings(max_examples=20)
@given(plan=ALIKE | PLANS)
def test_a_plan_against_itself(plan: Plan) -> None:
    """Nothing is new, and nothing resolved."""
    found = compare(plan, plan)
    assert {*statuses(found.actions), *statuses(found.findings)} <= {"persistent"}
    assert all(pair.old == pair.new for pair in found.actions)
    assert all(pair.old == pair.new for pair in found.findings)


@settings(max_examples=50)
@given(old=ALIKE, new=ALIKE)
def test_the_other_way_round(old: Plan, new: Plan) -> None:
    """What is new one way is resolved the other way, and what persists persists."""
    there, back = compare(old, new), compare(new, old)
    mirrored = {"new": "resolved", "resolved": "new", "persistent": "persistent"}
    for one, other in ((there.actions, back.actions), (there.findings, back.findings)):
        assert Counter(map(mirrored.__getitem__, statuses(one))) == Counter(statuses(other))


SAME = make_action(1)
ACROSS_NIGHTS = [
    ("another value for the same field", {"set": SAME.set | {"phone": "+17650000000"}}, True),
    ("another value before", {"expect": {"phone": "765"}}, True),
    ("another id, rule and finding", {"id": "u-ffffff", "because": ()}, True),
    ("one field more", {"set": SAME.set | {"email": "x@example.org"}}, False),
    ("one field less", {"set": {"phone": "+17654657031"}}, False),
    ("another contact", {"contact": "c9"}, False),
    ("another member", {"member": "9"}, False),
    ("another kind", {"do": "promote"}, False),
]


@pytest.mark.parametrize(
    ("change", "same"), [case[1:] for case in ACROSS_NIGHTS], ids=[case[0] for case in ACROSS_NIGHTS]
)
def test_what_an_action_is_across_nights(change: dict[str, Any], same: bool) -> None:
    """Kind, member, contact and fields make an action; values, ids and reasons do not."""
    found = compare(make_plan(SAME), make_plan(msgspec.structs.replace(SAME, **change)))
    assert statuses(found.actions) == (["persistent"] if same else ["new", "resolved"])


FINDING = make_finding(1)
CODE = {"rule": "unknown-position-code", "member": None}


def of_code(code: str, says: str) -> Any:
    """A finding about a position code, which has no member and no contact."""
    return make_finding(1, **CODE, says=says, evidence=(Evidence("sqlite positions/7", "positions", code),))


SAME_FINDING = [
    ("another sentence", FINDING, make_finding(1, says="Three members have it."), True),
    ("another value", FINDING, make_finding(1, evidence=()), True),
    ("another rule", FINDING, make_finding(1, rule="invalid-member"), False),
    ("another member", FINDING, make_finding(2), False),
    ("a code that more members have", of_code("zz", "2 members"), of_code("zz", "3 members"), True),
    ("another code", of_code("zz", "2 members"), of_code("yy", "2 members"), False),
]


@pytest.mark.parametrize(
    ("old", "new", "same"), [case[1:] for case in SAME_FINDING], ids=[case[0] for case in SAME_FINDING]
)
def test_what_a_finding_is_across_nights(old: Any, new: Any, same: bool) -> None:
    """Rule and subject make a finding, and where there is no subject the values of its evidence."""
    found = compare(make_plan(findings=(old,)), make_plan(findings=(new,)))
    assert statuses(found.findings) == (["persistent"] if same else ["new", "resolved"])


THERE, GONE = (make_action(1),), ()
MOVED_ON = (make_action(1, set={"phone": "+17650000000", "custom_attributes.region": "Eastern"}),)
OVER_TIME = [
    ("all the time", [THERE, THERE, THERE], False),
    ("new tonight", [GONE, GONE, THERE], False),
    ("gone since", [THERE, GONE, GONE], False),
    ("gone and back", [THERE, GONE, THERE], True),
    ("gone, back and gone", [THERE, GONE, THERE, GONE], True),
    ("back with another value", [THERE, GONE, MOVED_ON], False),
    ("back with the first value, after another", [THERE, MOVED_ON, THERE], True),
]


@pytest.mark.parametrize(("nights", "flapping"), [case[1:] for case in OVER_TIME], ids=[case[0] for case in OVER_TIME])
def test_what_comes_and_goes(nights: list[tuple[Any, ...]], flapping: bool) -> None:
    """The same change to the same values, there, gone and there again; a field that moves on does not flap."""
    plans = [plan_at(night, *actions) for night, actions in enumerate(nights, start=1)]
    found = compare(plans[-2], plans[-1], others=plans)
    assert any(pair.flapping for pair in found.actions) == flapping
    assert found.looked_at == len(plans)


def test_what_came_after_both_is_not_looked_at() -> None:
    """Between two plans of last month nothing flaps because of what a later one says."""
    found = compare(plan_at(1, SAME), plan_at(2), others=[plan_at(3, SAME)])
    assert not any(pair.flapping for pair in found.actions)


UNDOING = make_action(2, because=(msgspec.structs.replace(make_action(2).because[0], rule="undo"),))
NO_NIGHTS = [
    ("refused", {"applyable": False}),
    ("about positions", {"target": "positions"}),
    ("about one member", {"summary": msgspec.structs.replace(make_plan().summary, unchanged=0)}),
    ("of some members", {"basis": Basis(files={}, only=("20001",))}),
    ("without some members", {"basis": Basis(files={}, exclude=("20001",))}),
    ("cut short", {"basis": Basis(files={}, limit=1)}),
    ("of some rules", {"basis": Basis(files={}, off=("update-attributes",))}),
]


@pytest.mark.parametrize("overrides", [case[1] for case in NO_NIGHTS], ids=[case[0] for case in NO_NIGHTS])
def test_a_plan_that_cannot_tell_what_is_gone(overrides: dict[str, Any]) -> None:
    """What a refused or narrow plan does not name is not gone for that."""
    between = plan_at(2, **overrides)
    assert not any(pair.flapping for pair in compare(plan_at(1, SAME), plan_at(3, SAME), others=[between]).actions)
    whole = plan_at(2)
    assert all(pair.flapping for pair in compare(plan_at(1, SAME), plan_at(3, SAME), others=[whole]).actions)


def test_a_plan_that_takes_back_is_no_night() -> None:
    """An undo names only what it undoes; the rest is not gone."""
    found = compare(plan_at(1, SAME), plan_at(3, SAME), others=[plan_at(2, UNDOING)])
    assert not any(pair.flapping for pair in found.actions)


def test_a_narrow_plan_is_called_narrow() -> None:
    """Whoever compares a night with a plan of one member is told that little of it was looked at."""
    narrow = plan_at(2, summary=msgspec.structs.replace(make_plan().summary, unchanged=0))
    assert compare(plan_at(1, SAME), narrow).narrower
    assert not compare(narrow, plan_at(1, SAME)).narrower


WHOLE = Basis(files={"limits.yaml": "canary: []"})
LESS = [
    ("a whole night", WHOLE, LeftOut()),
    ("nobody knows", None, LeftOut()),
    ("some members", Basis(files={}, only=("1", "2")), LeftOut(only=("1", "2"))),
    ("without a member", Basis(files={}, exclude=("1",)), LeftOut(exclude=("1",))),
    ("cut short", Basis(files={}, limit=5), LeftOut(limit=5)),
    ("some rules", Basis(files={}, off=("fix-phone",)), LeftOut(rules=("fix-phone",))),
]


@pytest.mark.parametrize(("basis", "left_out"), [case[1:] for case in LESS], ids=[case[0] for case in LESS])
def test_what_a_plan_was_told_not_to_look_at(basis: Basis | None, left_out: LeftOut) -> None:
    """Of either plan it is told, as the plan recorded it; where both were told the same, nothing misleads."""
    night, less = plan_at(1, SAME, basis=WHOLE), plan_at(2, SAME, basis=basis)
    assert compare(night, less).left_out == (LeftOut(), left_out)
    assert compare(less, night).left_out == (left_out, LeftOut())
    assert compare(less, plan_at(3, basis=basis)).left_out == (LeftOut(), LeftOut())


def test_nights_that_looked_at_no_less_are_looked_at() -> None:
    """For two plans of one member, whole nights and wider plans tell what comes and goes; narrower ones do not."""
    pair = [plan_at(night, SAME, basis=Basis(files={}, only=("1",), off=("fix-phone",))) for night in (1, 9)]
    others = [None, WHOLE, Basis(files={}, only=("1", "2")), Basis(files={}, off=("fix-phone",))]
    narrow = [Basis(files={}, only=("2",)), Basis(files={}, off=("fix-phone", "promote-lead"))]
    nights = [plan_at(night, SAME, basis=basis) for night, basis in enumerate([*others, *narrow], start=2)]
    assert compare(*pair, others=nights).looked_at == 2 + len(others)


def test_plans_for_two_targets_are_not_compared() -> None:
    """Contacts have nothing in common with rows: every action would be new, and every other one resolved."""
    with pytest.raises(PlanError, match=r"is for contacts, and plan .* for positions"):
        compare(plan_at(1, SAME), plan_at(2, target="positions"))


def run_at(night: int, do: Any, verdict: Any = "done", contact: str = "c1") -> RunOutcome:
    """A run of one action, ended at 02:31 of a night."""
    outcomes = (Outcome("x-1", do, verdict, contact=contact),)
    ended = NIGHTS[night - 1].replace("30:00", "31:00")
    return RunOutcome(
        plan=f"plan of {night}",
        plan_digest="",
        started_at=ended,
        finished_at=ended,
        summary=count(outcomes),
        outcomes=outcomes,
    )


ARCHIVED = run_at(1, "archive")
LIVE_AGAIN = [
    ("archived and seen live", [ARCHIVED], ["c1"]),
    ("archived twice", [ARCHIVED, run_at(2, "archive")], ["c1"]),
    ("the archive failed", [run_at(1, "archive", "failed")], []),
    ("the archive may have been done", [run_at(1, "archive", "unknown")], []),
    ("brought back by us", [ARCHIVED, run_at(2, "unarchive")], []),
    ("brought back by a create that met it", [ARCHIVED, run_at(2, "create")], []),
    ("brought back by us, and archived again", [run_at(2, "unarchive"), ARCHIVED, run_at(3, "archive")], ["c1"]),
    ("archived after the plan was made", [run_at(5, "archive")], []),
    ("another contact", [run_at(1, "archive", contact="c2")], []),
]


@pytest.mark.parametrize(("runs", "back"), [case[1:] for case in LIVE_AGAIN], ids=[case[0] for case in LIVE_AGAIN])
def test_who_came_back(runs: list[RunOutcome], back: list[str]) -> None:
    """Archived for sure, not brought back by ourselves, and live when the new plan was made."""
    found = compare(plan_at(3), later(make_action(1, contact="c1")), runs=runs)
    assert [one.contact for one in found.came_back] == back


def later(*actions: Any, **overrides: Any) -> Plan:
    """The plan of the fourth night, which read the contacts in that night."""
    plan = plan_at(4, *actions, **overrides)
    contacts = msgspec.structs.replace(plan.inputs.actual, read_at=NIGHTS[3])
    return msgspec.structs.replace(plan, inputs=msgspec.structs.replace(plan.inputs, contacts=contacts))


NAMED = [
    ("a finding about it", {"findings": (make_finding(1, contact="c1"),)}, True),
    ("evidence from it", {"findings": (make_finding(1, evidence=(Evidence("intercom contacts/c1", "email"),)),)}, True),
    ("a lead merged into it", {"actions": (make_action(1, "merge", into="c1"),)}, True),
    ("an archive of it", {"actions": (make_action(1, "archive", contact="c1"),)}, True),
    ("bringing it back", {"actions": (make_action(1, "unarchive", contact="c1"),)}, False),
    (
        "evidence from another",
        {"findings": (make_finding(1, evidence=(Evidence("intercom contacts/c12", "email"),)),)},
        False,
    ),
]


@pytest.mark.parametrize(("said", "live"), [case[1:] for case in NAMED], ids=[case[0] for case in NAMED])
def test_what_shows_that_a_contact_is_live(said: dict[str, Any], live: bool) -> None:
    """Whatever a plan says of a contact, but for bringing it back, it says of one that was read among the live ones."""
    found: Comparison = compare(plan_at(3), later(**said), runs=[ARCHIVED])
    assert bool(found.came_back) == live
