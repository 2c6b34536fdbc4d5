"""Calls: what each request carries, what is tried again, and what is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import (
    NotFound,
    RateLimited,
    Refused,
    ScopeMissing,
    SettingsError,
    TargetError,
    Unauthorized,
    Unreachable,
)
from reconciler.targets.intercom import IntercomClient, Patience, caller
from tests.support.silence import personal_in
from tests.targets.support import (
    BASE_URL,
    CANARIES,
    TOKEN,
    Intercom,
    Reply,
    answer,
    client_of,
    contact,
    html,
    refusal,
    texts_of,
)
from tests.targets.support import run as run_virtually

Call = Callable[[IntercomClient], Awaitable[Any]]

SAFE_SPACING = 0.125
"""Seconds between two calls while Intercom says nothing of its limit."""

EMPTY_PAGE = {"type": "list", "data": [], "total_count": 0, "pages": None}
FLAGGED = {"type": "contact", "id": "c1", "archived": True}
ME = {
    "type": "admin",
    "id": "991",
    "email": "jane.canary@example.org",
    "app": {"type": "app", "id_code": "abc123", "name": "Union", "timezone": "America/New_York"},
}
QUERY = {"field": "email", "operator": "=", "value": "jane.canary@example.org"}
CONVERSATIONS = {"type": "conversation.list", "conversations": [], "total_count": 0, "pages": None}
ATTRIBUTE = {"type": "data_attribute", "name": "region", "full_name": "custom_attributes.region"}

CALLS: list[tuple[str, Call, object]] = [
    ("GET /me", lambda c: c.me(), ME),
    ("GET /contacts?per_page=150", lambda c: c.list_contacts(), EMPTY_PAGE),
    ("GET /contacts?per_page=150&starting_after=a%2Fb%3D", lambda c: c.list_contacts("a/b="), EMPTY_PAGE),
    ("POST /contacts/search", lambda c: c.search_contacts(QUERY, "abc"), EMPTY_PAGE),
    ("GET /contacts/c1", lambda c: c.get("c1"), contact()),
    ("GET /contacts/find_by_external_id/12345", lambda c: c.find_by_external_id("12345"), contact()),
    ("GET /data_attributes?model=contact&include_archived=true", lambda c: c.data_attributes(), {"data": [ATTRIBUTE]}),
    ("POST /conversations/search", lambda c: c.search_conversations(QUERY), CONVERSATIONS),
    ("POST /contacts", lambda c: c.create({"email": "jane.canary@example.org"}), contact()),
    ("PUT /contacts/c1", lambda c: c.update("c1", {"name": "Jane Canary"}), contact()),
    ("POST /contacts/merge", lambda c: c.merge(lead="c2", into="c1"), contact()),
    ("POST /contacts/c1/archive", lambda c: c.archive("c1"), FLAGGED),
    ("POST /contacts/c1/unarchive", lambda c: c.unarchive("c1"), FLAGGED),
    ("POST /contacts/c1/unblock", lambda c: c.unblock("c1"), FLAGGED),
    ("POST /contacts/c1/block", lambda c: c.block("c1"), FLAGGED),
    ("DELETE /contacts/c1", lambda c: c.delete("c1"), FLAGGED),
    ("POST /data_attributes", lambda c: c.create_data_attribute("region"), ATTRIBUTE),
]
READS = [row for row in CALLS if row[0].startswith("GET") or "search" in row[0]]
WRITES = [row for row in CALLS if row not in READS]


def ask(call: Call, *replies: Reply, **options: Any) -> tuple[Any, Intercom, list[str]]:
    """The value or the error of one call, who answered it, and what a listener heard."""
    intercom, heard = Intercom(list(replies)), list[str]()

    async def main() -> Any:
        async with client_of(intercom, **options) as connected:
            try:
                return await call(connected.heard_by(heard.append))
            except TargetError as error:
                return error

    return run_virtually(main), intercom, heard


@pytest.mark.parametrize(("asked", "call", "body"), CALLS, ids=[row[0] for row in CALLS])
def test_every_call_pins_version_and_token(asked: str, call: Call, body: object) -> None:
    """Without the version header the app's default applies, or 1.0; the answer's own echo is checked too."""
    value, intercom, heard = ask(call, answer(200, body))
    assert not isinstance(value, Exception), value
    assert intercom.asked == [asked]
    headers = intercom.requests[0].headers
    assert headers["intercom-version"] == "2.16"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["accept"] == "application/json"
    assert "cookie" not in headers
    assert len(heard) == 1
    assert heard[0].endswith(" 200")


def test_the_cursor_of_a_search_stands_in_its_body() -> None:
    """In the URL it silently gives the first page for ever."""
    _, intercom, _ = ask(lambda c: c.search_contacts(QUERY, "abc"), answer(200, EMPTY_PAGE))
    assert intercom.bodies() == [{"query": QUERY, "pagination": {"per_page": 150, "starting_after": "abc"}}]


def test_merging_never_skips_the_check_for_duplicates() -> None:
    """A merge is for ever; Intercom's own check is the last one."""
    _, intercom, _ = ask(lambda c: c.merge(lead="c2", into="c1"), answer(200, contact()))
    assert intercom.bodies() == [{"from": "c2", "into": "c1"}]


UNUSABLE: list[tuple[Reply, str]] = [
    (refusal(500, "server_error"), "a 5xx"),
    (html(200), "HTML with status 200"),
    (httpx.Response(200, headers={"content-type": "application/json"}, content=b'{"id": "c'), "a torn body"),
    (answer(200, {"type": "contact"}), "a body without its required fields"),
    (httpx.ReadTimeout("no answer"), "a timeout"),
    (httpx.ReadError("reset"), "a reset"),
    (httpx.RemoteProtocolError("torn"), "half an answer"),
    (OSError("broken pipe"), "an error of the socket that nobody translated"),
]


@pytest.mark.parametrize(("reply", "reason"), UNUSABLE, ids=[row[1] for row in UNUSABLE])
def test_a_write_without_a_usable_answer_is_never_repeated(reply: Reply, reason: str) -> None:
    """It may have happened: whoever sent it has to read back first."""
    error, intercom, _ = ask(lambda c: c.update("c1", {"name": "x"}), reply)
    assert isinstance(error, Unreachable), reason
    assert error.sent
    assert len(intercom.requests) == 1


@pytest.mark.parametrize(("reply", "reason"), UNUSABLE, ids=[row[1] for row in UNUSABLE])
def test_a_read_without_a_usable_answer_is_repeated(reply: Reply, reason: str) -> None:
    """Reading again harms nobody, and most such faults pass."""
    found, intercom, _ = ask(lambda c: c.get("c1"), reply, answer(200, contact()))
    assert found.id == "c1", reason
    assert len(intercom.requests) == 2


@pytest.mark.parametrize(("asked", "call", "body"), CALLS, ids=[row[0] for row in CALLS])
def test_a_call_that_never_left_is_repeated(asked: str, call: Call, body: object) -> None:
    """No connection, no effect: also a write may be sent again."""
    value, intercom, _ = ask(call, httpx.ConnectError("refused"), answer(200, body))
    assert not isinstance(value, Exception)
    assert intercom.asked == [asked, asked]


def test_a_call_that_never_left_in_the_end_says_so() -> None:
    """`sent=False`: nothing to read back."""
    error, intercom, _ = ask(lambda c: c.archive("c1"), httpx.ConnectError("refused"))
    assert isinstance(error, Unreachable)
    assert not error.sent
    assert len(intercom.requests) == 3


@pytest.mark.parametrize(("asked", "call", "body"), WRITES, ids=[row[0] for row in WRITES])
def test_a_throttled_write_is_repeated(asked: str, call: Call, body: object) -> None:
    """A 429 is the one refusal after which it is certain that nothing was done and that trying again helps."""
    value, intercom, heard = ask(call, refusal(429, "rate_limit_exceeded"), answer(200, body))
    assert not isinstance(value, Exception)
    assert intercom.asked == [asked, asked]
    assert [text.rpartition(" ")[2] for text in heard] == ["429", "200"]


def test_throttling_without_end_is_an_error() -> None:
    """After the last attempt the caller hears of it."""
    error, intercom, _ = ask(lambda c: c.get("c1"), refusal(429, "rate_limit_exceeded"))
    assert isinstance(error, RateLimited)
    assert len(intercom.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
def test_a_refusal_is_not_repeated(status: int) -> None:
    """It would be the same again; and a storm of 401s locks tokens out."""
    error, intercom, _ = ask(lambda c: c.get("c1"), refusal(status, "some_code"))
    assert isinstance(error, Refused)
    assert len(intercom.requests) == 1


def test_retries_back_off_at_random() -> None:
    """Full jitter: each wait is a random part of a doubling bound, so that many clients do not come back together."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(seconds)

    ask(lambda c: c.get("c1"), refusal(503, "x"), sleep=sleep, patience=Patience(attempts=6))
    backoffs = [seconds for seconds in slept if seconds != SAFE_SPACING]
    assert backoffs == [0.25, 0.5, 1.0, 2.0, 4.0]


def test_retries_end_with_the_time_for_a_call() -> None:
    """However many attempts are left."""
    patience = Patience(attempts=100, call=5.0)
    error, intercom, _ = ask(lambda c: c.get("c1"), refusal(503, "x"), patience=patience)
    assert isinstance(error, Unreachable)
    assert len(intercom.requests) == 6


def test_an_answer_that_drips_in_for_ever_is_given_up() -> None:
    """Each piece in time, yet no end: the attempt as a whole has a limit."""

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            while True:
                await asyncio.sleep(1)
                yield b" "

    def drip(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Drip())

    async def main() -> float:
        async with client_of(drip, patience=Patience(attempts=1, attempt=60)) as connected:
            with pytest.raises(Unreachable):
                await connected.update("c1", {"name": "x"})
            return asyncio.get_running_loop().time()

    assert run_virtually(main) == pytest.approx(60, abs=1)


def test_an_endless_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever comes."""
    monkeypatch.setattr(caller, "MAX_BODY", 1000)
    error, _, heard = ask(lambda c: c.archive("c1"), answer(200, "x" * 1001))
    assert isinstance(error, Unreachable)
    assert error.sent
    assert heard == ["POST /contacts/c1/archive no answer"]


def test_another_version_in_the_answer_is_an_error() -> None:
    """The same field may mean something else there: read nothing from it."""
    error, _, _ = ask(lambda c: c.me(), answer(200, ME, intercom_version="2.15"))
    assert isinstance(error, TargetError)
    assert "2.15" in error.what
    lost, _, _ = ask(lambda c: c.update("c1", {"name": "x"}), answer(200, contact(), intercom_version="2.15"))
    assert isinstance(lost, Unreachable)


def test_an_answer_without_the_version_passes() -> None:
    """A proxy may take the header away."""
    bare = httpx.Response(200, headers={"content-type": "application/json"}, json=contact())
    found, _, _ = ask(lambda c: c.get("c1"), bare)
    assert found.id == "c1"


def test_a_redirect_is_not_followed() -> None:
    """The token goes to the configured host and to no other."""
    error, intercom, _ = ask(
        lambda c: c.get("c1"), httpx.Response(302, headers={"location": "https://evil.test/contacts/c1"})
    )
    assert isinstance(error, Unreachable)
    assert {request.url.host for request in intercom.requests} == {"api.intercom.test"}


HOSTILE = ["../admins", "a/b", "a?b=c", "a#b", "%2e%2e", "..%2f..", "a\\b", "é", " ", "a;b", "@", "a\nb", "...", "%00"]


IDS = st.text(min_size=1, max_size=30).filter(lambda text: not any(personal_in(text)))
"""Ids may stand in errors. Hypothesis draws texts of our own modules too, e-mails among them, which are no ids."""


@given(st.one_of(st.sampled_from(HOSTILE), IDS))
def test_any_id_is_exactly_one_segment_of_the_path(identifier: str) -> None:
    """An id from data must not reach another resource; where it cannot be a segment, nothing is sent."""
    for call, before, after in (
        (lambda c: c.get(identifier), b"/contacts/", b""),
        (lambda c: c.archive(identifier), b"/contacts/", b"/archive"),
        (lambda c: c.find_by_external_id(identifier), b"/contacts/find_by_external_id/", b""),
    ):
        error, intercom, _ = ask(call, refusal(404, "not_found"))
        if identifier in (".", "..") or any("\ud800" <= letter <= "\udfff" for letter in identifier):
            assert isinstance(error, Unreachable)
            assert not error.sent
            assert not intercom.requests
        else:
            assert isinstance(error, NotFound)
            path = intercom.requests[0].url.raw_path
            inner = path.removeprefix(before).removesuffix(after)
            assert path == before + inner + after
            assert not set(inner) & set(b"/?#")
            assert inner not in (b"", b".", b"..")


@pytest.mark.parametrize("identifier", ["", ".", "..", "\ud800"])
def test_an_id_that_is_no_segment_is_never_sent(identifier: str) -> None:
    """`..` would take the segment before it away, and a blank id names the whole list."""
    error, intercom, _ = ask(lambda c: c.delete(identifier), answer(200, FLAGGED))
    assert isinstance(error, Unreachable)
    assert not error.sent
    assert not intercom.requests


def test_a_value_that_is_no_text_is_never_sent() -> None:
    """Half of a surrogate pair has no JSON; that action fails, and the run goes on."""
    error, intercom, _ = ask(lambda c: c.create({"name": "\ud800"}), answer(200, contact()))
    assert isinstance(error, Unreachable)
    assert not error.sent
    assert not intercom.requests


@pytest.mark.parametrize("token", ["", "two words", "line\n", "tokén"])
def test_a_token_that_cannot_stand_in_a_header_is_refused(token: str) -> None:
    """At once and without repeating it, rather than by some library's error that does."""
    with pytest.raises(SettingsError) as caught:
        client_of(Intercom([answer()]), token=token)
    assert not token.strip() or token not in texts_of(caught.value)


@pytest.mark.parametrize(
    "url", ["", "api.intercom.io", "ftp://x", "https://", "https://u:p@x", "https://x/?a=b", "\x00"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    """Before anything is sent anywhere."""
    with pytest.raises(SettingsError, match="INTERCOM_BASE_URL"):
        client_of(Intercom([answer()]), base_url=url)


def test_a_base_url_may_have_a_path_and_a_slash() -> None:
    """As behind a proxy of one's own."""
    _, intercom, _ = ask(lambda c: c.me(), answer(200, ME), base_url=f"{BASE_URL}/proxy/")
    assert intercom.asked == ["GET /proxy/me"]


def test_the_workspace_is_read() -> None:
    """identifyAdmin: plan and apply compare the workspace's id, and searches need its timezone."""
    me, _, _ = ask(lambda c: c.me(), answer(200, ME))
    workspace = me.workspace()
    assert (workspace.id, workspace.timezone, workspace.admin_id) == ("abc123", "America/New_York", "991")


LOUD: list[Reply] = [
    refusal(400, "parameter_invalid", "jane.canary@example.org or +17654657031 or Jane Canary is not valid"),
    refusal(409, "conflict", "jane.canary@example.org exists"),
    refusal(401, "unauthorized", f"token {TOKEN} is wrong"),
    httpx.Response(200, headers={"content-type": "text/html"}, content=b"<p>jane.canary@example.org</p>"),
    httpx.Response(200, headers={"content-type": "application/json"}, content=b'{"email": "jane.canary@example.org"'),
    answer(200, contact(role=5)),
    httpx.ReadTimeout("timed out"),
    httpx.ConnectError("refused"),
]


@pytest.mark.parametrize("reply", LOUD, ids=range(len(LOUD)))
def test_no_error_or_log_line_holds_personal_data(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    """Design §4.13: ids only; not even the causes below our errors may tell."""
    caplog.set_level(logging.DEBUG, logger="reconciler")  # what libraries log below ERROR is never shown
    fields = {"email": "jane.canary@example.org", "name": "Jane Canary", "phone": "+17654657031"}
    for call in (lambda c: c.update("c1", fields), lambda c: c.find_by_external_id("jane.canary@example.org")):
        error, _, heard = ask(call, reply)
        assert isinstance(error, TargetError)
        told = "\n".join([texts_of(error), error.next_step, *heard])
        logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("reconciler"))
        for canary in CANARIES:
            assert canary not in told
            assert canary not in logged


def test_the_token_is_not_in_the_client_itself() -> None:
    """A client in a debugger's or a traceback's view must not tell it."""
    made = client_of(Intercom([answer()]))
    assert TOKEN not in repr(made) + repr(vars(made))


def test_an_unauthorized_read_says_what_to_check() -> None:
    """Every refusal ends with the next step."""
    error, _, _ = ask(lambda c: c.me(), refusal(401, "unauthorized", "Access Token Invalid"))
    assert isinstance(error, Unauthorized)
    assert "INTERCOM_ACCESS_TOKEN" in error.next_step


def test_only_what_the_preview_alone_has_is_asked_of_it() -> None:
    """Its version on every call would change what the others mean; and its answers must be of it."""
    job = {"id": "job_v2_1", "type": "contacts.bulk.job", "state": "running"}
    preview = answer(202, job, intercom_version="Preview")
    value, intercom, heard = ask(lambda c: c.bulk_update({"c1": {"name": "Jane Canary"}}), preview)
    assert value.ended is False
    assert intercom.requests[0].headers["intercom-version"] == "Preview"
    assert intercom.bodies() == [{"contacts": [{"id": "c1", "name": "Jane Canary"}]}]
    assert heard == ["PUT /contacts/bulk 202"]
    ended = answer(200, job | {"state": "completed_with_errors"}, intercom_version="Preview")
    assert ask(lambda c: c.bulk_job("job_v2_1"), ended)[0].ended is True
    assert isinstance(ask(lambda c: c.bulk_job("job_v2_1"), answer(200, job))[0], TargetError)


def test_a_missing_scope_for_the_preview_stops_no_other_write() -> None:
    """The scope for updates in bulk is another one than that for updates."""
    intercom = Intercom([refusal(403, "forbidden"), answer(200, contact())])

    async def main() -> str:
        async with client_of(intercom) as client:
            with pytest.raises(ScopeMissing):
                await client.bulk_update({"c1": {"name": "Jane Canary"}})
            return (await client.update("c1", {"name": "Jane Canary"})).id

    assert run_virtually(main) == "c1"
