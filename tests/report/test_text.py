from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from reconciler.core.actions import KINDS, Because
from reconciler.core.plan import LimitCheck, Plan
from reconciler.report.text import SHORT, plan_text, summary_line
from tests.report.plans import (
    HOSTILE,
    every_kind,
    hostile,
    make_action,
    make_finding,
    make_plan,
    over_the_limit,
    refused,
)

PLANS = [every_kind, hostile, over_the_limit, refused, make_plan]


@pytest.mark.parametrize("make", PLANS, ids=lambda make: make.__name__)
def test_whole_output(make: Callable[[], Plan], snapshot: SnapshotAssertion) -> None:
    """The text of a plan is what was reviewed, since people and scripts read it every day."""
    assert plan_text(make()) == snapshot


def test_colour_changes_no_text(snapshot: SnapshotAssertion) -> None:
    """Colour is laid over the same text, so that a log and a terminal say the same."""
    coloured = plan_text(over_the_limit(), colour=True)
    assert coloured == snapshot
    bare = "".join(part.partition("m")[2] if at else part for at, part in enumerate(coloured.split("\x1b[")))
    assert bare == plan_text(over_the_limit())


TEXTS = st.text(max_size=90) | st.sampled_from(HOSTILE)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans whose every text is arbitrary."""
    actions = [
        make_action(
            number,
            draw(st.sampled_from(KINDS)),
            member=draw(st.none() | TEXTS),
            expect=draw(st.dictionaries(TEXTS, TEXTS | st.none() | st.integers() | st.booleans(), max_size=3)),
            set=draw(st.dictionaries(TEXTS, TEXTS | st.none(), max_size=3)),
            because=tuple(Because(rule=draw(TEXTS), finding="f", field=draw(st.none() | TEXTS)) for _ in range(2)),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    limits = tuple(
        LimitCheck(limit=draw(TEXTS | st.sampled_from(KINDS)), allowed=1, planned=2, ok=draw(st.booleans()), says=says)
        for says in draw(st.lists(TEXTS, max_size=2))
    )
    return make_plan(
        *actions,
        id=draw(TEXTS),
        workspace=draw(TEXTS),
        applyable=draw(st.booleans()),
        refused_because=tuple(draw(st.lists(TEXTS, max_size=2))),
        limits=limits,
        findings=tuple(
            make_finding(number, rule=rule, says=rule) for number, rule in enumerate(draw(st.lists(TEXTS, max_size=2)))
        ),
    )


@settings(max_examples=150, deadline=None)
@given(plan=plans(), width=st.integers(60, 140))
def test_no_line_is_wider_than_the_terminal(plan: Plan, width: int) -> None:
    """No text, however wide or hostile, breaks a line or hides: a wrapped line can be taken for another.

    The one line that may be wider is the one with the counts, which scripts look for as a whole.
    """
    text = plan_text(plan, width=width)
    assert all(cell_len(line) <= width for line in text.split("\n") if not line.startswith("Plan: "))
    assert all(char.isprintable() or char == "\n" for char in text)


SUMMARIES: list[tuple[str, Plan, str]] = [
    (
        "the sentence of the design",
        make_plan(
            *(make_action(n, "create") for n in range(3)),
            *(make_action(n, "update") for n in range(41)),
            *(make_action(n, "promote") for n in range(2)),
            *(make_action(n, "archive") for n in range(5)),
        ),
        "Plan: 3 to create, 41 to update, 2 to promote, 5 to archive. 49 can be undone, 2 cannot.",
    ),
    ("nothing to do", make_plan(), "No changes."),
    (
        "held actions stay in the counts and are told apart",
        over_the_limit(),
        (
            "Plan: 2 to update, 2 to archive. 4 can be undone, 0 cannot. 3 held. "
            "Over the limit: archive (2 planned, 1 allowed)."
        ),
    ),
    (
        "a refused plan never says that nothing changes",
        refused(),
        "Refused: supabase returned 0 members: a source is never empty.",
    ),
    (
        "every kind is named",
        every_kind(),
        (
            "Plan: 1 to create, 1 to update, 1 to promote, 1 to merge, 1 to archive, 1 to unarchive, 1 to delete. "
            "5 can be undone, 2 cannot."
        ),
    ),
]


@pytest.mark.parametrize(("reason", "plan", "line"), SUMMARIES, ids=[case[0] for case in SUMMARIES])
def test_summary_line(reason: str, plan: Plan, line: str) -> None:
    """The summary line is the contract of design §6, and its counts stand in the text as one line."""
    assert summary_line(plan) == line, reason
    assert line.partition(" Over the limit")[0] in plan_text(plan, width=80).split("\n")


def test_next_step_ends_the_text() -> None:
    """A plan that can be applied ends with the command that does it."""
    assert plan_text(every_kind()).endswith("\nApply it with: reconcile apply 20261123T023000Z-8f3a1c5e\n")


LONG = make_plan(
    *(make_action(number, "update") for number in range(180)),
    *(make_action(number, "archive") for number in range(60)),
    findings=tuple(make_finding(number) for number in range(70)),
)


def test_long_plan_is_shortened_and_says_so() -> None:
    """A plan too long to read shows the first of each kind, how many more there are, and the way to see them."""
    text = plan_text(LONG, width=200, limit_lines=SHORT)
    assert text.count("· fix-phone, update-attributes") == SHORT
    assert "… and 130 more to update. See all of them with: reconcile show 20261123T023000Z-8f3a1c5e" in text
    assert """jq '.actions[] | select(.do == "archive")'""" in text
    assert """jq '.findings[] | select(.rule == "shared-email")'""" in text


@pytest.mark.parametrize(
    ("reason", "plan", "limit"),
    [
        ("no limit was asked for", LONG, None),
        ("the plan is short enough to read", make_plan(*(make_action(n) for n in range(200))), SHORT),
    ],
    ids=["no limit", "200 actions"],
)
def test_every_action_is_shown(reason: str, plan: Plan, limit: int | None) -> None:
    """Nothing is left out unless the plan is long and a limit was asked for."""
    text = plan_text(plan, width=120, limit_lines=limit)
    shown = sum(f"contact {action.contact}" in text for action in plan.actions)
    assert shown == len(plan.actions), reason
    assert "more to" not in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\u202eb", r"a\u202eb"),
        ("a\nb", r"a\nb"),
        ("a\\nb", r"a\\nb"),
        ("a\u200bb", r"a\u200bb"),
        ("\U000e0041", r"\U000e0041"),
        ("Zoë 名 😀", "Zoë 名 😀"),
        ("", '""'),
        (None, "(blank)"),
        ("(blank)", '"(blank)"'),
        (" x", '" x"'),
        (True, "true"),
        (5, "5"),
    ],
)
def test_values_cannot_pretend(value: Any, expected: str) -> None:
    """What hides or moves text is shown escaped, and no value reads like another."""
    plan = make_plan(make_action(set={"name": value}, expect={"name": "x"}))
    assert f"      name: x → {expected}\n" in plan_text(plan)
