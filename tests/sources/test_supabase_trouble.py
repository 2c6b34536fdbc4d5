"""Supabase that is down, slow, lying or hostile: the right data or the right refusal, and never a secret in a text."""

from __future__ import annotations

import gzip
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import httpx
import pytest

from reconciler.core.guards import Accepted, judge
from reconciler.core.rules import Limits
from reconciler.errors import SettingsError, SourceError, SourceIncomplete, SourceUnreachable
from reconciler.sources.supabase import open_supabase
from reconciler.supabase import wire as supabase_wire
from reconciler.supabase.bounds import ANSWER_BYTES, ANSWER_SECONDS
from reconciler.supabase.keys import is_service_key
from reconciler.supabase.wire import TRIES
from tests.services.postgrest.server import (
    ANON_KEY,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    SERVICE_KEY,
    Answer,
    Counted,
    Cut,
    Fault,
    Reset,
    Slow,
    legacy_key,
)
from tests.services.supabase import Between, first, project
from tests.services.worlds import member, position
from tests.sources.test_sql import SOURCES, everything_said, ignore

CANARY = "k4narienvogel"
MEMBERS = [member(str(at), lastname=CANARY, email=f"{CANARY}@x.org") for at in range(25)]
HELD = [position("1")]
BROWSER_PAGE = b"<html><body>Web server is down</body></html>"


@pytest.fixture(autouse=True)
def _proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not for us, in any test here: nothing answers at this address."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def said_safely(error: SourceError, *secrets: str) -> str:
    """All that a log could show of an error, after a look that no secret or row is in it."""
    said = everything_said(error)
    assert not [secret for secret in (CANARY, SERVICE_KEY, ANON_KEY, *secrets) if secret in said]
    assert error.next_step
    return said


# in passing


@dataclass(frozen=True, slots=True)
class Passing:
    fault: Fault
    says: str
    reason: str
    since: int = 2
    """The request that fails first; the first one is a count, the second a page."""


PASSING = [
    *(Passing(Answer(status), f"answered {status}", f"status {status}") for status in (408, 429, 500, 502, 503, 504)),
    Passing(Answer(520, BROWSER_PAGE), "answered 520", "a proxy's page for people"),
    Passing(
        Answer(500, b'{"code":"57014","message":"canceling statement due to statement timeout"}'),
        "answered 500, code 57014",
        "a statement that took too long",
    ),
    Passing(Reset(), "ReadError", "a broken connection"),
    Passing(Cut(), "not a list of rows", "half an answer that claims to be whole"),
    Passing(Answer(200, b"[]["), "not a list of rows", "no JSON"),
    Passing(Answer(200, BROWSER_PAGE), "not a list of rows", "a page for people, as if all were well"),
    Passing(Answer(200, b'{"rows": []}'), "not a list of rows", "JSON of another shape"),
    Passing(Answer(200, b'[{"membernumber": "1"}, 7]'), "not a list of rows", "a row that is none"),
    Passing(Answer(200, b"[" * 100_000), "malformed", "JSON too deep to be read"),
    Passing(Answer(200, b"[]", (("content-range", "*/many"),)), "malformed", "a count that is no number", since=1),
    Passing(Answer(200, b"[]"), "does not say how many rows", "no count at all, as behind a proxy", since=1),
]


@pytest.mark.parametrize("case", PASSING, ids=lambda case: case.reason)
def test_what_fails_in_passing_is_asked_again(postgres_shared_url: str, case: Passing) -> None:
    """A hiccup at 2:30 AM costs seconds, not the night."""
    troubled = range(case.since, case.since + TRIES - 1)
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.shim.hook = lambda call: case.fault if call.number in troubled else None
        data = supabase.read()
    assert (len(data.members), len(data.positions)) == (len(MEMBERS), 1)
    assert supabase.waits == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("case", PASSING, ids=lambda case: case.reason)
def test_what_keeps_failing_is_an_error(postgres_shared_url: str, case: Passing) -> None:
    """C4: a source that is down stops the plan; nothing is decided from what it did say."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.shim.hook = lambda call: case.fault if call.number >= case.since else None
        with pytest.raises(SourceUnreachable) as refused:
            supabase.read()
        asked = len(supabase.shim.calls)
    assert case.says in said_safely(refused.value)
    assert asked == case.since - 1 + TRIES


def test_a_slow_answer_is_an_answer(postgres_shared_url: str) -> None:
    """Slowness alone is no reason to give up or to ask twice."""
    with project(postgres_shared_url, MEMBERS, HELD, hook=first(2, Slow(0.3)), latency=0.01) as supabase:
        assert len(supabase.read().members) == len(MEMBERS)
    assert supabase.waits == []


def test_silence_is_asked_again(postgres_shared_url: str) -> None:
    """An answer that never comes ends in httpx's timeout, which a second request may mend."""

    def silent(number: int, request: httpx.Request, real: httpx.BaseTransport) -> httpx.Response:
        if number in {2, 3}:
            raise httpx.ReadTimeout("no answer", request=request)
        return real.handle_request(request)

    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        assert len(supabase.read(transport=Between(silent)).members) == len(MEMBERS)
    assert supabase.waits == [0.5, 1.0]


def test_nobody_there_is_an_error_with_a_next_step() -> None:
    """No connection at all: after a few tries a sentence that names the place."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SourceUnreachable, match=r"supabase at 127\.0\.0\.1.*ConnectError.*5 times") as refused:
            open_supabase(url, SERVICE_KEY, SOURCES, sleep=lambda _: None).read(ignore)
    assert "run the command again" in said_safely(refused.value)


def test_the_shape_is_not_blamed_for_an_outage(postgres_shared_url: str) -> None:
    """A server that fails while the missing column is looked for is down, not without that column."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.shim.execute("ALTER TABLE members DROP phone")
        supabase.shim.hook = lambda call: Answer(503) if call.asks("select") == "*" else None
        with pytest.raises(SourceUnreachable, match="answered 503"):
            supabase.read()


# keys


@pytest.mark.parametrize("key", [ANON_KEY, PUBLISHABLE_KEY])
def test_an_anon_key_under_row_level_security_is_recognised(postgres_shared_url: str, key: str) -> None:
    """C2: 200 and an empty list look like a union without members; a plan on that would orphan everybody."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.shim.row_level_security("members", "positions")
        with pytest.raises(
            SourceUnreachable, match="members came back empty, and SUPABASE_KEY is not a service key"
        ) as no:
            supabase.read(key)
    assert "row-level security" in said_safely(no.value, key)
    assert "service" in no.value.next_step


def test_positions_alone_may_be_hidden(postgres_shared_url: str) -> None:
    """Members without their positions would clear the attribute of everybody."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.shim.row_level_security("positions")
        with pytest.raises(SourceUnreachable, match="table positions came back empty"):
            supabase.read(ANON_KEY)


@pytest.mark.parametrize("key", [SERVICE_KEY, SECRET_KEY])
def test_a_service_key_sees_through_policies(postgres_shared_url: str, key: str) -> None:
    """Row-level security is on by default; the service role bypasses it (Supabase, "Understanding API keys")."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.shim.row_level_security("members", "positions")
        assert len(supabase.read(key).members) == len(MEMBERS)


def test_an_anon_key_that_may_see_all_is_as_good_as_any(postgres_shared_url: str) -> None:
    """Without row-level security the key is no reason to refuse what it shows."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        assert len(supabase.read(ANON_KEY).members) == len(MEMBERS)


def test_empty_tables_are_left_to_the_guard_when_a_service_key_says_so(postgres_shared_url: str) -> None:
    """That key sees all there is, so the answer is true; the guard refuses it, and a person may accept it."""
    with project(postgres_shared_url) as supabase:
        data = supabase.read()
    assert (data.members, data.positions) == ((), ())
    assert judge(data, last_good=None, limits=Limits(), accepted=Accepted()).refused


@pytest.mark.parametrize(
    "key", ["eyJ.eyJ.x", "x", "a.b.c", "a.!!!.c", legacy_key("authenticated"), legacy_key("reader"), "sb_other_x"]
)
def test_an_unknown_key_is_not_taken_for_a_service_key(key: str) -> None:
    """What cannot be read proves nothing about what it may see."""
    assert not is_service_key(key)


def test_a_wrong_key_is_refused_at_once(postgres_shared_url: str) -> None:
    """Asking again with the same key would lock nobody in; the text says which variable to set."""
    wrong = "sb_secret_of_another_project"
    accepted = pytest.raises(SourceUnreachable, match=r"the key is not accepted \(it answered 401\)")
    with project(postgres_shared_url, MEMBERS, HELD) as supabase, accepted as refused:
        supabase.read(wrong)
    assert "SUPABASE_KEY" in refused.value.next_step
    said_safely(refused.value, wrong)
    assert supabase.waits == []


def test_a_key_without_the_right_to_read_is_refused(postgres_shared_url: str) -> None:
    """A grant that was taken away is not an outage."""
    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.shim.execute("REVOKE ALL ON positions FROM service_role")
        with pytest.raises(SourceUnreachable, match=r"may not read table positions \(it answered 403, code 42501\)"):
            supabase.read()


@pytest.mark.parametrize("key", ["two words", "ключ", "line\nbreak", "", "tab\t"])
def test_a_key_that_is_no_header_never_reaches_the_client(key: str) -> None:
    """h11 and httpx quote a header they cannot send."""
    with pytest.raises(SettingsError, match="SUPABASE_KEY is malformed") as refused:
        open_supabase("http://127.0.0.1:9", key, SOURCES).read(ignore)
    assert not key or key not in everything_said(refused.value)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(404, BROWSER_PAGE), "answered 404, code 404"),
        (Answer(302, b"", (("location", "http://127.0.0.1:9/elsewhere"),)), "answered 302"),
        (
            Answer(400, b'{"code":"22P02","message":"invalid input syntax: \\"k4narienvogel\\""}'),
            "answered 400, code 22P02",
        ),
        (Answer(400, b'{"code":"k4narienvogel, and more","message":"x"}'), r"answered 400\."),
    ],
)
def test_any_other_answer_is_told_by_its_codes(postgres_shared_url: str, answer: Answer, says: str) -> None:
    """PostgreSQL quotes values in its messages, so only codes are passed on; a redirect is followed by nobody."""
    troubled = project(postgres_shared_url, MEMBERS, HELD, hook=lambda _: answer)
    with troubled as supabase, pytest.raises(SourceUnreachable) as refused:
        supabase.read()
    assert re.search(says, said_safely(refused.value))
    assert len(supabase.shim.calls) == 1


# hostile


def forever(chunk: bytes) -> Iterator[bytes]:
    """An answer without an end."""
    while True:
        yield chunk


def answering(make: Callable[[], httpx.Response]) -> Between:
    """A server with one thing to say."""
    return Between(lambda _number, _request, _real: make())


def test_an_endless_answer_ends() -> None:
    """C10: what is taken in has a largest size, whatever is sent."""
    sent = count()

    def chunks() -> Iterator[bytes]:
        for at in sent:
            yield b"[" + b" " * 1024 * 1024 if at == 0 else b" " * 1024 * 1024

    source = open_supabase(
        "https://union.supabase.test",
        SERVICE_KEY,
        SOURCES,
        transport=answering(lambda: httpx.Response(200, content=chunks())),
    )
    with pytest.raises(SourceUnreachable, match="larger than 64 MiB"):
        source.read(ignore)
    assert next(sent) <= ANSWER_BYTES // 1024**2 + 2


def test_a_compressed_answer_is_not_opened() -> None:
    """Half a megabyte may become half a gigabyte; nobody asked for that."""
    bomb = gzip.compress(b" " * 10_000_000)
    source = open_supabase(
        "https://union.supabase.test",
        SERVICE_KEY,
        SOURCES,
        transport=answering(
            lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(bomb))
        ),
    )
    with pytest.raises(SourceUnreachable, match="compressed although that was not asked for"):
        source.read(ignore)


def test_an_answer_that_drips_is_given_up() -> None:
    """A byte a minute keeps every timeout of silence content; the answer as a whole has one too."""
    now = count(0, ANSWER_SECONDS / 3)
    source = open_supabase(
        "https://union.supabase.test",
        SERVICE_KEY,
        SOURCES,
        sleep=lambda _: None,
        clock=lambda: next(now),
        transport=answering(lambda: httpx.Response(200, content=forever(b" "))),
    )
    with pytest.raises(SourceUnreachable, match="ReadTimeout"):
        source.read(ignore)


@pytest.mark.parametrize("dropped", ["membernumber", "offset"])
@pytest.mark.parametrize("total", [None, 1_000_000])
def test_a_server_that_gives_the_same_page_for_ever_is_refused(
    postgres_shared_url: str, dropped: str, total: int | None
) -> None:
    """C11: a filter or an offset that is ignored must not become an endless read, nor rows that count twice."""
    asked = 0

    def deaf(_number: int, request: httpx.Request, real: httpx.BaseTransport) -> httpx.Response:
        nonlocal asked
        asked += 1
        kept = [(name, value) for name, value in request.url.params.multi_items() if name != dropped]
        request.url = request.url.copy_with(params=kept)
        return real.handle_request(request)

    members = MEMBERS if dropped == "membernumber" else [member("1")] * 25
    with project(postgres_shared_url, members, HELD, max_rows=10) as supabase:
        if total is not None and dropped == "membernumber":
            supabase.shim.hook = lambda _: Counted(total)
        with pytest.raises(SourceIncomplete):
            supabase.read(transport=Between(deaf))
    assert asked < 60


def test_an_empty_page_that_is_not_the_end_is_noticed(postgres_shared_url: str) -> None:
    """C2: 200 and an empty list in the middle of a read. The count is what tells it from the end."""
    with project(postgres_shared_url, MEMBERS, HELD, max_rows=10) as supabase:
        supabase.shim.hook = lambda call: Answer(200, b"[]") if call.number in {2, 3} else None
        assert len(supabase.read().members) == len(MEMBERS)
        assert supabase.waits == [2.0]
        supabase.shim.hook = lambda call: Answer(200, b"[]") if "gte" in str(call.query) else None
        with pytest.raises(SourceIncomplete, match="25 rows were counted and 10 came"):
            supabase.read()


def test_the_key_goes_to_the_project_alone(postgres_shared_url: str) -> None:
    """Every request is a GET to the address that was given, with the key and without a body: nothing is written."""
    seen: list[httpx.Request] = []

    def watched(_number: int, request: httpx.Request, real: httpx.BaseTransport) -> httpx.Response:
        seen.append(request)
        return real.handle_request(request)

    with project(postgres_shared_url, MEMBERS, HELD) as supabase:
        supabase.read(transport=Between(watched))
        address = httpx.URL(supabase.shim.base_url)
    assert {(each.method, each.url.host, each.url.port) for each in seen} == {("GET", address.host, address.port)}
    assert {each.headers["apikey"] for each in seen} == {SERVICE_KEY}


def test_a_source_shows_no_key() -> None:
    """Neither its own text nor that of its parts, which a crash report may print."""
    source = open_supabase("https://union.supabase.test", SERVICE_KEY, SOURCES)
    assert SERVICE_KEY not in repr(source)
    assert supabase_wire.__name__ not in repr(source)
