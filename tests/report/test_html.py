from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.plan import Plan
from reconciler.report.facts import visible
from reconciler.report.html import plan_html
from tests.report.plans import HOSTILE, every_kind, hostile, make_action, make_plan, over_the_limit, refused

PLANS = [every_kind, over_the_limit, refused, make_plan]

VOID = {"input", "meta"}


class Parsed(HTMLParser):
    """Tags, attributes and texts as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the tag and checks nothing."""
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """A tag must close the one opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Notes the text."""
        self.texts.append(data)


@pytest.mark.parametrize("make", PLANS, ids=lambda make: make.__name__)
def test_whole_output(make: Callable[[], Plan], snapshot: SnapshotAssertion) -> None:
    """The page of a plan is what was reviewed (its style sheet and its script are reviewed as files)."""
    html = re.sub(r"<(style|script)>.*?</\1>", r"<\1>…</\1>", plan_html(make()), flags=re.DOTALL)
    assert re.sub(r"sha256-[\w+/]{43}=", "sha256-…", html) == snapshot


@pytest.mark.parametrize("make", [*PLANS, hostile], ids=lambda make: make.__name__)
def test_page_is_well_formed_and_loads_nothing(make: Callable[[], Plan]) -> None:
    """Every tag is closed, nothing runs but the page's own script, and links stay within the page."""
    page = Parsed(plan_html(make()))
    assert page.open == []
    assert not {"img", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert (page.tags.count("script"), page.tags.count("form")) == (1, 1)
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on") or name in {"src", "srcset", "style", "action"}}
    assert all((value or "").startswith("#") for name, value in page.attributes if name == "href")


def test_hostile_names_are_shown_and_never_obeyed() -> None:
    """A hostile name is in the page to be read, escaped; and nowhere as it is."""
    html = plan_html(hostile())
    texts = Parsed(html).texts
    for name in HOSTILE:
        assert any(visible(name) in text for text in texts)
    assert html.count("<script") == 1
    assert "<img" not in html
    assert "49" not in [text.strip() for text in texts], "a template in a name must not be evaluated"
    assert all(char.isprintable() or char == "\n" for char in html)


def test_policy_allows_its_own_parts_alone() -> None:
    """The page's policy names the digests of its style sheet and its script: nothing else is taken."""
    html = plan_html(every_kind())
    style, script = (
        re.search(rf"<{part}>(.*?)</{part}>", html, flags=re.DOTALL).group(1)  # type: ignore[union-attr]
        for part in ("style", "script")
    )
    own = {part: b64encode(sha256(text.encode()).digest()).decode() for part, text in [("a", style), ("b", script)]}
    policy = (
        f"default-src 'none'; style-src 'sha256-{own['a']}'; script-src 'sha256-{own['b']}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in html
    assert "prefers-color-scheme: dark" in style
    assert "innerHTML" not in script, "names are text, also to the script"


def test_what_cannot_be_undone_stands_before_the_rest() -> None:
    """A reader meets the irreversible first, and each action once."""
    html = plan_html(every_kind())
    assert html.index('id="limits"') < html.index('id="final"') < html.index('id="rule-1"') < html.index('id="review"')
    for action in every_kind().actions:
        assert html.count(f"<code>{action.id}</code>") == 1


def test_two_thousand_actions() -> None:
    """A plan of 2,000 actions is one page with all of them in it, small enough to mail."""
    plan = make_plan(*(make_action(number, id=f"u-{number:06}") for number in range(2_000)))
    html = plan_html(plan)
    assert all(f"<code>{action.id}</code>" in html for action in plan.actions)
    assert len(html) < 3_000_000
