"""Callers that lie, dawdle and flood, on real sockets before a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from reconciler.web.body import MAX_BYTES
from tests.runs.receiver import receiving
from tests.web.served import Order, Served, served
from tests.web.world import CREATED, WEBHOOK, conversation, encoded, message, notification, signed, until

READ_SECONDS = 1.0
HEAD = f"POST {WEBHOOK} HTTP/1.1\r\nHost: x\r\n".encode()
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all of them: each test leaves it as good as before."""
    folder = tmp_path_factory.mktemp("sockets")
    order = Order(
        state_url=f"sqlite:///{folder / 'state.sqlite'}", journal=str(folder / "journal"), read_seconds=READ_SECONDS
    )
    with served(order, log=folder / "log") as one:
        yield one
        assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture(autouse=True)
def still_answers(service: Served) -> Iterator[None]:
    """Whatever a test did, the next caller is answered at once."""
    yield
    began = time.monotonic()
    assert httpx.get(f"{service.url}/api/health", timeout=5).status_code == 200
    assert time.monotonic() - began < 1


def connect(service: Served) -> socket.socket:
    """A bare connection."""
    address = urlsplit(service.url)
    assert address.hostname is not None
    assert address.port is not None
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.settimeout(10)
    return connection


def answer(connection: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    said = b""
    while True:
        try:
            piece = connection.recv(65_536)
        except ConnectionResetError:
            return said
        if not piece:
            return said
        said += piece


def status(said: bytes) -> int:
    """Of the first answer; 0 where there was none."""
    return int(said.split(b" ", 2)[1]) if said else 0


def peak_mib(service: Served) -> float:
    """The most memory that the server ever had."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    "beginning", [b"", b"P", HEAD, HEAD + b"X-Slow: "], ids=["nothing", "a letter", "half a head", "half a header"]
)
def test_a_head_that_does_not_come(beginning: bytes, service: Served) -> None:
    """The connection is closed when its time is over, and not before."""
    with connect(service) as connection:
        began = time.monotonic()
        connection.sendall(beginning)
        assert answer(connection) == b""
        assert READ_SECONDS * 0.8 < time.monotonic() - began < READ_SECONDS + 2


def test_a_head_that_comes_a_byte_at_a_time(service: Served) -> None:
    """Each byte is no new time."""
    with connect(service) as connection:
        began = time.monotonic()
        try:
            for _ in range(100):
                connection.sendall(b"X")
                time.sleep(0.1)
        except OSError:  # a broken pipe or a reset, as the system likes
            pass
        else:
            pytest.fail("the server let it send for ten seconds")
        assert time.monotonic() - began < READ_SECONDS + 2


def test_a_body_that_comes_a_byte_at_a_time(service: Served) -> None:
    """The time is for the whole of it."""
    with connect(service) as connection:
        began = time.monotonic()
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(5):
            connection.sendall(b" ")
            time.sleep(0.1)
        assert status(answer(connection)) == 408
        assert READ_SECONDS * 0.8 < time.monotonic() - began < READ_SECONDS + 2


UNREAD = {
    "health": b"GET /api/health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
    "a probe of the address": f"HEAD {WEBHOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode(),
    "nowhere, in chunks": b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n",
    "another method": f"PUT {WEBHOOK} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode(),
}


@pytest.mark.parametrize("case", UNREAD)
def test_a_body_that_nobody_waits_for(case: str, service: Served) -> None:
    """The answer goes out and the connection ends: who goes on byte by byte could hold it for ever."""
    with connect(service) as connection:
        began = time.monotonic()
        connection.sendall(UNREAD[case])
        said = connection.recv(65_536)
        assert status(said) in {200, 404, 405}
        try:
            for _ in range(100):
                connection.sendall(b" ")
                time.sleep(0.1)
        except OSError:
            pass
        else:
            pytest.fail("the server let it send for ten seconds")
        assert time.monotonic() - began < READ_SECONDS + 2


def test_a_body_that_nobody_reads_but_that_is_all_there(service: Served) -> None:
    """It is no reason to end the connection: the next call is answered on it."""
    with connect(service) as connection:
        for _ in range(3):
            connection.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            # The whole of it: an answer may come in pieces, and none may be taken for the beginning of the next.
            response = HTTPResponse(connection)
            response.begin()
            assert (response.status, response.read()) == (200, b'{"alive":true}')


def test_two_hundred_who_dawdle(service: Served) -> None:
    """They keep nobody else waiting."""
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(service)).sendall(HEAD + b"Content-Length: 9\r\n\r\n{")
        began = time.monotonic()
        assert service.post(message(1)) == 200
        assert time.monotonic() - began < READ_SECONDS


CLAIMS: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "a length over the cap": (HEAD + f"Content-Length: {MAX_BYTES + 1}\r\n\r\n".encode(), (413,)),
    "a length that is absurd": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", (413,)),
    "a length that is negative": (HEAD + b"Content-Length: -1\r\n\r\n", (400,)),
    "a length in words": (HEAD + b"Content-Length: all\r\n\r\n", (400,)),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12", (400,)),
    # A server may take the chunks for the truth or refuse; what it must not do is to read a second request.
    "length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        (400, 401),
    ),
    "a chunk that lies": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", (400,)),
    "a chunk that is longer than it says": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", (400,)),
    "packed chunks": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "a packed body": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", (415,)),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),
    "a head without end": (HEAD + b"X: " + b"a" * 20_000, (400, 431)),
    "a header in the header": (HEAD + b"X-Hub-Signature: sha1=0\rX: 1\r\nContent-Length: 0\r\n\r\n", (400,)),
}
"""What is sent → the statuses that are right."""


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_that_are_not_true(claim: str, service: Served) -> None:
    """Refused, and the connection is closed: what follows on it may be anything."""
    sent, right = CLAIMS[claim]
    with connect(service) as connection:
        connection.sendall(sent)
        said = answer(connection)
    assert status(said) in right
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"Traceback" not in said


def test_a_body_without_end(service: Served) -> None:
    """Chunk after chunk: refused at the cap, and the server never has it in memory."""
    before = peak_mib(service)
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    for _ in range(10):
        with connect(service) as connection:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            try:
                for _ in range(1_000):
                    connection.sendall(chunk)
            except OSError:
                pass
            else:
                pytest.fail("the server read 64 MiB")
    assert peak_mib(service) - before < 16


def test_the_largest_body_that_is_read(service: Served) -> None:
    """At the cap it is read and its signature is looked at; one byte more and it is not."""
    largest = message(2) + b" " * (MAX_BYTES - len(message(2)))
    assert service.post(largest) == 200
    answered = httpx.post(service.url + WEBHOOK, content=largest + b" ", headers=signed(largest + b" "))
    assert answered.status_code == 413


def test_an_address_in_a_body_is_never_fetched(service: Served) -> None:
    """Wherever in the body it stands: nobody calls there."""
    with receiving() as kept:
        here = kept.heartbeat
        item = conversation("9", contact="c9", links={"conversation_web": here}, avatar={"image_url": here}, url=here)
        assert service.post(encoded(notification(CREATED, item, identity="notif_9", links={"topic": here}))) == 200
        until(lambda: "notif_9" in service.did("end"))
        assert (kept.gets, kept.messages) == ([], [])


def test_a_connection_is_used_again(service: Served) -> None:
    """Good callers keep theirs, call after call, for longer than one head may take."""
    with httpx.Client() as client:
        assert service.post(message(3), client) == 200
        time.sleep(READ_SECONDS * 1.3)
        assert service.post(message(4), client) == 200
