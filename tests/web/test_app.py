"""The routes, called without a server: what is accepted, what is refused, and that nothing is told to strangers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import structlog

from reconciler.errors import SourceUnreachable, StateError
from reconciler.settings import Secret
from reconciler.web.body import MAX_BYTES
from reconciler.web.notification import AGE
from reconciler.web.signature import sign
from tests.support.builders import make_member
from tests.web.asgi import Box, Face, Members, call, raw
from tests.web.world import (
    API_TOKEN,
    APP,
    CREATED,
    REPLIED,
    SECRET,
    TAGGED,
    WEBHOOK,
    conversation,
    encoded,
    notification,
    signed,
)

BODY = encoded(notification(CREATED, conversation()))
LOOK_UP = "/api/intercom/lookup-email"
BEARER = raw({"Authorization": f"Bearer {API_TOKEN.reveal()}"})
RECEIVED = b'{"received":true}'


@pytest.mark.parametrize("topic", [CREATED, REPLIED, TAGGED])
def test_a_signed_event_is_accepted(topic: str) -> None:
    """It is in the queue, cut down to ids, and the answer says no more than that it came."""
    face = Face()
    answer = face.post(encoded(notification(topic, conversation())))
    assert (answer.status, answer.body) == (200, RECEIVED)
    (event,) = face.box.events
    assert (event.topic, event.contact, event.conversation) == (topic, "c1", "123")
    assert face.counted(f'webhook_received_total{{topic="{topic}"}}') == 1


def test_when_the_last_event_came() -> None:
    """The time is told, so that whoever watches hears of a webhook that Intercom has suspended; a ping is no event."""
    face = Face()
    face.post(encoded(notification("ping", {"type": "ping"}, identity=None)))
    assert face.counted("last_event_timestamp_seconds") == 0
    face.post(BODY)
    assert time.time() - 60 < face.counted("last_event_timestamp_seconds") <= time.time()


def test_head_answers() -> None:
    """Intercom asks so before it saves the address; GET is for nobody."""
    assert Face().call("HEAD", WEBHOOK).status == 200
    assert Face().call("GET", WEBHOOK).status == 405


def test_two_secrets_during_rotation() -> None:
    """Each of both is good; one that was taken out is not."""
    old, new = Secret("old-secret"), Secret("new-secret")
    both, after = Face(secrets=(old, new)), Face(secrets=(new,))
    assert [both.post(BODY, **_sig(sign(BODY, one))).status for one in (old, new)] == [200, 200]
    assert [after.post(BODY, **_sig(sign(BODY, one))).status for one in (old, new)] == [401, 200]


def _sig(value: bytes) -> dict[str, str]:
    return {"X_Hub_Signature": value.decode("latin-1")}


GOOD = sign(BODY, SECRET)
FORGED: dict[str, list[tuple[bytes, bytes]]] = {
    "none": [],
    "empty": [(b"x-hub-signature", b"")],
    "of another secret": [(b"x-hub-signature", sign(BODY, Secret("other")))],
    "of an empty secret": [(b"x-hub-signature", sign(BODY, Secret("")))],
    "of another body": [(b"x-hub-signature", sign(BODY + b" ", SECRET))],
    "cut": [(b"x-hub-signature", GOOD[:-1])],
    "longer": [(b"x-hub-signature", GOOD + b"0")],
    "in capitals": [(b"x-hub-signature", GOOD.upper())],
    "without its name": [(b"x-hub-signature", GOOD.removeprefix(b"sha1="))],
    "of another name": [(b"x-hub-signature", b"sha256=" + GOOD.removeprefix(b"sha1="))],
    "not ASCII": [(b"x-hub-signature", GOOD[:-1] + b"\xe9")],
    "with a space": [(b"x-hub-signature", GOOD + b" ")],
    "twice": [(b"x-hub-signature", GOOD), (b"x-hub-signature", GOOD)],
    "a good one after a bad": [(b"x-hub-signature", b"sha1=0"), (b"x-hub-signature", GOOD)],
    "two in one": [(b"x-hub-signature", GOOD + b", " + GOOD)],
    "in another header": [(b"x-hub-signature-256", GOOD)],
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_signature(case: str) -> None:
    """401, nothing accepted, and nothing of the body in the answer."""
    face = Face()
    answer = face.call("POST", WEBHOOK, headers=FORGED[case], body=BODY)
    assert (answer.status, answer.body) == (401, b'{"error":"signature"}')
    assert face.box.events == []
    assert face.counted('webhook_refused_total{reason="signature"}') == 1
    assert face.counted(f'webhook_received_total{{topic="{CREATED}"}}') == 0


def test_every_changed_byte_of_a_body() -> None:
    """The signature is over the raw bytes: a changed one anywhere is a forgery."""
    face = Face()
    headers = raw(signed(BODY))
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert face.call("POST", WEBHOOK, headers=headers, body=changed).status == 401
    assert face.box.events == []


DROPPED: dict[str, dict[str, Any]] = {
    "other_app": {"app_id": "other"},
    "out_of_time": {"created_at": int(time.time()) - AGE - 60},
}


@pytest.mark.parametrize("reason", DROPPED)
def test_a_signed_event_that_is_dropped(reason: str) -> None:
    """Answered like any other, so that Intercom does not send it again; and counted."""
    face = Face()
    answer = face.post(encoded(notification(CREATED, conversation(), **DROPPED[reason])))
    assert (answer.status, answer.body) == (200, RECEIVED)
    assert face.box.events == []
    assert face.counted(f'webhook_dropped_total{{reason="{reason}"}}') == 1


@pytest.mark.parametrize("created_at", [10**400, -(10**400), 2**63, -1], ids=["vast", "vast and past", "64 bits", "-1"])
def test_a_time_that_no_clock_has(created_at: int) -> None:
    """A number too large for any arithmetic is one more time that is not ours."""
    face = Face()
    answer = face.post(encoded(notification(CREATED, conversation(), created_at=created_at)))
    assert (answer.status, face.box.events) == (200, [])
    assert face.counted('webhook_dropped_total{reason="out_of_time"}') == 1


@pytest.mark.parametrize(
    ("sent", "reason", "topic"),
    [
        (notification("ping", {"type": "ping"}, identity=None, app_id="other"), "ping", "ping"),
        (notification("contact.archived", {"id": "c1"}), "unknown_topic", "other"),
        (notification(CREATED, {"type": "conversation"}), "no_ids", CREATED),
    ],
)
def test_nothing_to_do(sent: object, reason: str, topic: str) -> None:
    """A ping, a topic of somebody else, an item without ids: received."""
    face = Face()
    assert face.post(encoded(sent)).body == RECEIVED
    assert face.box.events == []
    assert face.counted(f'webhook_dropped_total{{reason="{reason}"}}') == 1
    assert face.counted(f'webhook_received_total{{topic="{topic}"}}') == 1


@pytest.mark.parametrize("becomes", ["absorbed", "duplicate"])
def test_what_is_known_already_is_answered_like_the_rest(becomes: str) -> None:
    """Intercom need not send it again."""
    face = Face(box=Box(becomes))  # type: ignore[arg-type]  # a word of Accepted
    assert face.post(BODY).body == RECEIVED
    assert face.counted(f'webhook_dropped_total{{reason="{becomes}"}}') == 1


UNAVAILABLE = {
    "full": Face(box=Box("full")),
    "unavailable": Face(box=Box(StateError("the state database failed"))),
}


@pytest.mark.parametrize("reason", UNAVAILABLE)
def test_what_cannot_be_stored_is_not_received(reason: str) -> None:
    """503: Intercom comes again, and is not slowed down for hours as by a 429."""
    answer = UNAVAILABLE[reason].post(BODY)
    assert (answer.status, answer.json, answer.headers["retry-after"]) == (503, {"error": reason}, "60")


def test_before_our_workspace_is_known() -> None:
    """Nobody can tell whose event it is, so it has to come again."""
    face = Face(our_app=None)
    assert face.post(BODY).status == 503
    assert face.box.events == []
    face.our_app = APP
    assert face.post(BODY).status == 200


def test_a_signed_body_that_is_no_notification() -> None:
    """400, with one word."""
    answer = Face().post(b'{"topic": "my phone is 555-0100"')
    assert (answer.status, answer.body) == (400, b'{"error":"malformed"}')


@pytest.mark.parametrize("packing", ["gzip", "identity", "br, gzip", ""])
def test_packed_bodies_are_refused_unread(packing: str) -> None:
    """Whatever the packing is called: nothing is ever unpacked."""
    face = Face()
    answer = face.post(BODY, **signed(BODY), Content_Encoding=packing)
    assert (answer.status, answer.headers["connection"]) == (415, "close")
    assert face.box.events == []


def test_a_body_that_is_announced_too_large() -> None:
    """Refused before a byte of it is read."""
    face = Face()
    headers = raw({"Content-Length": str(MAX_BYTES + 1)})
    assert asyncio.run(call(face.app, "POST", WEBHOOK, headers=headers, chunks=[None])).status == 413


def test_a_body_that_turns_out_too_large() -> None:
    """The cap holds while it streams; one byte less is read, and then the signature decides."""
    face = Face()
    chunk = b" " * 1024
    over = asyncio.run(call(face.app, "POST", WEBHOOK, headers=[], chunks=[*[chunk] * 256, b" ", None]))
    at = asyncio.run(call(face.app, "POST", WEBHOOK, headers=[], chunks=[chunk] * 256))
    assert (over.status, at.status) == (413, 401)


def test_a_body_that_does_not_come() -> None:
    """The time is for the whole body, not for each piece."""
    face = Face(read_seconds=0.05)
    answer = asyncio.run(call(face.app, "POST", WEBHOOK, headers=[], chunks=[b"{", None]))
    assert (answer.status, answer.json) == (408, {"error": "too_slow"})


def test_a_client_that_leaves() -> None:
    """No error of ours."""
    face = Face()
    asyncio.run(call(face.app, "POST", WEBHOOK, headers=[], chunks=[]))
    assert face.counted('webhook_refused_total{reason="cut_off"}') == 1


def test_nothing_but_ids_is_logged() -> None:
    """Not the text of the message, not the address in it, not the secrets."""
    with structlog.testing.capture_logs() as lines:
        Face().post(BODY)
        Face().post(BODY, **_sig(b"sha1=0"))
    said = repr(lines)
    assert "notif_1" in said
    assert not [word for word in ("Canary", "169.254", SECRET.reveal(), "12345") if word in said]


# Look-up


def look_up(face: Face, email: object, *, headers: list[tuple[bytes, bytes]] = BEARER) -> tuple[int, object]:
    """One look-up: status and answer."""
    answer = face.call("POST", LOOK_UP, headers=headers, body=encoded({"email": email}))
    return answer.status, answer.json


ANN = make_member("100", email="Ann@Example.org")


def test_the_member_of_an_email() -> None:
    """The row as it is, whatever the case that was asked for."""
    status, told = look_up(Face(members=Members((ANN,))), " ANN@example.org ")
    assert status == 200
    assert told == {
        "member_number": "100",
        "first_name": "Ann",
        "last_name": "Lee100",
        "email": "Ann@Example.org",
        "phone": None,
        "status": "Active",
        "member_type_id": "6",
        "region": "NEA",
        "facility": "ZNY",
    }


def test_an_email_of_nobody() -> None:
    """404."""
    assert look_up(Face(), "nobody@example.org") == (404, {"error": "no member has this e-mail"})


def test_an_email_of_two() -> None:
    """Never a guess between two: both numbers, and none of the records."""
    two = Members((make_member("200", email="a@example.org"), make_member("100", email="A@example.org")))
    told = {"error": "several members have this e-mail", "member_numbers": ["100", "200"]}
    assert look_up(Face(members=two), "a@example.org") == (409, told)


@pytest.mark.parametrize("fails", [SourceUnreachable("the source does not answer"), TimeoutError()])
def test_a_source_that_fails(fails: Exception) -> None:
    """503, and nobody is told that no member has the e-mail."""
    assert look_up(Face(members=Members(fails=fails)), "a@example.org") == (503, {"error": "unavailable"})


@pytest.mark.parametrize("email", [None, 1, "", " ", "x" * 321, ["a@example.org"]])
def test_what_is_no_email(email: object) -> None:
    """400, and the source is not asked."""
    face = Face()
    assert look_up(face, email) == (400, {"error": "malformed"})
    assert face.members.asked == []


WRONG_TOKENS: dict[str, list[tuple[bytes, bytes]]] = {
    "none": [],
    "empty": raw({"Authorization": "Bearer "}),
    "another": raw({"Authorization": "Bearer x"}),
    "another scheme": raw({"Authorization": f"Basic {API_TOKEN.reveal()}"}),
    "the bare token": raw({"Authorization": API_TOKEN.reveal()}),
    "not ASCII": raw({"Authorization": "Bearer \xe9"}),
    "twice": [*BEARER, *BEARER],
}


@pytest.mark.parametrize("case", WRONG_TOKENS)
@pytest.mark.parametrize(("method", "path"), [("POST", LOOK_UP), ("GET", "/metrics")])
def test_without_the_token(method: str, path: str, case: str) -> None:
    """Neither a member nor a count."""
    face = Face(members=Members((ANN,)))
    answer = face.call(method, path, headers=WRONG_TOKENS[case], body=encoded({"email": "ann@example.org"}))
    assert (answer.status, answer.json) == (401, {"error": "token"})
    assert face.members.asked == []


@pytest.mark.parametrize("given", [[], raw({"Authorization": "Bearer "}), BEARER])
def test_no_token_is_set(given: list[tuple[bytes, bytes]]) -> None:
    """Then nobody is let in, least of all who presents nothing."""
    assert look_up(Face(api_token=None), "ann@example.org", headers=given)[0] == 401


# Health, readiness, metrics


def test_health() -> None:
    """For anybody, with nothing in it."""
    assert Face().call("GET", "/api/health").json == {"alive": True}


async def _fine() -> str | None:
    return None


async def _down() -> str | None:
    return "the source does not answer"


@pytest.mark.parametrize(
    ("face", "status", "told"),
    [
        (Face(checks={"source": _fine}), 200, {"ready": True, "source": "ok", "paused": False}),
        (Face(checks={"source": _fine}, paused=True), 200, {"ready": True, "source": "ok", "paused": True}),
        (
            Face(checks={"source": _down}),
            503,
            {"ready": False, "source": "the source does not answer", "paused": False},
        ),
        (
            Face(checks={"source": _fine}, paused=StateError("down")),
            503,
            {"ready": False, "source": "ok", "paused": None},
        ),
    ],
)
def test_ready(face: Face, status: int, told: object) -> None:
    """A check that fails is named; a pause is told, and events are still taken in."""
    answer = face.call("GET", "/api/ready")
    assert (answer.status, answer.json) == (status, told)


def test_metrics_are_told_to_who_has_the_token() -> None:
    """The queue is counted for it."""
    face = Face()
    face.post(BODY)
    answer = face.call("GET", "/metrics", headers=BEARER)
    assert answer.status == 200
    assert b"reconciler_events_queued_total 1.0" in answer.body
    assert face.box.counted == 1


def test_metrics_without_the_state_database() -> None:
    """The other counts are still told."""
    answer = Face(box=Box(count_fails=StateError("down"))).call("GET", "/metrics", headers=BEARER)
    assert answer.status == 200


def test_no_label_comes_from_outside() -> None:
    """Whatever is sent, the series stay the same: topics, ids and apps of a stranger make none."""
    face = Face()
    before = _series(face)
    for number in range(20):
        face.post(encoded(notification(f"made.up.{number}", {}, identity=f"n{number}", app_id=f"app{number}")))
        face.post(encoded(notification(CREATED, conversation(str(number)), identity=f"n{number}")))
    assert _series(face) == before


def _series(face: Face) -> set[str]:
    return {line.rsplit(" ", 1)[0] for line in face.metrics.text().decode().splitlines()}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", WEBHOOK), ("POST", LOOK_UP), ("GET", "/metrics"), ("GET", "/api/ready"), ("GET", "/plans/P?signature=s")],
)
def test_nobody_is_sent_elsewhere(method: str, path: str) -> None:
    """A slash too many is no address of ours: a redirect would name http://, and whatever host the caller named."""
    path, _, query = path.partition("?")
    headers = [*BEARER, *raw({"Host": "evil.example"})]
    answer = Face().call(method, f"{path}/?{query}", headers=headers, body=encoded({"email": "ann@example.org"}))
    assert (answer.status, answer.headers.get("location")) == (404, None)


def test_an_error_that_nobody_foresaw() -> None:
    """A bare 500; the log names its kind, and never its text."""
    face = Face(members=Members(fails=KeyError("ann@example.org")))
    with structlog.testing.capture_logs() as lines:
        assert look_up(face, "ann@example.org") == (500, {"error": "unhandled"})
    assert lines == [{"event": "unhandled", "error": "KeyError", "log_level": "error"}]
