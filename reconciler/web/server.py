"""The server: uvicorn, with a limit on how long a request may take to come, and with leaving by signal."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.web.body import READ_SECONDS

MAX_CONNECTIONS = 1000
"""More are answered with 503."""

ANSWER_SECONDS = 3
"""How long answers that are under way may take once the service is told to stop."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits for a request's head so long, and not for a body that nobody reads. uvicorn always waits."""

    seconds = READ_SECONDS

    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn says Transport too
        """The time for the first head begins."""
        super().connection_made(transport)
        accepted = transport.get_extra_info("socket")
        if accepted is not None:  # asyncio leaves Nagle's algorithm on for sockets bound by hand: 45 ms a call
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """The time for a head ends where it is whole, and begins where another one has begun."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        self._unset()

    def on_response_complete(self) -> None:
        """An answer that did not wait for the body ends the connection. Each byte of the rest would be new time."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unset()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(self.seconds, self.transport.abort)

    def _unset(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


class Server(uvicorn.Server):
    """Stops at SIGTERM and SIGINT, and says which it was; the process goes on and tidies up.

    head_seconds: how long the head of a request may take.
    """

    def __init__(self, app: ASGIApp, *, head_seconds: float = READ_SECONDS) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # uvicorn makes one for each connection, by its class alone.
                http=type("PatientProtocol", (PatientProtocol,), {"seconds": head_seconds}),
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="critical",  # of bad requests it tells in text, and we in metrics
                date_header=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=ANSWER_SECONDS,
                h11_max_incomplete_event_size=16 * 1024,
            )
        )
        self.stopped_by: signal.Signals | None = None
        self.stopped_at: float | None = None
        """When, by the monotonic clock."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals while the server runs. uvicorn's own would end the process by them."""
        loop = asyncio.get_running_loop()
        taken = (signal.SIGTERM, signal.SIGINT)
        for one in taken:
            loop.add_signal_handler(one, self._stop, one)
        try:
            yield
        finally:
            for one in taken:
                loop.remove_signal_handler(one)

    def _stop(self, by: signal.Signals) -> None:
        if self.stopped_by is None:
            self.stopped_by, self.stopped_at = by, time.monotonic()
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 lets the system choose. Raises OSError where the port is taken."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)


def url_of(host: str, listening: socket.socket) -> str:
    """The address of a listening socket."""
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
