"""The memory of the limits: what the runs of the last days did, and contacts that are written back and forth."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.actions import Do, Outcome, Verdict
from reconciler.core.history import History, PastRun, flips, history_of
from reconciler.core.model import Contact, Scalar
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.planner import Scope, decide
from reconciler.core.world import World
from tests.support.builders import make_contact, make_member, make_world, planned

REGION = "custom_attributes.region"


def past(*outcomes: Outcome, takes_back: bool = False) -> PastRun:
    """One run."""
    run = RunOutcome(
        plan="20261123T023000Z-8f3a1c5e",
        plan_digest="sha256:0",
        started_at="2026-11-23T02:30:00Z",
        finished_at="2026-11-23T02:31:00Z",
        summary=count(outcomes),
        outcomes=outcomes,
    )
    return PastRun(run, takes_back)


def ended(do: Do, contact: str | None, verdict: Verdict = "done", **sent: Scalar) -> Outcome:
    """The outcome of one action."""
    return Outcome(action=f"{do}-{contact}", do=do, outcome=verdict, contact=contact, sent=dict(sent))


def writes(values: Iterable[str | None]) -> list[PastRun]:
    """A night for each value: `region` of c1 is set to it; None: what the night before set is taken back."""
    nights, last = [], "?"
    for value in values:
        nights.append(past(ended("update", "c1", region=last if value is None else value), takes_back=value is None))
        last = value or last
    return nights


@pytest.mark.parametrize(
    ("values", "flipped", "reason"),
    [
        ("", 0, "nothing was written"),
        ("A", 0, "one write"),
        ("AA", 2, "somebody put another value there in between, once"),
        ("AAA", 3, "and again: two systems fight"),
        ("ABA", 3, "two rules fight"),
        ("ABABAB", 6, "every night"),
        ("ABC", 0, "a member who moved twice"),
        ("CABA", 3, "what came before the fight is none of it"),
        ("ABAC", 3, "nor what came after"),
        ("ABCA", 4, "a longer way round"),
    ],
)
def test_flips(values: str, flipped: int, reason: str) -> None:
    """Only a value that comes back is a flip (B20); a field that moves on is left to move."""
    expected = {"c1": {"region": flipped}} if flipped else {}
    assert flips(writes(values)) == expected, reason


@pytest.mark.parametrize(
    ("values", "flipped"),
    [(("A", None), 0), (("A", None, "A"), 0), (("A", "B", None, "A"), 2), (("A", None, "A", "A", "A"), 3)],
)
def test_what_a_person_takes_back_is_no_flip(values: tuple[str | None, ...], flipped: int) -> None:
    """Plan, apply, undo, apply is one write: a person who thinks twice must not freeze a contact."""
    assert flips(writes(values)) == ({"c1": {"region": flipped}} if flipped else {})


def test_an_undo_of_what_is_forgotten_counts_nothing() -> None:
    """The write it takes back is older than what is remembered."""
    assert flips([past(ended("update", "c1", region="A"), takes_back=True)]) == {}


@pytest.mark.parametrize("verdict", ["stale", "held", "failed", "unknown"])
def test_only_what_was_done_flips(verdict: Verdict) -> None:
    """A write that Intercom refuses every night changes nothing."""
    assert flips([past(ended("update", "c1", verdict, region="A"))] * 4) == {}


def test_fields_and_contacts_are_counted_apart() -> None:
    """Three writes of three fields, or of three contacts, are no fight."""
    assert flips([past(ended("update", "c1", "done", **{field: "A"})) for field in ("name", "phone", REGION)]) == {}
    assert flips([past(ended("update", contact, name="A")) for contact in ("c1", "c2", "c3")]) == {}


@given(st.lists(st.sampled_from("ABC"), max_size=9))
def test_a_field_flips_exactly_where_a_value_comes_back(values: list[str]) -> None:
    """Any order of values: no flips where each was written once, else at least two and at most all writes."""
    found = flips(writes(values)).get("c1", {}).get("region", 0)
    assert (found > 0) == (len(set(values)) < len(values))
    assert found == 0 or 2 <= found <= len(values)


@pytest.mark.parametrize(
    ("outcomes", "archives", "merges", "reason"),
    [
        ([("archive", "c1", "done"), ("archive", "c2", "done")], 2, 0, "both"),
        ([("archive", "c1", "unknown")], 1, 0, "what may have been done is counted: it is a brake"),
        ([("archive", "c1", "failed"), ("archive", "c2", "stale"), ("archive", "c3", "held")], 0, 0, "not done"),
        ([("archive", "c1", "done"), ("unarchive", "c1", "done")], 0, 0, "brought back"),
        ([("archive", "c1", "done"), ("unarchive", "c1", "failed")], 1, 0, "not brought back after all"),
        ([("archive", "c1", "done"), ("unarchive", "c1", "done"), ("archive", "c1", "done")], 1, 0, "and again"),
        ([("unarchive", "c9", "done"), ("archive", "c1", "done")], 1, 0, "an older archive taken back makes no room"),
        ([("merge", "c1", "done"), ("merge", "c2", "unknown"), ("merge", "c3", "held")], 0, 2, "merges"),
        ([("create", None, "done"), ("update", "c1", "done")], 0, 0, "other kinds"),
    ],
)
def test_what_stands(outcomes: list[tuple[Do, str, Verdict]], archives: int, merges: int, reason: str) -> None:
    """Archives and merges of the last days, less what was brought back."""
    found = history_of(past(ended(*one)) for one in outcomes)
    assert found.counts == {"archive": archives, "merge": merges}, reason


# What it does to a plan

MEMBER, OTHER = make_member("10001"), make_member("10002")
FOUGHT = History(flips={"c1": {REGION: 3, "name": 2}})


def drifted(contact_id: str, number: str) -> Contact:
    """A contact with a name that is not its member's."""
    member = make_member(number)
    return make_contact(contact_id, member, name=f"Nan {member.last_name}")


def two() -> World:
    """Two members, each with one update to come."""
    return make_world(members=(MEMBER, OTHER), contacts=(drifted("c1", "10001"), drifted("c2", "10002")))


def test_a_contact_that_is_fought_over_is_frozen() -> None:
    """No action on it, whatever else differs; the other member's goes on; and a person is told of the field."""
    assert {action.contact for action in planned(two(), history=History()).actions} == {"c1", "c2"}
    made = planned(two(), history=FOUGHT)
    assert [action.contact for action in made.actions] == ["c2"]
    (finding,) = [one for one in made.findings if "frozen" in one.says]
    assert (finding.rule, finding.severity, finding.contact) == ("update-attributes", "review", "c1")
    assert finding.member == "10001"
    assert finding.says.startswith(f"field {REGION} flipped 3 times in 7 days: frozen")
    assert [(one.field, one.value) for one in finding.evidence] == [(REGION, "NEA")]


def test_two_flips_are_let_go() -> None:
    """An edit that was put right once is a correction, not a fight."""
    made = planned(two(), history=History(flips={"c1": {REGION: 2}}))
    assert {action.contact for action in made.actions} == {"c1", "c2"}
    assert not [one for one in made.findings if "frozen" in one.says]


def test_a_frozen_contact_that_needs_nothing_is_no_finding() -> None:
    """The fight is over, or the other side has won by our rules."""
    world = make_world(members=(MEMBER,), contacts=(make_contact("c1", MEMBER),))
    assert planned(world, history=FOUGHT).findings == ()


@pytest.mark.parametrize("frozen", ["c1", "c3"])
def test_the_whole_member_waits(frozen: str) -> None:
    """Where one contact of a member is frozen its duplicates stay, too: half of a repair is none."""
    twice = make_world(members=(MEMBER,), contacts=(drifted("c1", "10001"), make_contact("c3", email=MEMBER.email)))
    assert {action.do for action in decide(twice, Scope()).actions} == {"update", "archive"}
    assert decide(twice, Scope(), History(flips={frozen: {"name": 3}})).actions == ()


def test_archives_of_the_week_hold_the_plan_of_tonight() -> None:
    """What this plan adds is held against what the last days did, in the plan itself."""
    world = make_world(members=(MEMBER,), contacts=(drifted("c1", "10001"), make_contact("c3", email=MEMBER.email)))
    free = planned(world, history=History(counts={"archive": 399}))
    full = planned(world, history=History(counts={"archive": 400}))
    assert not free.held()
    archive = next(action.id for action in full.actions if action.do == "archive")
    assert "over 400 in 7 days: 0 allowed by limits.yaml, archive.per_week" in full.held()[archive]


def night(*verdicts: tuple[str, Verdict]) -> PastRun:
    """A run: contact and what became of it."""
    return past(*(ended("update", contact, verdict) for contact, verdict in verdicts))


@pytest.mark.parametrize(
    ("nights", "failed", "reason"),
    [
        ([], "", "nothing was tried"),
        ([night(("c1", "done"))], "", "it worked"),
        ([night(("c1", "failed"), ("c2", "unknown"), ("c3", "done"))], "c1 c2", "refused, or nobody knows"),
        ([night(("c1", "failed")), night(("c1", "done"))], "", "the next attempt worked"),
        ([night(("c1", "done")), night(("c1", "failed"))], "c1", "the last attempt counts"),
        ([night(("c1", "failed")), night(("c1", "held"))], "c1", "what was held was not tried"),
        ([night(("c1", "failed")), night(("c1", "stale"))], "c1", "nor was what went stale"),
        ([night(("c1", "failed"), ("c1", "done"))], "c1", "half of a member is not done"),
    ],
)
def test_whom_the_last_attempt_failed(nights: list[PastRun], failed: str, reason: str) -> None:
    """The last attempt that was one decides."""
    assert history_of(nights).failed == frozenset(failed.split()), reason


def test_whom_the_last_attempt_failed_comes_last() -> None:
    """Otherwise the order is the one that it would have been."""
    members = tuple(make_member(f"1000{n}") for n in range(1, 6))
    world = make_world(members=members, contacts=())
    usual = [action.member for action in planned(world).actions]
    assert usual == [member.number for member in members]
    made = planned(world, history=History(failed=frozenset({"10001", "10003"})))
    assert [action.member for action in made.actions] == ["10002", "10004", "10005", "10001", "10003"]
