"""What happens to every call: credentials, version, limits, faults, and the record of it all."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from reconciler.simulator import Call, Fault, FaultsError, Options, parse_faults, parse_latency

RATE_HEADERS = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


def test_a_token_is_wanted_when_one_is_set(open_desk: Any) -> None:
    """Without the right bearer token every path is a 401 and shows no rate headers; the token is never shown
    anywhere.
    """
    desk = open_desk(token="secret")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
        answer = desk.call("GET", "/me", headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (401, "Access Token Invalid")
        assert not RATE_HEADERS & set(answer.headers)
    assert set(desk.call("GET", "/me", headers={"Authorization": "Bearer secret"}).headers) > RATE_HEADERS
    assert "secret" not in desk.call("GET", "/_simulator/calls").text


@pytest.mark.parametrize("version", ["2.15", "Preview", "1.0", ""])
def test_another_version_is_refused(desk: Any, version: str) -> None:
    """Only 2.16 is simulated: a client that does not pin it must not get answers that look right."""
    answer = desk.call("GET", "/me", headers={"Intercom-Version": version})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "intercom_version_invalid")


def test_every_answer_says_what_it_is(desk: Any) -> None:
    """Version, request id, date from the simulator's clock and the window are on refusals too; ids agree with the
    body.
    """
    answer = desk.call("GET", "/contacts/nobody")
    assert (answer.headers["intercom-version"], answer.headers["date"]) == ("2.16", "Tue, 14 Nov 2023 22:13:20 GMT")
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == str(uuid.UUID(answer.json()["request_id"]))
    assert set(answer.headers) > RATE_HEADERS


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/contacts/", None, 404),
        ("GET", "/contacts/a/b/c", None, 404),
        ("PATCH", "/contacts/a1", None, 405),
        ("DELETE", "/me", None, 405),
        ("POST", "/contacts", b"{", 400),
        ("POST", "/contacts", b"[]", 400),
        ("POST", "/contacts", b'{"external_id": "1", "signed_up_at": 1e400}', 400),
        ("POST", "/contacts", b'{"external_id": "1", "signed_up_at": ' + b"9" * 99 + b"}", 400),
        ("POST", "/contacts/search", b'{"query": {"field": "id", "operator": "=", "value": ' + b"9" * 99 + b"}}", 400),
        ("PUT", "/conversations/51", b'{"custom_attributes": {"n": ' + b"9" * 99 + b"}}", 400),
        ("POST", "/contacts", b'"\xff"', 400),
        ("POST", "/contacts", b"[" * 100_000, 400),
        ("POST", "/contacts", b" " * 1_048_577, 413),
    ],
)
def test_nonsense_is_an_error_list(open_desk: Any, method: str, path: str, content: bytes | None, status: int) -> None:
    """Whatever is sent, the answer is a refusal in Intercom's envelope and never a crash."""
    desk = open_desk({"_conversation_attribute": {"name": "n"}}, {"_conversation": {"id": "51"}})
    answer = desk.call(method, path, content=content)
    assert (status, "error.list") == (answer.status_code, answer.json()["type"])


def test_the_window_is_fixed_to_the_clock(open_desk: Any) -> None:
    """Calls are counted in windows aligned to the clock; the headers tell what is left, and Reset when the next one
    starts.
    """
    desk = open_desk(limit=3)
    desk.clock.now = 1_700_000_009.0
    left = [desk.call("GET", "/me").headers["x-ratelimit-remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    refused = desk.call("GET", "/me")
    message = "Exceeded rate limit of 3 in 10_seconds"
    assert {"type": "error.list", "errors": [{"code": "rate_limit_exceeded", "message": message}]} == refused.json()
    assert (
        refused.status_code,
        *(refused.headers[name] for name in sorted(RATE_HEADERS)),
    ) == (429, "3", "0", "1700000010")
    assert "retry-after" not in refused.headers
    assert desk.call("GET", "/_simulator/state").status_code == 200
    desk.clock.now = 1_700_000_010.0
    assert desk.call("GET", "/me").status_code == 200


def test_a_greedy_neighbour_eats_evenly(open_desk: Any) -> None:
    """Other apps of the workspace use the same window: what is left falls even when this client sends nothing."""
    desk = open_desk(limit=10, neighbour=8)
    left = []
    for second in range(0, 10, 3):
        desk.clock.now = 1_700_000_000.0 + second
        left.append(desk.call("GET", "/me").headers["x-ratelimit-remaining"])
    assert left == ["9", "6", "3", "0"]
    assert desk.call("GET", "/me").status_code == 429


@pytest.mark.parametrize(("name", "value"), [("window", 0), ("limit", -1), ("lag", -0.5)])
def test_impossible_options_are_named(name: str, value: float) -> None:
    """A wrong option is an error that names it, not a simulator that divides by zero at the first call."""
    with pytest.raises(ValueError, match=f"^{name} is"):
        Options(**{name: value})  # type: ignore[arg-type]


def test_latency_is_slept_not_waited(open_desk: Any) -> None:
    """Latency goes through the sleep that was given, so that a test of a slow night takes no time."""
    desk = open_desk(latency=(0.5, 0.25))
    desk.ok("GET", "/me")
    desk.ok("GET", "/me")
    assert all(0.5 <= seconds < 0.75 for seconds in desk.slept)
    assert len(set(desk.slept)) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("503=0.1", "unknown fault '503': valid kinds are 500, reset, html, torn, timeout, 429"),
        ("reset", "write reset=0.02"),
        ("reset=often", "is not a number"),
        ("reset=1.5", "not between 0 and 1"),
        ("reset=nan", "not between 0 and 1"),
        ("reset=0.1,reset-after=0.1", "given twice"),
        ("reset=0.6,html=0.6", "more than 1"),
    ],
)
def test_a_faults_text_is_read_strictly(text: str, says: str) -> None:
    """A typo in --faults is an error that names the valid kinds, not a night without faults."""
    with pytest.raises(FaultsError) as refusal:
        parse_faults(text)
    assert says in str(refusal.value)


def test_a_faults_text_is_read() -> None:
    """Kinds with both phases share their probability when the phase is left out."""
    text = "429=0.02, 500-before=0.05,500-after=0.05,reset=0.02,timeout=0.01,torn=0.02,html=0.02"
    assert parse_faults(text) == {
        Fault.RATE_LIMIT: 0.02,
        Fault.ERROR_BEFORE: 0.05,
        Fault.ERROR_AFTER: 0.05,
        Fault.RESET_BEFORE: 0.01,
        Fault.RESET_AFTER: 0.01,
        Fault.TIMEOUT_AFTER: 0.01,
        Fault.TORN_AFTER: 0.02,
        Fault.HTML_BEFORE: 0.01,
        Fault.HTML_AFTER: 0.01,
    }
    assert parse_faults("") == {}
    assert (parse_latency("0.05"), parse_latency("0.05,0.02")) == ((0.05, 0.0), (0.05, 0.02))
    with pytest.raises(FaultsError):
        parse_latency("fast")


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_strikes_before_or_after_the_effect(desk: Any, fault: Fault) -> None:
    """Each fault spoils the answer in its own way, and its name says whether the contact exists afterwards."""
    desk.simulator.hook = lambda call, phase: fault if phase == "before" and call.path == "/contacts" else None
    expected = {"reset": httpx.ReadError, "timeout": httpx.ReadTimeout}.get(fault.kind)
    if expected is not None:
        with pytest.raises(expected):
            desk.call("POST", "/contacts", {"external_id": "1"})
        assert ([30.0] if fault.kind == "timeout" else []) == desk.slept
    else:
        answer = desk.call("POST", "/contacts", {"external_id": "1"})
        assert {"429": 429, "500": 500}.get(fault.kind, 200) == answer.status_code
        if fault.kind in ("torn", "html"):
            with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
                answer.json()
    desk.simulator.hook = None
    effect = fault.phase == "after"
    assert int(effect) == desk.ok("GET", "/contacts")["total_count"]
    logged = desk.ok("GET", "/_simulator/calls")["calls"][0]
    assert (effect, fault.value) == (logged["effect"], logged["fault"])


def test_a_hook_sees_each_call_twice(desk: Any) -> None:
    """Before the effect the status is open, after it is known; an early fault after the effect is a mistake and says
    so.
    """
    seen: list[tuple[str, int | None, bytes]] = []

    def watch(call: Call, phase: str) -> Fault | None:
        seen.append((phase, call.status, call.body))
        return None

    desk.simulator.hook = watch
    desk.refused("GET", "/contacts/nobody")
    assert seen == [("before", None, b""), ("after", 404, b"")]
    desk.simulator.hook = lambda _, phase: Fault.RESET_BEFORE if phase == "after" else None
    with pytest.raises(ValueError, match="too late"):
        desk.call("GET", "/me")


def test_faults_come_as_often_as_asked_and_the_same_each_time(open_desk: Any) -> None:
    """Chance is seeded: two desks with one seed suffer the same, another seed differently, and rates hold roughly."""

    def night(random_seed: int) -> list[int]:
        desk = open_desk(faults=parse_faults("500-before=0.2,429=0.1"), random_seed=random_seed)
        return [desk.call("GET", "/me").status_code for _ in range(300)]

    first = night(1)
    assert first == night(1) != night(2)
    assert 40 < first.count(500) < 80
    assert 15 < first.count(429) < 45


def test_the_call_log_says_what_was_done(open_desk: Any) -> None:
    """Each call is there with its status, whether it changed anything, and whom it concerned; the log is bounded."""
    desk = open_desk({"id": "a1", "external_id": "1"}, max_calls=3)
    desk.ok("GET", "/contacts/a1")
    desk.refused("POST", "/contacts", {"external_id": "1"})
    desk.ok("POST", "/contacts/a1/archive")
    desk.ok("POST", "/contacts/a1/archive")
    log = desk.ok("GET", "/_simulator/calls")
    assert (log["total"], log["dropped"]) == (4, 1)
    rows = [(one["number"], one["status"], one["effect"], one["id"]) for one in log["calls"]]
    assert rows == [(2, 409, False, None), (3, 200, True, "a1"), (4, 200, False, "a1")]


def test_the_same_calls_give_the_same_bytes(open_desk: Any) -> None:
    """One seed, one clock, one sequence of calls: every byte of every answer repeats, ids and request ids included."""

    def session(random_seed: int) -> list[tuple[bytes, object]]:
        desk = open_desk(random_seed=random_seed)
        calls = [
            ("POST", "/contacts", {"external_id": "1"}),
            ("POST", "/contacts", {"external_id": "1"}),
            ("GET", "/contacts", None),
        ]
        answers = [
            desk.call(*call)
            for call in (*calls, ("GET", "/_simulator/state", None), ("GET", "/_simulator/calls", None))
        ]
        return [(answer.content, answer.headers.get("x-request-id")) for answer in answers]

    assert session(1) == session(1)
    assert session(1) != session(2)
