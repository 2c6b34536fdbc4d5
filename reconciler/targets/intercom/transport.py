"""The connection: aiohttp under httpx, opened so that nothing is sent twice and nothing is kept that we did not ask
for.

httpx's own transport loses its speed beyond some 32 calls in flight; this one does not (design §9). Three of its
habits matter to a client that must know whether a write left the house, and are dealt with here:

1. aiohttp by itself sends a PUT or DELETE a second time when a kept-alive connection breaks (aio-libs/aiohttp#10790).
   A write of ours is only repeated after a read-back, so for anything but a GET that error is renamed to one that
   aiohttp does not retry.
2. httpx-aiohttp 0.2 reports a refused connection, a failed TLS handshake *and* a connection that broke after the
   request as the same `httpx.ConnectTimeout`. Only the cause below it tells whether anything was sent: `never_sent`.
3. aiohttp sessions remember cookies; ours does not.
"""

from __future__ import annotations

import ssl
from functools import cache

import aiohttp
import httpx
from aiohttp.client_middlewares import ClientHandlerType
from httpx_aiohttp import AiohttpTransport

KEEP_ALIVE = 15.0
"""Seconds an idle connection is kept: longer than one rate window, so that a full window does not cost new TLS
handshakes.
"""


class AnswerLost(aiohttp.ClientPayloadError):
    """The connection broke after a write was sent; httpx-aiohttp makes an `httpx.ReadError` of it."""


def open_transport(*, max_connections: int) -> AiohttpTransport:
    """A transport with TLS verified against certifi's roots, without proxies from the environment, redirects or
    cookies.
    """
    tls = _tls()

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=max_connections, ssl=tls, keepalive_timeout=KEEP_ALIVE)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, middlewares=(_send_writes_once,)
        )

    return AiohttpTransport(verify=tls, trust_env=False, client=session)


@cache
def _tls() -> ssl.SSLContext:
    """Made once a process: to read certifi's roots takes 17 ms, and a command may open several connections."""
    return httpx.create_ssl_context(trust_env=False)


def never_sent(error: Exception) -> bool:
    """Whether it is certain that no byte of the request left: no such host, connection or TLS handshake refused."""
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    match cause:
        case aiohttp.ClientError():
            return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        case _:
            return isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


async def _send_writes_once(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise AnswerLost("the connection broke before the answer came") from error
