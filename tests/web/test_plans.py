"""The pages of plans: whoever has a good link reads one plan for a while, and nobody else reads any."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from reconciler.core import signed_link
from reconciler.runs.store import PlanStore
from reconciler.settings import Secret
from reconciler.web.plans import PlanPages
from tests.report.plans import every_kind
from tests.web.asgi import Answer, call

NOW = 1_764_000_000.0
TOKEN = "a-token-of-thirty-two-characters"
PLAN = every_kind()
PATH = f"/plans/{PLAN.id}"


def get(folder: Path, url: str, *, token: str | None = TOKEN, now: float = NOW) -> Answer:
    """Ask for a page of a store that holds one plan."""
    store = PlanStore(str(folder / "plans"))
    store.put_plan(PLAN)
    pages = PlanPages(store, token=None if token is None else Secret(token), now=lambda: now)
    return asyncio.run(call(Starlette(routes=[*pages.routes]), "GET", url, headers=(), chunks=[b""]))


def good(path: str = PATH, *, expires: int = int(NOW) + 60, token: str = TOKEN) -> str:
    """A link as `reconcile link` makes it."""
    return f"{path}?{signed_link.query_of(path, token=token, expires=expires)}"


def test_a_good_link_shows_the_plan(tmp_path: Path) -> None:
    """The page is the report, kept nowhere, and told to nobody else."""
    answer = get(tmp_path, good())
    assert answer.status == 200
    assert f"<title>Plan {PLAN.id}</title>" in answer.body.decode()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


OTHER = "/plans/20260101T000000Z-aaaaaaaa"

BAD = {
    "no signature": PATH,
    "no expiry": PATH + "?signature=00",
    "of another plan": f"{PATH}?{signed_link.query_of(OTHER, token=TOKEN, expires=10**11)}",
    "of another token": good(token="another-token-of-many-characters"),
    "expired": good(expires=int(NOW)),
    "made to last": good().replace(f"expires={int(NOW) + 60}", "expires=99999999999"),
    "signed twice": good() + "&signature=00",
    "an expiry in other digits": good().replace("expires=", "expires=0"),
    "a signature in other letters": good() + "%ff",
}


@pytest.mark.parametrize("url", BAD.values(), ids=BAD)
def test_any_other_link_says_nothing(tmp_path: Path, url: str) -> None:
    """Not even whether there is such a plan."""
    answer = get(tmp_path, url)
    assert answer.status == 403
    assert b"Ann" not in answer.body


def test_without_a_token_there_are_no_links(tmp_path: Path) -> None:
    """Nobody can have signed one."""
    assert get(tmp_path, good(token=""), token=None).status == 403


@pytest.mark.parametrize("plan", ["20260101T000000Z-aaaaaaaa", "..%2f..%2fetc%2fpasswd", "2026"])
def test_a_good_link_to_no_plan(tmp_path: Path, plan: str) -> None:
    """No path of a file, and no beginning of an id, means a plan here."""
    path = f"/plans/{plan}".replace("%2f", "/")
    answer = get(tmp_path, f"/plans/{plan}?{signed_link.query_of(path, token=TOKEN, expires=int(NOW) + 60)}")
    assert answer.status in {403, 404}
    assert b"root:" not in answer.body


@given(st.binary(max_size=80), st.integers(-5, 10**12))
def test_no_signature_is_guessed(signature: bytes, expires: int) -> None:
    """Whatever stands where the signature belongs, only the one made with the token is good."""
    text = signature.decode("latin-1")
    assert not signed_link.is_good(PATH, token=TOKEN, expires=str(expires), signature=text, now=NOW)


def test_a_link_is_an_address() -> None:
    """What `reconcile link` prints can be clicked: one address, nothing in it that a mail program would break."""
    parts = urlsplit("https://union.example" + good())
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "union.example", PATH)
    assert parts.query.isascii()
