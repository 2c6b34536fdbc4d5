"""The HTML of a plan in a real browser: it opens, is found through, is usable by all, and asks nobody for anything.

Chromium is the system's. Where it is not installed these tests are skipped, and say so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect, sync_playwright

from reconciler.core.plan import Plan
from reconciler.report.html import plan_html
from tests.report.plans import every_kind, hostile, make_action, make_plan, over_the_limit, refused

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

PLANS = [every_kind, over_the_limit, refused, hostile, make_plan]

Scheme = Literal["light", "dark"]
Open = Callable[[Plan], Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all; without its sandbox, which needs rights that a container has not."""
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


def opened(browser: Browser, folder: Path, plan: Plan, *, scheme: Scheme = "light", scripts: bool = True) -> Page:
    """The page of a plan; a request to anywhere, an error of a script or a breach of its policy fails the test."""
    file = folder / "plan.html"
    file.write_text(plan_html(plan), "utf-8")
    page = browser.new_page(color_scheme=scheme, java_script_enabled=scripts)
    page.on("console", lambda message: pytest.fail(f"the browser says: {message.text}"))
    page.on("pageerror", lambda error: pytest.fail(f"the script failed: {error}"))
    page.on("request", lambda request: _check_own(request.url, file))
    page.goto(file.as_uri())
    return page


def _check_own(url: str, file: Path) -> None:
    if url != file.as_uri():
        pytest.fail(f"the page asked for {url}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("make", PLANS, ids=lambda make: make.__name__)
def test_everybody_can_use_it(browser: Browser, tmp_path: Path, make: Callable[[], Plan], scheme: Scheme) -> None:
    """axe-core, which knows the rules of WCAG 2 that a program can check, finds nothing; and no other page is asked."""
    page = opened(browser, tmp_path, make(), scheme=scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()


def fifty() -> Plan:
    """Thirty updates, fifteen creates, and five archives that a limit holds."""
    return make_plan(
        *(make_action(number, id=f"u-{number:02}") for number in range(30)),
        *(make_action(30 + number, "create", id=f"c-{number:02}") for number in range(15)),
        *(make_action(50 + number, "archive", id=f"a-{number:02}") for number in range(5)),
        limits=over_the_limit().limits,
    )


def test_searching_with_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    """`/` goes to the search; all words must be in an action; sections without any go away, and come back."""
    page = opened(browser, tmp_path, fifty())
    page.keyboard.press("/")
    page.keyboard.type("EASTERN 10007")
    expect(page.locator("#says")).to_have_text("1 of 50 shown.")
    expect(page.locator("li[data-do]:visible")).to_have_count(1)
    expect(page.locator("[data-group]:visible")).to_have_count(1)
    page.keyboard.press("Control+A")
    page.keyboard.type("nobody")
    expect(page.locator("#says")).to_have_text("0 of 50 shown.")
    page.get_by_role("button", name="Show all").press("Enter")
    expect(page.locator("#says")).to_have_text("All 50 shown.")
    expect(page.locator("li[data-do]:visible")).to_have_count(50)
    page.close()


def test_filters(browser: Browser, tmp_path: Path) -> None:
    """By kind, and by what a limit holds; both at once."""
    page = opened(browser, tmp_path, fifty())
    page.get_by_label("To do").select_option("create")
    expect(page.locator("li[data-do]:visible")).to_have_count(15)
    page.get_by_label("only what is held").check()
    expect(page.locator("li[data-do]:visible")).to_have_count(0)
    page.get_by_label("To do").select_option("everything")
    expect(page.locator("li[data-do]:visible")).to_have_count(5)
    page.close()


def test_without_scripts_nothing_is_missing(browser: Browser, tmp_path: Path) -> None:
    """All actions are there to be read, and no controls that would do nothing."""
    page = opened(browser, tmp_path, fifty(), scripts=False)
    expect(page.locator("li[data-do]:visible")).to_have_count(50)
    expect(page.locator("#controls")).to_be_hidden()
    page.close()


def test_on_a_telephone_nothing_is_cut_off(browser: Browser, tmp_path: Path) -> None:
    """360 pixels wide, names that never end: the page is as wide as the screen."""
    page = opened(browser, tmp_path, hostile())
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()


BROKEN = """selector => [...document.querySelectorAll(selector)].filter(one => {
    const text = document.createRange();
    text.selectNodeContents(one);
    return new Set([...text.getClientRects()].map(line => Math.round(line.bottom))).size > 1;
}).map(one => one.textContent)"""
"""The texts that stand over more than one line."""


@pytest.mark.parametrize(
    ("width", "media", "words"),
    [(360, "screen", "td.number, #limits td:first-child, td.word"), (750, "print", ".row code, td.number, td.word")],
    ids=["telephone", "paper"],
)
def test_no_word_is_broken(
    browser: Browser, tmp_path: Path, width: int, media: Literal["screen", "print"], words: str
) -> None:
    """Kinds, numbers and NO in one piece on a telephone, and ids of contacts on paper."""
    page = opened(browser, tmp_path, over_the_limit())
    page.emulate_media(media=media)
    page.set_viewport_size({"width": width, "height": 3000})
    assert page.locator(words).count() > 10
    assert page.evaluate(BROKEN, words) == []
    page.close()


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    """Scripts, images and handlers in names are text: nothing runs (a dialog or a request would fail the test)."""
    page = opened(browser, tmp_path, hostile())
    page.on("dialog", lambda dialog: pytest.fail(f"a name opened a dialog: {dialog.message}"))
    assert page.locator("script").count() == 1
    assert page.locator("img, iframe, object, embed, link").count() == 0
    page.close()
