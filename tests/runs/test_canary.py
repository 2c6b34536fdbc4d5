"""A run begins with a few actions, looks at them, and gives up where too many go wrong (limits.yaml)."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.core.plan import LimitCheck, Plan
from reconciler.core.rules import ErrorBudget
from reconciler.runs.apply import Run, apply_plan
from reconciler.runs.caution import Caution
from tests.report.plans import make_action, make_plan
from tests.runs.crashes import Death, new_scene, session
from tests.runs.test_apply import MADE, FakeWriter, chain
from tests.runs.test_durable import check, sqlite

SHIPPED = Caution(canary=(10, 100), budget=ErrorBudget())


def run_of(plan: Plan, caution: Caution) -> Run:
    """A run that has not begun."""
    return Run(
        plan,
        now=lambda: MADE,
        max_parallel=4,
        progress=lambda _what, _done, _total: None,
        stop=lambda: None,
        caution=caution,
    )


def apply(plan: Plan, writer: FakeWriter, caution: Caution = SHIPPED, *, max_parallel: int = 4) -> tuple[Outcome, ...]:
    """The plan from start to end."""
    return asyncio.run(
        apply_plan(
            plan,
            writer,
            now=lambda: MADE + timedelta(minutes=1),
            max_parallel=max_parallel,
            progress=lambda _what, _done, _total: None,
            stop=lambda: None,
            caution=caution,
        )
    )


def failing(*numbers: int, verdict: Verdict = "failed") -> dict[str, Verdict | Exception]:
    """A script in which these actions end so."""
    return {f"u-{number}": verdict for number in numbers}


@pytest.mark.parametrize(
    ("count", "canary", "sizes", "reason"),
    [
        (350, (10, 100), [10, 100, 100, 100, 40], "ten, a hundred, then batches"),
        (10, (10, 100), [10], "a plan that is its own canary"),
        (11, (10, 100), [10, 1], "a second stage that is not full"),
        (0, (10, 100), [], "nothing to try"),
        (250, (), [100, 100, 50], "no canary"),
        (300, (10, 250), [10, 100, 100, 50, 40], "a stage over the size of a batch is cut; what follows begins anew"),
    ],
)
def test_batches(count: int, canary: tuple[int, ...], sizes: list[int], reason: str) -> None:
    """The stages come first, in plan order, and no batch is over its size."""
    plan = make_plan(*chain(count))
    batches = run_of(plan, Caution(canary)).groups(100)
    assert [len(batch.actions) for batch in batches] == sizes, reason
    assert [action.id for batch in batches for action in batch.actions] == [action.id for action in plan.actions]


def test_held_actions_are_no_canary() -> None:
    """Ten actions that a limit holds would try nothing: the canary goes on until ten may be sent."""
    held = [make_action(number, "archive", id=f"a-{number}") for number in range(30)]
    plan = make_plan(*held, *chain(20), limits=(LimitCheck("archive", 0, 30, ok=False, says="over"),))
    first, *_ = run_of(plan, SHIPPED).groups(100)
    assert Counter(action.do for action in first.actions) == {"archive": 30, "update": 10}


def test_actions_wait_across_stages() -> None:
    """Whatever an action waits for is in its own stage or an earlier one, wherever the plan lists it."""
    late = [make_action(number, id=f"u-{number}", after=(f"u-{number + 20}",)) for number in range(20)]
    plan = make_plan(*late, *(make_action(number, id=f"u-{number}") for number in range(20, 40)))
    seen: set[str] = set()
    for batch in run_of(plan, SHIPPED).groups(100):
        seen.update(action.id for action in batch.actions)
        assert all(before in seen for action in batch.actions for before in action.after)


@pytest.mark.parametrize("max_parallel", [1, 100])
def test_the_second_stage_waits_for_the_first(max_parallel: int) -> None:
    """However many may run at once: the eleventh begins when all ten have ended."""
    writer = FakeWriter(turns=5)
    apply(make_plan(*chain(15)), writer, max_parallel=max_parallel)
    last_of_canary = max(writer.events.index(("end", f"u-{number}")) for number in range(10))
    assert all(writer.events.index(("begin", f"u-{number}")) > last_of_canary for number in range(10, 15))


@pytest.mark.parametrize(
    ("count", "script", "sent", "reason"),
    [
        (300, failing(3), 300, "one alone is one contact"),
        (300, failing(3, 4), 10, "two of ten are a pattern"),
        (300, failing(3, 4, verdict="unknown"), 10, "what is not known is no better"),
        (300, failing(3) | failing(4, verdict="unknown"), 10, "they are counted together"),
        (300, failing(*range(10), verdict="stale"), 300, "what people edited is skipped, and is no error"),
        (300, failing(3, 50), 300, "two of 110 are under 2%"),
        (300, failing(3, 50, 60), 110, "three are over"),
        (2000, failing(*range(200, 230)), 222, "over 20 stops at once: the 21st, and what was under way beside it"),
    ],
)
def test_error_budget(count: int, script: dict[str, Verdict | Exception], sent: int, reason: str) -> None:
    """Over the budget nothing more is begun, the rest is held, and the reason says how many of how many."""
    writer = FakeWriter(script=script)
    outcomes = apply(make_plan(*chain(count)), writer)
    assert len(writer.begun()) == sent, reason
    held = [outcome for outcome in outcomes if outcome.outcome == "held"]
    assert len(held) == count - sent, reason
    for outcome in held:
        assert outcome.says.startswith("stopped, because ")
        assert "failed or ended unknown: more than " in outcome.says
        assert "limits.yaml, error_budget." in outcome.says


def test_budget_holds_without_a_canary() -> None:
    """`--no-canary` leaves the stages out, not the brake."""
    writer = FakeWriter(script=failing(*range(300)))
    apply(make_plan(*chain(300)), writer, Caution(budget=ErrorBudget()), max_parallel=1)
    assert len(writer.begun()) == 21


def test_no_caution_is_as_before() -> None:
    """A copy of the workspace is tried whole: a rehearsal wants to know all that fails."""
    writer = FakeWriter(script=failing(*range(300)))
    apply(make_plan(*chain(300)), writer, Caution())
    assert len(writer.begun()) == 300


# Across processes

CAREFUL = Caution(canary=(2, 5), budget=ErrorBudget())


@pytest.mark.parametrize("at", range(1, 60, 3))
def test_a_run_is_taken_up_in_its_own_stages(at: int, tmp_path: Path) -> None:
    """Killed in any stage: the process that takes it up is told nothing of the stages, and finds them in the run."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    scene.caution = CAREFUL
    death = Death(at)
    if not session(scene, death):
        scene.caution = Caution()
        assert session(scene, Death(None))
    check(scene)


def spoilt() -> tuple[Action, ...]:
    """Two updates that Intercom refuses, then two that it would take."""
    values = {
        1: {"custom_attributes.nope": "1"},
        3: {"custom_attributes.nope": "3"},
        6: {"name": "Dora"},
        10: {"name": "Hal"},
    }
    return tuple(
        make_action(number, id=f"u-{number}", contact=f"c{number}", expect={}, set=fields)
        for number, fields in values.items()
    )


@pytest.mark.parametrize("at", [None, 9, 11, 13])
def test_a_run_that_gave_up_stays_so(at: int | None, tmp_path: Path) -> None:
    """The reason is part of the checkpoint: a process that takes the run up after the canary sends nothing more."""
    scene = new_scene(tmp_path, sqlite(tmp_path))
    scene.plan = make_plan(
        *spoilt(),
        workspace=scene.plan.workspace,
        created_at=scene.plan.created_at,
        expires_at=scene.plan.expires_at,
    )
    scene.caution = CAREFUL
    if not session(scene, Death(at)):
        assert session(scene, Death(None))
    verdicts = [outcome.outcome for outcome in scene.outcome().outcomes]
    assert verdicts[2:] == ["held", "held"]
    assert "error_budget" in scene.outcome().outcomes[-1].says
    assert not any(call.effect and call.path in {"/contacts/c6", "/contacts/c10"} for call in scene.simulator.calls)
