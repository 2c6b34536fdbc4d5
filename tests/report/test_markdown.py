from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from reconciler.core.actions import KINDS, Because
from reconciler.core.plan import LimitCheck, Plan
from reconciler.report import facts
from reconciler.report.markdown import plan_markdown
from reconciler.report.markup import MOST
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
    """The Markdown of a plan is what was reviewed."""
    assert plan_markdown(make()) == snapshot


def big_plan() -> Plan:
    """20,000 actions of all kinds, and 3,000 findings of 30 rules."""
    actions = [make_action(number, KINDS[number % 7], id=f"x-{number}") for number in range(20_000)]
    findings = tuple(make_finding(number, rule=f"rule-{number % 30:02}") for number in range(3_000))
    return make_plan(*actions, findings=findings)


def test_every_count_of_a_big_plan_fits() -> None:
    """20,000 actions fit into one comment, with every count by kind, by rule and in the summary line."""
    text = plan_markdown(big_plan())
    assert len(text.encode()) <= MOST
    assert len(text.encode()) > MOST * 0.9, "the room that there is should be used"
    for do in KINDS:
        count = sum(KINDS[number % 7] == do for number in range(20_000))
        assert f"{count} to {do}" in text
        assert f"| {do} | {count} |" in text
        assert f"### To {do}: {count}\n" in text
    for rule in range(20):
        assert f"| `rule-{rule:02}` | 100 |" in text
    assert "| 10 other rules | 1000 |" in text


BIG = st.integers(0, 999_999)


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=7, max_size=7),
    over=st.lists(st.booleans(), min_size=7, max_size=7),
    planned=BIG,
    allowed=BIG,
    name=st.sampled_from(HOSTILE),
)
def test_every_count_is_there(sizes: list[int], over: list[bool], planned: int, allowed: int, name: str) -> None:
    """Whatever the sizes and limits: each kind with its size and what of it is held, and the numbers of each limit."""
    actions = [
        make_action(at, kind, id=f"{kind}-{at}", member=name or "blank")
        for kind, size in zip(KINDS, sizes, strict=True)
        for at in range(size)
    ]
    limits = tuple(
        LimitCheck(kind, allowed, planned, ok=not broken, says=name * 40)
        for kind, broken in zip(KINDS, over, strict=True)
    )
    plan = make_plan(*actions, limits=limits, workspace=name)
    text = plan_markdown(plan)
    counts = facts.counts_line(plan)
    assert f"**{counts}" in text
    assert f"### Actions: {len(actions)}\n" in text
    for kind, size, broken in zip(KINDS, sizes, over, strict=True):
        row = [f"| {kind} | {size} | ", f" | {size if broken else 0} |\n"]
        assert not size or any(line.startswith(row[0]) and f"{line}\n".endswith(row[1]) for line in text.splitlines())
        assert f"| `{kind}` | {planned} | {allowed} | " in text


def test_a_headline_of_big_numbers_is_whole() -> None:
    """The longest line of counts that there can be, with every class over its limit, is not cut."""
    actions = [
        make_action(at, kind, id=f"{kind}-{at}", undo="none" if at % 2 else "exact")
        for kind in KINDS
        for at in range(1, 3_001)
    ]
    limits = tuple(LimitCheck(kind, 100, 3_000, ok=False, says="over") for kind in KINDS)
    plan = make_plan(*actions, limits=limits)
    text = plan_markdown(plan)
    assert "10500 can be undone, 10500 cannot. 21000 held." in text.splitlines()[2]
    assert len(text.encode()) <= MOST


def test_shown_and_left_out_add_up() -> None:
    """Each list says how many it leaves out, and what is shown and left out make the whole."""
    sections = plan_markdown(big_plan()).split("### To ")[1:]
    assert len(sections) == len(KINDS)
    for section in sections:
        body = section.partition("### ")[0]
        title = re.match(r"\w+: (\d+)\n", body)
        more = re.search(r"… and (\d+) more", body)
        assert title is not None
        assert more is not None
        assert body.count("\n- `member") + int(more[1]) == int(title[1])


TEXTS = st.text(max_size=400) | st.sampled_from([name * 20 for name in HOSTILE])


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXTS, min_size=6, max_size=6), count=st.integers(0, 60))
def test_fits_whatever_the_texts(texts: list[str], count: int) -> None:
    """No text that a plan may hold, however long or often, makes the report too long for one comment."""
    because = [(Because(rule=f"{number}{texts[0]}", finding="f"),) for number in range(count)]
    plan = make_plan(
        *(
            make_action(number, id=f"{number}", because=because[number], set={texts[1]: texts[2]})
            for number in range(count)
        ),
        findings=tuple(make_finding(number, rule=f"{number}{texts[3]}", says=texts[4]) for number in range(count)),
        limits=tuple(LimitCheck(f"{number}{texts[5]}", 1, 2, ok=False, says=texts[4]) for number in range(count)),
        refused_because=tuple(texts * count),
        applyable=False,
        workspace=texts[3],
        tool=texts[4],
    )
    assert len(plan_markdown(plan).encode()) <= MOST


@pytest.mark.parametrize("name", ["<" * 900, "`" * 900, "\U000e0041" * 900, "&" * 900, "@ " * 900, "名" * 900])
def test_fits_with_the_worst_texts(name: str) -> None:
    """The texts that grow most when they are escaped, in every place at once, leave every count in."""
    rules = [f"{number}{name}" for number in range(60)]
    plan = make_plan(
        *(make_action(at, id=rule, because=(Because(rule=rule, finding="f"),)) for at, rule in enumerate(rules)),
        findings=tuple(make_finding(at, rule=rule, says=name) for at, rule in enumerate(rules)),
        limits=tuple(LimitCheck(rule, 1, 2, ok=False, says=name) for rule in rules),
        refused_because=tuple(rules),
        applyable=False,
        **dict.fromkeys(("id", "tool", "target", "workspace", "intercom_version", "created_at", "expires_at"), name),
    )
    text = plan_markdown(plan)
    assert len(text.encode()) <= MOST
    assert "### Actions: 60\n" in text
    assert "### For review: 60\n" in text
    assert "| 40 other rules | 40 |" in text


def test_summary_line_is_not_disguised_by_escapes() -> None:
    """Whoever greps a stored report for the line of design §6 finds it."""
    plan = make_plan(*(make_action(n, "create") for n in range(3)), *(make_action(n, "promote") for n in range(2)))
    assert "**Plan: 3 to create, 2 to promote. 3 can be undone, 2 cannot.**\n" in plan_markdown(plan)


def test_hostile_values_are_inert() -> None:
    """Outside code spans no HTML, link, mention or emphasis of a value is left, and no value ends its code span."""
    text = plan_markdown(hostile())
    assert "<script" not in text
    assert "<img" not in text
    outside = re.sub(r"`[^`\n]*`", "", text)
    assert "`" not in outside
    assert re.search(r"[<@]|(?<!\\)\[|://|\*\*bold", outside) is None
