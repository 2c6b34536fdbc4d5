"""Bodies, headers and signatures that nobody would send: no forged acceptance, no unhandled error.

2,000 examples in `make test`, 100,000 in `make nightly`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.web.events import TOPICS
from tests.support.campaign import NIGHTLY
from tests.web.asgi import Answer, Face, Headers, call
from tests.web.world import APP, SECRET, WEBHOOK, conversation, notification, part

EXAMPLES = 100_000 if NIGHTLY else 2_000
FUZZ = settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))

RECEIVED = b'{"received":true}'

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
IDS = st.text(max_size=12) | st.integers() | st.sampled_from(["1", "../x", "a\r\nb", "é", "\x00", "x" * 200, ""])


@st.composite
def near_notifications(draw: st.DrawFn) -> bytes:
    """A notification with one thing in it replaced by something else, or left out."""
    item = draw(st.sampled_from([conversation(), part(), conversation(tags={"tags": [{"id": "t"}]})]))
    whole: dict[str, Any] = json.loads(json.dumps(notification(draw(st.sampled_from(TOPICS)), item)))
    place: Any = whole
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
            place = place[key]
            continue
        if isinstance(place, dict) and draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(JSON | IDS)
        break
    return json.dumps(whole).encode()


BODIES = (
    near_notifications()
    | st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda levels, text: text * levels, st.integers(0, 3000), st.sampled_from([b"[", b'{"a":', b'"', b"\\"])
    )
)
SIGNATURES = (
    st.binary(max_size=60)
    | st.from_regex(rb"sha1=[0-9a-f]{40}", fullmatch=True)
    | st.from_regex(rb"[A-Za-z0-9]{0,6}=[0-9a-fA-F]{38,42}", fullmatch=True)
)
NAMES = st.sampled_from(
    [b"x-hub-signature", b"content-type", b"content-length", b"content-encoding", b"x-forwarded-for"]
)
# What a server hands on has no line breaks and no zero bytes in it: h11 sees to that (tests/web/test_sockets.py).
VALUES = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\x00"))
FACE = Face(read_seconds=5.0)
"""One for all examples: what one leaves must not help the next."""


def answered(runner: asyncio.Runner, body: bytes, headers: Headers, cuts: list[int]) -> Answer:
    """The answer, and that there is nothing of the call in it."""
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    chunks = [body[start:end] for start, end in pairwise(places)] or [b""]
    with structlog.testing.capture_logs() as lines:
        answer = runner.run(call(FACE.app, "POST", WEBHOOK, headers=headers, chunks=chunks))
    assert not [line for line in lines if line["event"] == "unhandled"]
    assert answer.body == RECEIVED if answer.status == 200 else len(answer.body) < 30
    return answer


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for all calls: a new one for each would cost more than the call."""
    with asyncio.Runner() as one:
        yield one


def own_signature(body: bytes) -> bytes:
    """What the header must be, worked out here and not by the code under test."""
    return b"sha1=" + hmac.new(SECRET.reveal().encode(), body, "sha1").hexdigest().encode()


@FUZZ
@given(BODIES, st.lists(st.tuples(NAMES, SIGNATURES | VALUES), max_size=5), st.lists(st.integers(0, 300), max_size=3))
def test_without_the_secret_nothing_is_accepted(
    runner: asyncio.Runner, body: bytes, headers: Headers, cuts: list[int]
) -> None:
    """Whatever the body and the headers."""
    assume(own_signature(body) not in [value for _, value in headers])
    before = list(FACE.box.events)
    answer = answered(runner, body, headers, cuts)
    assert answer.status in (401, 413, 415)
    assert before == FACE.box.events


@FUZZ
@given(BODIES, st.lists(st.integers(0, 300), max_size=3))
def test_with_the_secret_nothing_breaks(runner: asyncio.Runner, body: bytes, cuts: list[int]) -> None:
    """What Intercom signs may still be anything: an event of ids, nothing, or one word of refusal."""
    before = len(FACE.box.events)
    answer = answered(runner, body, [(b"x-hub-signature", own_signature(body))], cuts)
    assert answer.status in (200, 400)
    for event in FACE.box.events[before:]:
        sent = json.loads(body)
        assert sent["app_id"] == APP
        assert event.id == str(sent["id"])
        assert event.topic == sent["topic"] in TOPICS
        assert event.contact or event.conversation
        for identity in (event.id, event.contact or "x", event.conversation or "x", event.tag or "x"):
            assert len(identity) <= 100
            assert identity[0].isalnum()
            assert not set(identity) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-")
    del FACE.box.events[before:]
