from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.actions import KINDS, Action, Do, Outcome, Verdict
from reconciler.core.model import Workspace
from reconciler.core.plan import LimitCheck, Plan
from reconciler.errors import (
    PlanRefused,
    PlanUnreadable,
    ReconcilerError,
    ScopeMissing,
    Unauthorized,
    Unreachable,
)
from reconciler.runs.apply import UNKNOWN_IN_A_ROW, Stop, apply_plan, needs_reread
from reconciler.targets import Writer
from tests.report.plans import make_action, make_plan, refused

MADE = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)

Script = Verdict | Exception


@dataclass
class FakeWriter:
    """A writer that does as it is told, and records what it was asked in which order."""

    script: Mapping[str, Script] = field(default_factory=dict)
    """Action id → how it ends; `done` where nothing is said."""
    turns: int = 1
    """How often each write gives way to others before it ends."""
    workspace_id: str = "abc123"
    events: list[tuple[str, str]] = field(default_factory=list)
    """`begin` and `end` of each action."""
    reread: dict[str, bool] = field(default_factory=dict)
    most_at_once: int = 0
    on_begin: Callable[[str], None] = lambda _: None

    async def workspace(self) -> Workspace:
        """The workspace that the token opens."""
        return Workspace(id=self.workspace_id, name="Union", timezone="UTC", admin_id="1")

    async def prepare(self, actions: Sequence[Action]) -> None:
        """Nothing keeps any of them from being written."""
        assert not self.events, "too late: something was written"
        assert all(isinstance(action, Action) for action in actions)

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """Ends the action as the script says."""
        self.events.append(("begin", action.id))
        self.reread[action.id] = reread
        self.most_at_once = max(self.most_at_once, self.under_way())
        self.on_begin(action.id)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        self.events.append(("end", action.id))
        ending = self.script.get(action.id, "done")
        if isinstance(ending, Exception):
            raise ending
        return Outcome(action=action.id, do=action.do, outcome=ending, contact=action.contact, member=action.member)

    async def look(self, action: Action) -> Outcome:
        """Nothing is looked at here."""
        raise AssertionError(f"{action.id} was looked at")

    def begun(self) -> list[str]:
        """The ids of the actions begun, in order."""
        return [action for event, action in self.events if event == "begin"]

    def under_way(self) -> int:
        """How many actions are begun and not ended."""
        return sum(1 if event == "begin" else -1 for event, _ in self.events)


def apply(
    plan: Plan,
    writer: Writer,
    *,
    now: datetime = MADE + timedelta(minutes=1),
    max_parallel: int = 4,
    progress: Callable[[str, int, int | None], None] = lambda _what, _done, _total: None,
    stop: Stop = lambda: None,
) -> tuple[Outcome, ...]:
    """`apply_plan` from start to end."""
    return asyncio.run(
        apply_plan(plan, writer, now=lambda: now, max_parallel=max_parallel, progress=progress, stop=stop)
    )


def chain(count: int, **overrides: Any) -> list[Action]:
    """So many updates of as many members."""
    return [make_action(number, id=f"u-{number}", **overrides) for number in range(count)]


def says(outcomes: tuple[Outcome, ...]) -> dict[str, tuple[str, str]]:
    """Action id → verdict and reason."""
    return {outcome.action: (outcome.outcome, outcome.says) for outcome in outcomes}


# Random plans


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans whose actions wait for others without a circle, listed in any order, of few members."""
    count = draw(st.integers(0, 14))
    order = draw(st.permutations(range(count)))
    actions = []
    for number in range(count):
        earlier = [f"x-{other}" for other in range(count) if order[other] < order[number]]
        after = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else []
        do: Do = draw(st.sampled_from(KINDS))
        member = draw(st.none() | st.sampled_from(["1", "2", "3"]))
        actions.append(make_action(number, do, id=f"x-{number}", member=member, after=tuple(after)))
    limits = tuple(
        LimitCheck(do, 0, 1, ok=False, says="over") for do in draw(st.sets(st.sampled_from(KINDS), max_size=1))
    )
    return make_plan(*actions, limits=limits)


VERDICTS: list[Verdict] = ["done", "done", "done", "stale", "failed", "unknown"]

ENDINGS = st.dictionaries(st.integers(0, 13).map("x-{}".format), st.sampled_from(VERDICTS), max_size=14)


@settings(max_examples=300, deadline=None)
@given(
    plan=plans(),
    script=ENDINGS,
    max_parallel=st.integers(1, 5),
    turns=st.integers(0, 3),
    stop_after=st.none() | st.integers(0, 14),
)
def test_any_plan(
    plan: Plan, script: dict[str, Verdict], max_parallel: int, turns: int, stop_after: int | None
) -> None:
    """Whatever the plan and whatever becomes of its actions.

    Each action has one outcome, in plan order; none runs before those in its `after` are done, nor beside another of
    its member; never more at once than allowed; nothing held is sent; and nothing is begun after a stop.
    """
    writer = FakeWriter(script=script, turns=turns)
    stop = _stop_after(writer, stop_after)
    outcomes = apply(plan, writer, max_parallel=max_parallel, stop=stop)

    assert [outcome.action for outcome in outcomes] == [action.id for action in plan.actions]
    begun = writer.begun()
    assert len(begun) == len(set(begun))
    assert writer.most_at_once <= max_parallel
    assert writer.under_way() == 0
    verdicts = {outcome.action: outcome.outcome for outcome in outcomes}
    position = {event: at for at, event in enumerate(writer.events)}
    for action in plan.actions:
        sent = action.id in begun
        assert sent == (verdicts[action.id] != "held")
        if sent:
            assert action.id not in plan.held()
            assert all(position["end", before] < position["begin", action.id] for before in action.after)
            assert all(verdicts[before] == "done" for before in action.after)
    _check_members(plan, writer)
    if stop_after is not None:
        assert len(begun) <= stop_after
    elif verdicts and "unknown" not in verdicts.values():
        assert all(_has_reason(action, plan, verdicts) for action in plan.actions)


def _stop_after(writer: FakeWriter, count: int | None) -> Stop:
    return lambda: "paused" if count is not None and len(writer.begun()) >= count else None


def _check_members(plan: Plan, writer: FakeWriter) -> None:
    """Actions of one member never overlap."""
    member = {action.id: action.member for action in plan.actions}
    open_: set[str] = set()
    for event, action in writer.events:
        owner = member[action]
        if owner is not None and event == "begin":
            assert owner not in open_
            open_.add(owner)
        elif owner is not None:
            open_.remove(owner)


def _has_reason(action: Action, plan: Plan, verdicts: dict[str, Verdict]) -> bool:
    """Without a stop an action is held for a limit or for one in its `after`, and for nothing else."""
    waits_in_vain = any(verdicts[before] != "done" for before in action.after)
    return (verdicts[action.id] == "held") == (action.id in plan.held() or waits_in_vain)


# Order


def test_actions_of_one_member_keep_plan_order() -> None:
    """A member's actions run one after the other as the plan lists them, whatever became of the one before."""
    actions = chain(4, member="10001")
    writer = FakeWriter(script={"u-1": "stale"})
    outcomes = apply(make_plan(*actions), writer)
    assert writer.events == [(event, action.id) for action in actions for event in ("begin", "end")]
    assert [outcome.outcome for outcome in outcomes] == ["done", "stale", "done", "done"]


def test_after_comes_before_plan_order() -> None:
    """A survivor listed before the duplicate that must give up its identifiers still runs after it (design §4.5)."""
    survivor = make_action(1, id="u-1", member="10001", after=("a-2",))
    duplicate = make_action(2, "archive", id="a-2", member="10001")
    writer = FakeWriter()
    outcomes = apply(make_plan(survivor, duplicate), writer)
    assert writer.begun() == ["a-2", "u-1"]
    assert [outcome.action for outcome in outcomes] == ["u-1", "a-2"]


def test_member_once_begun_is_finished_first() -> None:
    """Nobody is left between archive and takeover while thousands of others are written."""
    pairs = [
        action
        for number in range(3)
        for action in (
            make_action(number, "archive", id=f"a-{number}", member=str(number)),
            make_action(number + 50, id=f"u-{number}", member=str(number), after=(f"a-{number}",)),
        )
    ]
    plan = make_plan(*pairs[::2], *pairs[1::2])
    writer = FakeWriter()
    apply(plan, writer, max_parallel=1)
    assert writer.begun() == ["a-0", "u-0", "a-1", "u-1", "a-2", "u-2"]


def test_members_run_side_by_side() -> None:
    """Different members use all of the parallelism allowed."""
    writer = FakeWriter()
    apply(make_plan(*chain(20)), writer, max_parallel=5)
    assert writer.most_at_once == 5


@pytest.mark.parametrize("verdict", ["stale", "failed", "unknown"])
def test_waiting_for_what_was_not_done(verdict: Verdict) -> None:
    """An action whose precondition did not come about is held, and names it; so are those that wait for it in turn."""
    actions = [make_action(1, id="a"), make_action(2, id="b", after=("a",)), make_action(3, id="c", after=("b",))]
    writer = FakeWriter(script={"a": verdict})
    assert says(apply(make_plan(*actions), writer)) == {
        "a": (verdict, ""),
        "b": ("held", f"waits for a, which is {verdict}"),
        "c": ("held", "waits for b, which is held"),
    }


def test_held_class_is_not_sent() -> None:
    """Actions of a class over its limit are held with what the limit says; the others go through."""
    limit = LimitCheck("archive", 0, 1, ok=False, says="1 archive, 0 allowed")
    plan = make_plan(make_action(1, "archive", id="a"), make_action(2, id="u"), limits=(limit,))
    writer = FakeWriter()
    assert says(apply(plan, writer)) == {"a": ("held", "1 archive, 0 allowed"), "u": ("done", "")}
    assert writer.begun() == ["u"]


def test_progress_counts_every_action() -> None:
    """Progress is told of each action that has an outcome, out of all; a terminal that is gone ends nothing."""
    told: list[tuple[str, int, int | None]] = []

    def broken(what: str, done: int, total: int | None) -> None:
        told.append((what, done, total))
        raise BrokenPipeError

    outcomes = apply(make_plan(*chain(3)), FakeWriter(), progress=broken)
    assert told == [("apply", 1, 3), ("apply", 2, 3), ("apply", 3, 3)]
    assert len(outcomes) == 3


# What stops a run


@pytest.mark.parametrize("error", [Unauthorized, ScopeMissing])
def test_refused_token_stops_all_writes(error: type[Unauthorized | ScopeMissing]) -> None:
    """After 401 or 403 no further write can succeed: those under way end, the rest is held with the reason."""
    refusal = error("the token may not write contacts", status=401, code="unauthorized", request_id="req-9")
    writer = FakeWriter(script={"u-2": refusal})
    outcomes = apply(make_plan(*chain(9)), writer, max_parallel=3)
    assert writer.begun() == [f"u-{number}" for number in range(len(writer.begun()))]
    assert len(writer.begun()) <= 5
    stopped = outcomes[2]
    assert (stopped.outcome, stopped.code, stopped.request_id) == ("failed", "unauthorized", "req-9")
    reason = "stopped, because the token may not write: the token may not write contacts"
    assert {says_ for verdict, says_ in says(outcomes).values() if verdict == "held"} == {reason}
    assert outcomes[-1].outcome == "held"


@pytest.mark.parametrize(
    ("reason", "script", "sent"),
    [
        ("five in a row might be chance", {f"u-{n}": "unknown" for n in range(5)}, 20),
        ("the sixth stops the run", {f"u-{n}": "unknown" for n in range(6)}, 6),
        ("one done between starts the count anew", {f"u-{n}": "unknown" for n in range(12) if n != 5}, 12),
    ],
)
def test_many_unknown_in_a_row(reason: str, script: dict[str, Script], sent: int) -> None:
    """Intercom is left alone once more outcomes in a row are unknown than can be chance (failure mode A9)."""
    assert UNKNOWN_IN_A_ROW == 5
    writer = FakeWriter(script=script)
    apply(make_plan(*chain(20)), writer, max_parallel=1)
    assert len(writer.begun()) == sent, reason


def test_stop_is_asked_before_every_write() -> None:
    """A pause takes hold before the next write, those under way end and are recorded, and the rest says why."""
    writer = FakeWriter(turns=3)
    outcomes = apply(make_plan(*chain(10)), writer, max_parallel=2, stop=_stop_after(writer, 3))
    assert [outcome.outcome for outcome in outcomes] == ["done"] * 3 + ["held"] * 7
    assert {outcome.says for outcome in outcomes[3:]} == {"paused"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ReconcilerError("no connection to the state database"), "no connection to the state database"),
        (OSError("secret path"), "(OSError)"),
    ],
)
def test_pause_that_cannot_be_read_stops(error: Exception, reason: str) -> None:
    """Where it cannot be known whether writing is paused, nothing is written (failure mode B14)."""

    def unreadable() -> str | None:
        raise error

    writer = FakeWriter()
    outcomes = apply(make_plan(*chain(2)), writer, stop=unreadable)
    assert writer.begun() == []
    assert all(outcome.outcome == "held" and outcome.says.endswith(reason) for outcome in outcomes)
    assert "secret" not in outcomes[0].says


def test_error_about_one_action_is_its_outcome() -> None:
    """An error of ours that a writer lets through leaves that one action unknown and the others running."""
    outcomes = apply(make_plan(*chain(3)), FakeWriter(script={"u-1": Unreachable("no answer")}))
    assert says(outcomes) == {"u-0": ("done", ""), "u-1": ("unknown", "no answer"), "u-2": ("done", "")}


def test_fault_of_ours_loses_no_record() -> None:
    """A bug in a writer stops the run, but what was written stays on record, and the text of the error stays out."""
    writer = FakeWriter(script={"u-1": KeyError("ann@union.example")})
    outcomes = apply(make_plan(*chain(5)), writer, max_parallel=2)
    assert [outcome.outcome for outcome in outcomes] == ["done", "unknown", "held", "held", "held"]
    assert "test_apply.py" in outcomes[1].says
    assert all("ann@" not in outcome.says for outcome in outcomes)


@pytest.mark.parametrize("times", [1, 3])
def test_cancelling_ends_writes_under_way(times: int) -> None:
    """A cancelled run begins nothing more and returns the record of what it did, however often it is cancelled."""

    async def cancelled() -> tuple[Outcome, ...]:
        both_under_way = asyncio.Event()
        writer = FakeWriter(turns=20, on_begin=lambda action: both_under_way.set() if action == "u-1" else None)
        running = asyncio.create_task(
            apply_plan(
                make_plan(*chain(6)),
                writer,
                now=lambda: MADE,
                max_parallel=2,
                progress=lambda _what, _done, _total: None,
                stop=lambda: None,
            )
        )
        await both_under_way.wait()
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0)
        outcomes = await running
        assert running.cancelling() == 0
        assert writer.under_way() == 0
        return outcomes

    outcomes = asyncio.run(cancelled())
    assert [outcome.outcome for outcome in outcomes] == ["done"] * 2 + ["held"] * 4
    assert outcomes[-1].says == "stopped, because the run was interrupted"


# Reading before writing


@pytest.mark.parametrize(
    ("reason", "action", "minutes", "expected"),
    [
        ("a plain update of a fresh plan", make_action(set={"phone": "1"}), 15, False),
        ("a plain update of an older plan", make_action(set={"phone": "1"}), 16, True),
        ("a plan from a clock that runs ahead", make_action(set={"phone": "1"}), -16, True),
        ("an external id", make_action(set={"external_id": "1"}), 0, True),
        ("an e-mail", make_action(set={"email": None}), 0, True),
        ("an archive", make_action(do="archive", set={}), 0, True),
        ("a merge", make_action(do="merge"), 0, True),
        ("a promotion", make_action(do="promote"), 0, True),
        ("a deletion", make_action(do="delete"), 0, True),
        ("a create has nothing to read", make_action(do="create"), 60, False),
        ("an archived contact cannot be read", make_action(do="unarchive"), 60, False),
    ],
)
def test_contact_is_read_first_where_it_matters(reason: str, action: Action, minutes: int, expected: bool) -> None:
    """What is old, permanent or an identifier is checked against the contact just before it is written."""
    assert needs_reread(action, age=timedelta(minutes=minutes)) is expected, reason
    writer = FakeWriter()
    apply(
        make_plan(action, created_at="2026-11-23T12:00:00Z"),
        writer,
        now=MADE.replace(hour=12, minute=0) + timedelta(minutes=minutes),
    )
    assert writer.reread == {action.id: expected}, reason


# What is refused before the first write


def waiting(*pairs: tuple[str, tuple[str, ...]]) -> Plan:
    """A plan of actions that wait for others."""
    return make_plan(*(make_action(at, id=action, after=after) for at, (action, after) in enumerate(pairs)))


@pytest.mark.parametrize(
    ("reason", "plan", "error", "words"),
    [
        ("a guard refused it", refused(), PlanRefused, "not applyable: supabase returned 0 members"),
        (
            "it is as old as it may get",
            make_plan(expires_at="2026-11-23T02:31:00Z"),
            PlanRefused,
            "expired at 2026-11-23",
        ),
        (
            "another workspace",
            make_plan(make_action(), workspace="zzz"),
            PlanRefused,
            "zzz, but the token opens abc123",
        ),
        ("a circle", waiting(("a", ("c",)), ("b", ("a",)), ("c", ("b",))), PlanUnreadable, "wait for each other"),
        ("waiting for itself", waiting(("a", ("a",))), PlanUnreadable, "wait for each other: a, a"),
        ("a stranger", waiting(("a", ("zz",))), PlanUnreadable, "a waits for zz, which is not in the plan"),
        ("one id twice", waiting(("a", ()), ("a", ())), PlanUnreadable, "same id"),
        ("no time", make_plan(expires_at="tomorrow"), PlanUnreadable, "time that is none: 'tomorrow'"),
        ("no zone", make_plan(expires_at="2026-11-24T02:30:00"), PlanUnreadable, "without its zone"),
    ],
)
def test_refused_before_any_write(reason: str, plan: Plan, error: type[ReconcilerError], words: str) -> None:
    """A plan that may not run here and now, or cannot run at all, is refused with nothing sent and a next step."""
    writer = FakeWriter()
    with pytest.raises(error) as raised:
        apply(plan, writer)
    assert words in raised.value.what, reason
    assert raised.value.next_step
    assert writer.events == []


def test_parallelism_is_at_least_one() -> None:
    """With no room for a single write a run would never end."""
    with pytest.raises(ValueError, match="at least 1"):
        apply(make_plan(), FakeWriter(), max_parallel=0)


def test_long_chain_of_waiting_actions() -> None:
    """Three thousand actions, each waiting for the next one listed, run in the opposite order without recursion."""
    count = 3_000
    links = [(f"x-{at}", (f"x-{at + 1}",) if at + 1 < count else ()) for at in range(count)]
    writer = FakeWriter(turns=0)
    plan = make_plan(*(make_action(1, id=action, member=None, contact=action, after=after) for action, after in links))
    apply(plan, writer)
    assert writer.begun() == [action for action, _ in reversed(links)]
