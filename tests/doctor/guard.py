"""The stand-in on a port, behind a token that lacks a scope."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.simulator import Simulator, build_app


class Guard:
    """Answers what begins so, as in `PUT /contacts/`, with 403, and hands on everything else."""

    def __init__(self, app: ASGIApp, forbidden: tuple[str, ...]) -> None:
        self._app = app
        self._forbidden = forbidden

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if not f"{scope['method']} {scope['path']}".startswith(self._forbidden):
            await self._app(scope, receive, send)
            return
        entry = {"code": "forbidden", "message": "You do not have the required scope (some_scope) to access this"}
        body = json.dumps({"type": "error.list", "request_id": "r", "errors": [entry]}).encode()
        headers = [(b"content-type", b"application/json; charset=utf-8"), (b"intercom-version", b"2.16")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def guarded(simulator: Simulator, *forbidden: str) -> Iterator[str]:
    """Serve it from a thread; yields the base URL."""
    app = Guard(build_app(simulator), forbidden)
    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: server.run([listening]), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
