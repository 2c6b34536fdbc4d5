"""A web server on this machine that keeps what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came, and how it is answered."""

    port: int = 0
    status: int = 200
    location: str | None = None
    gets: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """The bodies that were posted."""

    @property
    def notify(self) -> str:
        """Its address for RECONCILER_NOTIFY, as apprise writes it."""
        return f"json://127.0.0.1:{self.port}/hook"

    @property
    def heartbeat(self) -> str:
        """Its address for RECONCILER_HEARTBEAT_URL."""
        return f"http://127.0.0.1:{self.port}/beat/secret-path"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, while the block lasts."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kept.gets.append(self.path)
            self._answer()

        def do_POST(self) -> None:
            kept.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer()

        def _answer(self) -> None:
            self.send_response(kept.status)
            if kept.location is not None:
                self.send_header("Location", kept.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
