"""Generated worlds: whatever a union and its workspace look like, one apply settles everything that may be settled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from reconciler.controller import PlanRequest
from reconciler.core.explain.again import setting_of
from reconciler.core.plan import Plan, digest_of, encode
from reconciler.core.rules import Limits
from reconciler.core.text import fold_email
from tests.properties.found import ARCHIVED_TOO_SOON, FOUND, SWAPPED, TWO_OF_ONE_NUMBER
from tests.properties.night import Desk, Night, open_desk, run, spend, spend_all
from tests.properties.strategies import START, FirstNight, Union, first_nights, unions
from tests.support.builders import default_rules
from tests.support.campaign import WORLDS


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all nights."""
    with asyncio.Runner() as running:
        yield running


@given(union=unions())
@settings(max_examples=WORLDS, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_one_apply_settles_a_world(runner: asyncio.Runner, union: Union) -> None:
    """Everything is done, planning again is empty, and nobody was written whom the evidence does not name."""
    check_night(runner, union)


@pytest.mark.parametrize("union", FOUND.values(), ids=FOUND.keys())
def test_world_that_was_found(runner: asyncio.Runner, union: Union) -> None:
    """What once went wrong, shrunk; `found.py` tells each story."""
    check_night(runner, union)


def check_night(runner: asyncio.Runner, union: Union) -> None:
    """Spend a night and look at everything it left behind."""
    with open_desk(union) as desk:
        night = run(runner, spend(desk))
    check_plan(night.first)
    check_kept(night)
    check_settled(night)
    check_only_named_contacts_were_written(night)
    check_evidence(night)


@given(union=unions(), first_night=first_nights())
@settings(max_examples=WORLDS // 2, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_half_a_night_leaves_no_trap(runner: asyncio.Runner, union: Union, first_night: FirstNight) -> None:
    """Rules switched on one by one, a plan cut short or held by limits: the shipped rules then still settle it all."""
    check_two_nights(runner, union, first_night)


@pytest.mark.parametrize(
    ("union", "rules"), [(ARCHIVED_TOO_SOON, ("archive-duplicates",)), (TWO_OF_ONE_NUMBER, ())], ids=["rule", "number"]
)
def test_archive_that_came_first(runner: asyncio.Runner, union: Union, rules: tuple[str, ...]) -> None:
    """An archived contact keeps its identifiers for ever, so it gives up what a member should have tomorrow."""
    check_two_nights(runner, union, FirstNight(PlanRequest(rules=rules), Limits()))


def test_two_plans_of_one_second_are_both_stored(runner: asyncio.Runner) -> None:
    """Whoever plans twice in a hurry gets two records: the second names the first as the one before it."""

    async def plan_twice(desk: Desk) -> tuple[Plan, Plan]:
        async with desk.target:
            first = await desk.plan("plans")
            desk.clock.now = float(START)
            return first, await desk.plan("plans")

    with open_desk(SWAPPED) as desk:
        first, second = run(runner, plan_twice(desk))
    assert first.created_at == second.created_at
    assert first.id != second.id
    assert second.previous == digest_of(encode(first))


def check_two_nights(runner: asyncio.Runner, union: Union, first_night: FirstNight) -> None:
    """Do a part, then everything, then nothing."""
    shipped = msgspec.structs.replace(default_rules(), mappings=union.rules.mappings)
    tight = msgspec.structs.replace(union.rules, limits=first_night.limits)
    # A number that nothing has is refused; here the numbers are drawn without a look at the union.
    known = frozenset(row.number for row in union.members)
    scope = first_night.request.scope
    scope = msgspec.structs.replace(scope, only=scope.only & known, exclude=scope.exclude & known)
    request = msgspec.structs.replace(first_night.request, scope=scope)
    with open_desk(union) as desk:
        half, whole, last = run(runner, spend_all(desk, (tight, request), (shipped, None), (shipped, None)))
    held = half.plan.held()
    assert {one.outcome for one in half.outcomes if one.action not in held} <= {"done"}
    assert {one.outcome for one in half.outcomes if one.action in held} <= {"held"}
    assert [one for one in whole.outcomes if one.outcome != "done"] == []
    assert last.plan.actions == ()


def check_plan(plan: Plan) -> None:
    """The plan holds together: ids, order, counts, one action a contact."""
    ids = [action.id for action in plan.actions]
    assert len(set(ids)) == len(ids)
    assert all(before in ids for action in plan.actions for before in action.after)
    TopologicalSorter({action.id: action.after for action in plan.actions}).prepare()
    touched = Counter(action.contact for action in plan.actions if action.contact is not None)
    assert set(touched.values()) <= {1}
    gone = {action.contact for action in plan.actions if action.do in {"archive", "merge"}}
    assert not gone & {action.into for action in plan.actions}
    kinds = Counter(action.do for action in plan.actions)
    assert {do: getattr(plan.summary, do) for do in kinds} == dict(kinds)
    assert plan.summary.held == len(plan.held())
    assert plan.summary.report == sum(1 for finding in plan.findings if finding.severity != "fixable")
    known = {finding.id for finding in plan.findings}
    for action in plan.actions:
        assert action.because
        assert all(one.finding in known for one in action.because)
        assert action.do == "create" or set(action.set) <= set(action.expect)
        assert action.set or action.do in {"archive", "merge"}


def check_kept(night: Night) -> None:
    """The plan kept what it was decided on: each group, decided alone, comes to the plan's actions and findings."""
    plan = night.first
    if not plan.applyable:
        assert plan.seen == ()
        return
    again = [setting_of(plan, seen, night.union.rules).decide() for seen in plan.seen]
    assert sorted(action.id for one in again for action in one.actions) == sorted(action.id for action in plan.actions)
    kept = {finding.id for one in again for finding in one.findings}
    assert {one.id for one in plan.findings if one.member is not None or one.contact is not None} <= kept


def check_settled(night: Night) -> None:
    """Every action is done, nothing is left to do, and the same inputs gave the same bytes."""
    assert encode(night.first) == encode(night.same_again)
    if not night.first.applyable:
        assert not night.first.actions
        return
    assert [one for one in night.outcomes if one.outcome != "done"] == []
    assert [one.action for one in night.outcomes] == [action.id for action in night.first.actions]
    assert night.second.actions == ()
    # Nor did a write make a contradiction that was not there before.
    assert disputed(night.second) <= disputed(night.first)


def disputed(plan: Plan) -> set[tuple[str | None, str | None]]:
    """Contact and member of every finding that leaves a contact to a person because of who it might be."""
    return {(one.contact, one.member) for one in plan.findings if one.rule == "conflicting-identity"}


def check_only_named_contacts_were_written(night: Night) -> None:
    """The simulator's own log: each write hit a contact of the plan, and an outcome accounts for it."""
    created = {one.contact for one in night.outcomes if one.do == "create"}
    named = {action.contact for action in night.first.actions} | {action.into for action in night.first.actions}
    assert {call.id for call in night.writes} <= named | created
    told = Counter(call for one in night.outcomes for call in one.calls)
    done = Counter(f"{call.method} {call.path} {call.status}" for call in night.writes)
    assert done <= told
    for contact_id, contact in night.before.items():
        if contact_id not in named:
            assert night.after[contact_id] == contact
    assert set(night.after) - set(night.before) == created


def check_evidence(night: Night) -> None:
    """A second opinion, from the seed alone: who is nobody's, or somebody's and somebody else's, is not written."""
    union = night.union
    orphans_move = union.rules.findings.orphan_contact.then in {"archive", "relabel"}
    statuses = union.rules.contacts.who.status
    wanted = {row.number for row in union.members if row.status in statuses}
    for contact_id in {action.contact for action in night.first.actions if action.contact is not None}:
        if contact_id in union.rules.mappings:
            continue
        claims = claims_of(night.before[contact_id], union)
        if orphans_move and not claims & wanted:
            continue
        assert len(claims) <= 1, f"{contact_id} is claimed by {sorted(claims)}"
        assert claims <= wanted, f"{contact_id} belongs to nobody who should be a contact"
        contact = night.before[contact_id]
        assert claims or contact["phone"] or contact["custom_attributes"].get("member_number"), contact_id


def claims_of(contact: dict[str, object], union: Union) -> set[str]:
    """The members that a contact's numbers and e-mail point to; of weaker evidence this knows nothing."""
    used = {one.by for one in union.rules.matching.identifiers if one.unconfirmed == "review" or one.confirm is None}
    attributes = contact["custom_attributes"]
    assert isinstance(attributes, dict)
    numbers = {row.number for row in union.members}
    claims: set[str] = set()
    if "external_id" in used:
        claims |= {str(contact["external_id"] or "").strip()} & numbers
    if "custom_attributes.member_number" in used:
        claims |= {str(attributes.get("member_number") or "").strip()} & numbers
    if "email" in used and contact["email"]:
        email = fold_email(str(contact["email"]))
        claims |= {row.number for row in union.members if row.email and fold_email(row.email) == email}
    return claims
