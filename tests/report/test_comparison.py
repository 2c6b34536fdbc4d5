from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from reconciler.core.actions import KINDS, Because
from reconciler.core.compare import Comparison, compare
from reconciler.core.plan import Plan
from reconciler.core.seen import Basis
from reconciler.report.comparison import comparison_json, comparison_markdown, comparison_text, summary_line
from reconciler.report.markup import MOST
from tests.core.test_compare import ARCHIVED, later, plan_at
from tests.report.plans import HOSTILE, every_kind, hostile, make_action, make_finding, make_plan


def of_every_kind() -> Comparison:
    """New, resolved, persistent and flapping, actions and findings, and one contact that came back."""
    flapping, gone = make_action(1), make_action(2, "archive")
    old = plan_at(3, gone, make_action(3), findings=(make_finding(1), make_finding(2)))
    new = later(
        flapping,
        make_action(3, expect={"phone": "1"}),
        make_action(4, contact="c1"),
        findings=(make_finding(2), make_finding(3)),
    )
    return compare(old, new, others=[plan_at(2, flapping)], runs=[ARCHIVED])


def nothing() -> Comparison:
    """Two plans with nothing in them."""
    return compare(make_plan(), make_plan())


def narrower() -> Comparison:
    """A night against a plan of one member."""
    new = later(make_action(1), summary=msgspec.structs.replace(make_plan().summary, unchanged=0))
    return compare(plan_at(3, make_action(1), make_action(2)), new)


def told_less() -> Comparison:
    """A night against one that was told to look at less, in every way there is; and few names, and many."""
    old = plan_at(3, make_action(1), basis=Basis(files={}, only=("20001",), off=tuple("abcd")))
    return compare(old, later(basis=Basis(files={}, exclude=("1", "2"), limit=1, off=("fix-phone",))))


def out_of_hand() -> Comparison:
    """Hostile texts, all of them new."""
    return compare(make_plan(), hostile())


MAKERS = [of_every_kind, nothing, narrower, told_less, out_of_hand]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_whole_output(make: Any, snapshot: SnapshotAssertion) -> None:
    """What a comparison says is what was reviewed, in text and Markdown."""
    assert comparison_text(make(), width=100) == snapshot(name="text")
    assert comparison_markdown(make()) == snapshot(name="markdown")


def test_for_scripts(snapshot: SnapshotAssertion) -> None:
    """JSON has everything, both sides of each pair among it."""
    assert comparison_json(of_every_kind()).decode() == snapshot


def test_what_is_cut_is_counted() -> None:
    """A long list shows so many and says how many more there are; all of them on demand, persistent ones too."""
    old = make_plan(*(make_action(number) for number in range(30)))
    new = make_plan(*(make_action(number) for number in range(20, 90)))
    short = comparison_text(compare(old, new), limit_lines=10)
    assert short.count("update member") == 20
    assert "… and 50 more" in short
    assert "… and 10 more" in short
    whole = comparison_text(compare(old, new), persistent=True)
    assert whole.count("update member") == 90
    assert "Persistent, actions: 10\n" in whole


def test_a_comparison_of_big_plans_fits_into_a_comment() -> None:
    """20,000 actions against 20,000 others: every count is there, in as much room as there is."""
    old = make_plan(
        *(
            make_action(number, KINDS[number % 7], id=f"x-{number}", contact=None if number % 7 == 0 else f"c{number}")
            for number in range(20_000)
        )
    )
    new = make_plan(
        *(
            make_action(number, KINDS[number % 7], id=f"x-{number}", contact=None if number % 7 == 0 else f"c{number}")
            for number in range(5_000, 25_000)
        )
    )
    found = compare(old, new)
    text = comparison_markdown(found)
    assert MOST * 0.9 < len(text.encode()) <= MOST
    assert summary_line(found).startswith("Actions: 5000 new, 5000 resolved, 15000 persistent, 0 flapping.")
    assert "**Actions: 5000 new, 5000 resolved, 15000 persistent, 0 flapping. " in text
    for line in found.action_counts():
        numbers = (line.old, line.resolved, line.new, line.now, line.persistent, line.flapping)
        assert f"| `{line.name}` | {' | '.join(map(str, numbers))} |" in text


TEXTS = st.text(max_size=200) | st.sampled_from([name * 20 for name in HOSTILE])


@settings(max_examples=12)
@given(texts=st.lists(TEXTS, min_size=5, max_size=5), count=st.integers(0, 60))
def test_fits_whatever_the_texts(texts: list[str], count: int) -> None:
    """No text that a plan may hold makes a comparison too long for one comment, or a line of it two."""
    plan = make_plan(
        *(
            make_action(at, id=f"{at}", member=texts[0], because=(Because(texts[1], "f"),), set={texts[2]: texts[3]})
            for at in range(count)
        ),
        findings=tuple(make_finding(at, rule=f"{at}{texts[4]}", says=texts[3]) for at in range(count)),
        id=texts[1],
        created_at=texts[0],
    )
    for found in (compare(make_plan(), plan), compare(plan, make_plan())):
        text = comparison_markdown(found)
        assert len(text.encode()) <= MOST
        assert text.count("\n### For review\n") == 1
        assert "\u202e" not in text


@pytest.mark.parametrize("make", [every_kind, hostile])
def test_text_keeps_its_width(make: Any) -> None:
    """No line of a comparison is wider than the terminal, but for the one with the counts."""
    plan: Plan = make()
    lines = comparison_text(compare(make_plan(), plan), width=80).splitlines()
    assert all(cell_len(line) <= 80 for line in lines[:-1])
