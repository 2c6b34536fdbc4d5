"""What is told of one subject, beyond the ten nights of tests/cli/nights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import erasure
from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.actions import KINDS, Outcome
from reconciler.core.model import Evidence
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import LimitCheck, Plan
from reconciler.core.timeline import Event, Timeline
from tests.core.test_compare import NIGHTS, later, plan_at
from tests.report.plans import make_action, make_finding


def run_of(plan: Plan, *outcomes: Outcome) -> RunOutcome:
    """The run of a plan, an hour later."""
    ended = plan.created_at.replace("T02:", "T03:")
    return RunOutcome(
        plan=plan.id, plan_digest="", started_at=ended, finished_at=ended, summary=count(outcomes), outcomes=outcomes
    )


def ended(action: Any, verdict: Any = "done", **overrides: Any) -> Outcome:
    """What became of an action."""
    fields: dict[str, Any] = {"contact": action.contact, "member": action.member, "sent": action.set}
    return Outcome(action.id, action.do, verdict, **(fields | overrides))


def told(subject: str, *runs: tuple[Plan | None, RunOutcome | None]) -> list[Event]:
    """The events of a subject."""
    timeline = Timeline(subject)
    for plan, run in runs:
        timeline.see(plan, run)
    return list(timeline.events())


def words(events: Iterable[Event]) -> list[str]:
    """Day and what happened."""
    return [f"{event.at[8:10]} {event.event}" for event in events]


ACT = make_action(1)
MEMBER, CONTACT = "10001", str(ACT.contact)


@pytest.mark.parametrize("verdict", ["done", "stale", "held", "failed", "unknown"])
def test_every_verdict_is_told(verdict: Any) -> None:
    """What was planned, and an hour later what became of it, with Intercom's code and the reason."""
    plan = plan_at(1, ACT)
    run = run_of(plan, ended(ACT, verdict, says="as it is.", code="x_y"))
    planned, end = told(MEMBER, (plan, run))
    assert (planned.event, planned.at, end.event, end.at) == ("planned", plan.created_at, verdict, run.finished_at)
    assert (end.code, end.says[-1], end.plan) == ("x_y", "as it is.", plan.id)
    assert end.rules == planned.rules == ("fix-phone", "update-attributes")
    assert [(one.field, one.before, one.after) for one in end.changes] == [
        ("phone", "(765) 465-7031", "+17654657031"),
        ("custom_attributes.region", None, "Eastern"),
    ]


def test_a_plan_that_nobody_applied() -> None:
    """It was planned, and nothing came of it; what a limit holds is told as held."""
    assert words(told(MEMBER, (plan_at(1, ACT), None))) == ["01 planned"]
    over = LimitCheck("update", 0, 1, ok=False, says="1 to update is over 0")
    planned, held = told(MEMBER, (plan_at(1, ACT, limits=(over,)), None))
    assert (planned.event, held.event, held.says) == ("planned", "held", ("1 to update is over 0",))


def test_an_outcome_whose_plan_is_not_here() -> None:
    """A plan that came as a file leaves its outcome alone: what was sent is known, what was before is not."""
    event = told(MEMBER, (None, run_of(plan_at(1, ACT), ended(ACT))))[0]
    assert (event.event, event.do, event.contact) == ("done", "update", CONTACT)
    assert (event.changes[0].field, event.changes[0].after, event.changes[0].read) == ("phone", "+17654657031", False)
    assert told("nobody", (None, run_of(plan_at(1, ACT), ended(ACT)))) == []


def test_a_contact_that_was_made() -> None:
    """The plan could not know the id of a contact that it creates; the outcome ties it to the contact all the same."""
    create = make_action(7, "create")
    plan = plan_at(1, create)
    events = told("new1", (plan, run_of(plan, ended(create, contact="new1"))))
    assert words(events) == ["01 planned", "01 done"]
    assert events[1].contact == "new1"


def test_the_user_that_a_lead_was_merged_into() -> None:
    """A merge happened to both of them."""
    merge = make_action(1, "merge", into="user1")
    plan = plan_at(1, merge)
    assert words(told("user1", (plan, run_of(plan, ended(merge))))) == ["01 planned", "01 done"]


ARCHIVE = make_action(1, "archive")


def archived() -> tuple[Plan, RunOutcome]:
    """The night in which the contact was archived."""
    plan = plan_at(1, ARCHIVE)
    return plan, run_of(plan, ended(ARCHIVE))


def test_who_came_back_is_told_to_the_member_too() -> None:
    """A plan that names the archived contact and not the member is about both; it is told once."""
    about_contact = later(findings=(make_finding(1, member=None, contact=CONTACT),))
    events = told(MEMBER, archived(), (about_contact, None), (about_contact, None))
    assert words(events) == ["01 planned", "01 archived", "04 came back"]
    assert events[2].contact == CONTACT


def test_who_was_brought_back_by_us_does_not_come_back_by_itself() -> None:
    """A create that met the archived contact brought it back; a later plan that names it says nothing new of that."""
    create = make_action(1, "create")
    plan = plan_at(2, create)
    events = told(
        MEMBER, archived(), (plan, run_of(plan, ended(create, contact=CONTACT))), (later(make_action(1)), None)
    )
    assert words(events) == ["01 planned", "01 archived", "02 planned", "02 came back", "04 planned"]


def test_a_finding_is_told_when_it_appears_and_when_it_changes() -> None:
    """Not every night again; but again after a night in which the subject was mended."""
    first, other = make_finding(1, member=MEMBER, says="one"), make_finding(1, member=MEMBER, says="two")
    nights = [(first,), (first,), (), (first,), (other,), (first,)]
    runs = [(plan_at(night, findings=found), None) for night, found in enumerate(nights, start=1)]
    assert words(told(MEMBER, *runs)) == ["01 found", "05 found", "06 found"]
    mended = [(plan_at(1, findings=(first,)), None), (plan_at(2, ACT), None), (plan_at(3, findings=(first,)), None)]
    assert words(told(MEMBER, *mended)) == ["01 found", "02 planned", "03 found"]


def test_events_are_in_the_order_of_time() -> None:
    """A plan that was applied after the next one had been made."""
    first, second = plan_at(1, ACT), plan_at(2, ACT)
    late = msgspec.structs.replace(run_of(first, ended(ACT)), finished_at=NIGHTS[2])
    assert words(told(MEMBER, (first, late), (second, None))) == ["01 planned", "02 planned", "03 done"]


SUBJECTS = st.sampled_from(["m1", "m2", "m12", "c1", "c2", "c12"])


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[Plan | None, RunOutcome | None]]:
    """A few nights about members m1, m2 and m12 and contacts c1, c2 and c12."""
    runs: list[tuple[Plan | None, RunOutcome | None]] = []
    for night in range(1, draw(st.integers(2, 6))):
        actions = []
        for number in range(draw(st.integers(0, 2))):
            do = draw(st.sampled_from(KINDS))
            contact = None if do == "create" else draw(st.sampled_from(["c1", "c2", "c12"]))
            actions.append(
                make_action(number, do, contact=contact, member=draw(st.sampled_from([None, "m1", "m2", "m12"])))
            )
        findings = [
            make_finding(
                number,
                member=draw(st.sampled_from([None, "m1", "m12"])),
                contact=draw(st.sampled_from([None, "c1", "c2"])),
                evidence=(Evidence(draw(st.sampled_from(["sqlite members/7", "intercom contacts/c1"])), "name", "x"),),
            )
            for number in range(draw(st.integers(0, 2)))
        ]
        plan = plan_at(night, *actions, findings=tuple(findings))
        outcomes = [
            ended(
                action,
                draw(st.sampled_from(["done", "done", "failed"])),
                contact=action.contact or draw(st.sampled_from(["c1", "c2"])),
            )
            for action in actions
        ]
        run = run_of(plan, *outcomes) if draw(st.booleans()) else None
        runs.append((plan if run is None or draw(st.booleans()) else None, run))
    return runs


def told_by_bytes(subject: str, *runs: tuple[Plan | None, RunOutcome | None]) -> list[Event]:
    """As `told`, leaving out records that do not mention the subject."""
    timeline = Timeline(subject)
    for plan, run in runs:
        records = [
            *([plan_file.encode(plan)] if plan is not None else []),
            *([outcome_file.encode(run)] if run is not None else []),
        ]
        if any(map(timeline.may_mention, records)):
            timeline.see(plan, run)
    return list(timeline.events())


@settings(max_examples=100)
@given(runs=stories(), subject=SUBJECTS)
def test_what_is_not_decoded_has_nothing_to_tell(runs: Any, subject: str) -> None:
    """Leaving out the records whose bytes do not mention the subject leaves out no event."""
    assert told_by_bytes(subject, *runs) == told(subject, *runs)


@pytest.mark.parametrize(
    "finding",
    [
        make_finding(1, member=None, contact=CONTACT, evidence=()),
        make_finding(1, member=None, evidence=(Evidence(f"intercom contacts/{CONTACT}", "email", "x"),)),
    ],
    ids=["by its id", "by its evidence"],
)
def test_a_record_that_names_only_who_came_back_is_decoded(finding: Any) -> None:
    """Nothing in it mentions the member; but it names the contact that was archived on the member's behalf."""
    runs = [archived(), (later(findings=(finding,)), None)]
    assert words(told_by_bytes(MEMBER, *runs)) == ["01 planned", "01 archived", "04 came back"]


def test_a_subject_in_other_letters() -> None:
    """A number with a quote in it stands in the file as JSON writes it."""
    odd = 'é"1'
    plan = plan_at(1, make_action(1, member=odd))
    assert Timeline(odd).may_mention(plan_file.encode(plan))
    whole = erasure.lines_of(plan_file.encode(plan))
    left, _ = erasure.erase(whole, [b"key"] * erasure.count_items(whole), which=lambda _: True)
    erased = erasure.Erased(record="x", record_digest="sha256:", lines=left)
    assert Timeline(odd).may_mention(erasure.as_record(erased))
