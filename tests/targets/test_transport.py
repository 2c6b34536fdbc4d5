"""The real connection, over loopback: what leaves the house, once, and to whom."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from reconciler.errors import NotFound, Unreachable
from reconciler.targets.intercom import IntercomClient, Patience
from tests.targets.support import TOKEN, contact

Handler = Callable[[int, asyncio.StreamWriter], Awaitable[None]]
"""Gets the number of the request on all connections, from 1, and the writer to answer on."""

HOSTILE = [
    "../admins",
    "..%2f..",
    "%2e%2e",
    "%2E%2E/x",
    "a/b",
    "a?b",
    "a#b",
    "a%b",
    "é",
    "a b",
    "...",
    ".a",
    "a\\..\\b",
    "%00",
]


class Wire:
    """A server that speaks just enough HTTP to misbehave. heads: request line and headers of each request."""

    def __init__(self, handler: Handler) -> None:
        self.heads: list[str] = []
        self._handler = handler

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                text = head.decode("latin-1")
                self.heads.append(text)
                length = [line[16:] for line in text.split("\r\n") if line.lower().startswith("content-length: ")]
                await reader.readexactly(int(length[0]) if length else 0)
                await self._handler(len(self.heads), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def targets(self) -> list[str]:
        """Method and target of each request."""
        return [" ".join(head.split(" ")[:2]) for head in self.heads]


async def reply(writer: asyncio.StreamWriter, status: int, body: object, *more: str) -> None:
    """Answer with JSON; `more`: further header lines."""
    content = msgspec.json.encode(body)
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(content)}", *more, "", ""]
    writer.write("\r\n".join(lines).encode() + content)
    await writer.drain()


async def answer_contact(_: int, writer: asyncio.StreamWriter) -> None:
    """A contact, for whatever was asked."""
    await reply(writer, 200, contact())


@asynccontextmanager
async def connected(handler: Handler, **options: Any) -> AsyncIterator[tuple[IntercomClient, Wire]]:
    """A client over the real transport, and the server it talks to."""
    wire = Wire(handler)
    async with await asyncio.start_server(wire.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        patience = options.pop("patience", Patience(attempts=1, read=5))
        async with IntercomClient(token=TOKEN, base_url=url, patience=patience, **options) as client:
            yield client, wire


def drops_from(number: int) -> Handler:
    """Answers until it is asked for the `number`th time, then takes the request and hangs up."""

    async def handler(count: int, writer: asyncio.StreamWriter) -> None:
        if count >= number:
            writer.close()
        else:
            await reply(writer, 200, contact())

    return handler


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_a_write_on_a_connection_that_breaks_is_sent_once(method: str) -> None:
    """By itself aiohttp would send PUT and DELETE again on a kept-alive connection; it must be read back first."""
    calls: dict[str, Callable[[IntercomClient], Awaitable[Any]]] = {
        "PUT": lambda c: c.update("c1", {"name": "x"}),
        "DELETE": lambda c: c.delete("c1"),
        "POST": lambda c: c.archive("c1"),
    }

    async def main() -> list[str]:
        async with connected(drops_from(2)) as (client, wire):
            await client.get("c1")
            with pytest.raises(Unreachable) as caught:
                await calls[method](client)
            assert caught.value.sent
            return wire.targets

    targets = asyncio.run(main())
    assert len(targets) == 2


def test_a_read_on_a_connection_that_breaks_is_repeated() -> None:
    """Servers close idle connections; that must not fail a read."""

    async def main() -> int:
        async def handler(count: int, writer: asyncio.StreamWriter) -> None:
            await (reply(writer, 200, contact()) if count != 2 else asyncio.sleep(0))
            if count == 2:
                writer.close()

        async with connected(handler) as (client, wire):
            await client.get("c1")
            await client.get("c1")
            return len(wire.heads)

    assert asyncio.run(main()) == 3


def test_a_refused_connection_never_left() -> None:
    """httpx-aiohttp calls it a connect timeout, like a connection that broke later; the cause below tells."""

    async def main() -> None:
        server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        url = f"http://127.0.0.1:{port}"
        async with IntercomClient(token=TOKEN, base_url=url, patience=Patience(attempts=1)) as client:
            with pytest.raises(Unreachable) as caught:
                await client.archive("c1")
        assert not caught.value.sent

    asyncio.run(main())


def test_a_certificate_of_nobody_is_refused() -> None:
    """TLS is verified: to a server that is not Intercom no request is sent, and so no token."""

    async def main() -> tuple[bool, list[str]]:
        wire = Wire(answer_contact)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        async with await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=context) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with IntercomClient(token=TOKEN, base_url=url, patience=Patience(attempts=1)) as client:
                with pytest.raises(Unreachable) as caught:
                    await client.archive("c1")
                return caught.value.sent, wire.heads

    assert asyncio.run(main()) == (False, [])


def test_a_timeout_is_an_unknown_outcome() -> None:
    """The server has the request and does not answer."""

    async def main() -> bool:
        async def silent(_: int, __: asyncio.StreamWriter) -> None:
            await asyncio.sleep(2)

        async with connected(silent, patience=Patience(attempts=1, read=0.1)) as (client, _):
            with pytest.raises(Unreachable) as caught:
                await client.update("c1", {"name": "x"})
            return caught.value.sent

    assert asyncio.run(main())


def test_half_an_answer_is_an_unknown_outcome() -> None:
    """The connection ends before the announced length."""

    async def main() -> bool:
        async def torn(_: int, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n" + b'{"id": "c1"'
            )
            writer.close()

        async with connected(torn) as (client, _):
            with pytest.raises(Unreachable) as caught:
                await client.update("c1", {"name": "x"})
            return caught.value.sent

    assert asyncio.run(main())


def test_what_is_no_http_is_an_unknown_outcome() -> None:
    """Something else listens there."""

    async def main() -> bool:
        async def noise(_: int, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
            writer.close()

        async with connected(noise) as (client, _):
            with pytest.raises(Unreachable) as caught:
                await client.update("c1", {"name": "x"})
            return caught.value.sent

    assert asyncio.run(main())


@pytest.mark.parametrize("identifier", HOSTILE)
def test_hostile_ids_arrive_as_one_segment(identifier: str) -> None:
    """Two URL libraries stand between us and the socket, and each of them normalises."""

    async def main() -> str:
        async def not_found(_: int, writer: asyncio.StreamWriter) -> None:
            await reply(writer, 404, {"type": "error.list", "errors": [{"code": "not_found"}]})

        async with connected(not_found) as (client, wire):
            with pytest.raises(NotFound):
                await client.archive(identifier)
            return wire.targets[0]

    parts = asyncio.run(main()).split("/")
    assert parts[:2] == ["POST ", "contacts"]
    assert parts[3:] == ["archive"]
    assert parts[2] not in ("", ".", "..", "%2e%2e", "%2E%2E")


def test_cookies_are_not_sent_back_and_redirects_not_followed() -> None:
    """Two habits of browsers that a client with a token must not have."""

    async def main() -> list[str]:
        async def handler(count: int, writer: asyncio.StreamWriter) -> None:
            if count == 1:
                await reply(writer, 200, contact(), "Set-Cookie: session=abc; Path=/")
            else:
                await reply(writer, 307, {}, "Location: /elsewhere")

        async with connected(handler) as (client, wire):
            await client.get("c1")
            with pytest.raises(Unreachable):
                await client.get("c1")
            return wire.heads

    heads = asyncio.run(main())
    assert len(heads) == 2
    assert not any("cookie" in head.lower() for head in heads)
    assert all(f"Authorization: Bearer {TOKEN}".lower() in head.lower() for head in heads)


def test_the_environments_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy set for something else must not get the token."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def main() -> str:
        async with connected(answer_contact) as (client, _):
            return (await client.get("c1")).id

    assert asyncio.run(main()) == "c1"


def test_it_closes_cleanly() -> None:
    """No open socket, no warning: pytest makes an error of each."""

    async def main() -> int:
        async with connected(answer_contact) as (client, wire):
            await asyncio.gather(*(client.get("c1") for _ in range(20)))
            return len(wire.heads)

    # 20 calls without rate headers go at the safe pace of eight a second.
    assert asyncio.run(main()) == 20
