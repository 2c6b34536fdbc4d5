"""The stand-in on a port: for `reconcile simulate`, and in a thread for the demo and for tests of real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.simulator.app import ABORT, build_app
from reconciler.simulator.simulator import Options, Simulator

START_SECONDS = 10.0
STOP_SECONDS = 5.0
"""How long starting and stopping a server thread may take before it is an error."""


class AbortableProtocol(H11Protocol):
    """HTTP/1.1 whose requests can break their own connection: ASGI has no way to say so, and a 500 is not the same."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn says Transport too
        """Leave a function that breaks this connection where `app.py` looks for it."""
        super().connection_made(transport)
        accepted = transport.get_extra_info("socket")
        if accepted is not None:  # asyncio leaves Nagle's algorithm on for sockets bound by hand: 45 ms a call
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def abort() -> None:
            connection = transport.get_extra_info("socket")
            if (
                connection is not None
            ):  # Closed with unsent data and no linger, a socket sends RST: "connection reset by peer".
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

        self.app_state = {**self.app_state, ABORT: abort}


def _server(simulator: Simulator) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            build_app(simulator),
            http=AbortableProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            date_header=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; calls made from now on wait in its queue. Raises OSError when the port is taken."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)


def _url(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    options: Options,
    *,
    seed_contacts: Iterable[bytes | str] = (),
    host: str = "127.0.0.1",
    port: int = 8900,
    ready: Callable[[str], object] = lambda _: None,
) -> None:
    """Run until SIGINT (ends in KeyboardInterrupt) or SIGTERM (ends the process with that signal).

    seed_contacts: JSON lines; a wrong one raises SeedError before the port opens.
    port: 0 lets the system choose.
    ready: told the base URL once calls can be made.
    """
    simulator = Simulator(options)
    simulator.seed(seed_contacts)
    with _listen(host, port) as listening:
        ready(_url(host, listening))
        _server(simulator).run([listening])


class RunningSimulator:
    """A simulator served from a thread while the `with` block lasts.

    port: 0 lets the system choose.  base_url: where it is.  simulator: its state; read it over HTTP, or when no call
    is under way.
    """

    def __init__(self, simulator: Simulator | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.simulator = Simulator() if simulator is None else simulator
        self._host = host
        self._wanted_port = port
        self.port = 0

    @property
    def base_url(self) -> str:
        """Where to send calls, without a slash at the end."""
        return _url(self._host, self._socket)

    def __enter__(self) -> Self:
        self._socket = _listen(self._host, self._wanted_port)
        self.port = int(self._socket.getsockname()[1])
        self._server = _server(self.simulator)
        run = self._server.run
        self._thread = threading.Thread(target=lambda: run([self._socket]), name="simulator", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self._stop()
                raise RuntimeError("the simulator did not start")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(STOP_SECONDS)
        self._socket.close()
        if self._thread.is_alive():
            raise RuntimeError(f"the simulator did not stop within {2 * STOP_SECONDS:g} seconds")
