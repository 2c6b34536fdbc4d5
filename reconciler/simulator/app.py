"""The stand-in over HTTP: what happens to every call on its way to an operation and back.

In order: size, credentials, rate window, version, latency, fault before, the operation, fault after, log, headers.
The two paths under /_simulator/ skip all of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from reconciler.simulator import errors, wire
from reconciler.simulator.errors import ApiError
from reconciler.simulator.faults import Fault
from reconciler.simulator.routes import EXTERNAL_ID_PREFIX, PREVIEW_ROUTES, ROUTES, UNBLOCK, Ask, Operation
from reconciler.simulator.simulator import PREVIEW, VERSION, Call, LoggedCall, Simulator
from reconciler.simulator.window import Allowance

Endpoint = Callable[[Request], Awaitable[Response]]

HTML_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
ABORT = "abort"
"""Key in the ASGI state under which `server.py` leaves a function that breaks the connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is to get, before anything goes wrong with it. headers: besides those every answer has."""

    status: int
    body: bytes
    headers: dict[str, str]
    effect: bool = False


def build_app(simulator: Simulator) -> Starlette:
    """The ASGI app. In-process: `httpx.ASGITransport(app=build_app(simulator))`."""
    table = (*ROUTES, UNBLOCK) if simulator.options.unblock_endpoint else ROUTES
    routes = [
        Route(path, _endpoint(simulator, operation, version), methods=[method])
        for version, served in ((PREVIEW, PREVIEW_ROUTES), (VERSION, table))
        for method, path, operation in served
    ]

    async def state(_: Request) -> Response:
        return Response(simulator.state_json(), media_type="application/json")

    async def calls(_: Request) -> Response:
        return Response(simulator.calls_json(), media_type="application/json")

    async def unrouted(request: Request, refusal: Exception) -> Response:
        """A path nobody serves, or not with this method: a call like any other until then."""
        wrong_method = isinstance(refusal, HTTPException) and refusal.status_code == errors.method_not_allowed().status

        def refuse(_: Ask) -> bytes:
            raise errors.method_not_allowed() if wrong_method else errors.resource_not_found()

        return await _Passage(simulator, request, refuse, VERSION).answer()

    routes += [Route("/_simulator/state", state), Route("/_simulator/calls", calls)]
    app = Starlette(routes=routes, exception_handlers={HTTPException: unrouted})
    app.router.redirect_slashes = False
    return app


def _endpoint(simulator: Simulator, operation: Operation, version: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await _Passage(simulator, request, operation, version).answer()

    return endpoint


class _Passage:
    """One call, from arrival to answer. version: the Intercom-Version that it must name."""

    def __init__(self, simulator: Simulator, request: Request, operation: Operation, version: str) -> None:
        self._simulator = simulator
        self._request = request
        self._operation = operation
        self._version = version
        self._number = simulator.next_number()
        self._arrived = simulator.clock()
        self._request_id = simulator.request_id(self._number)
        self._ask = Ask(simulator, _path_parameters(request), request.query_params)
        self._allowance: Allowance | None = None

    async def answer(self) -> Response:
        try:
            self._ask.raw = await self._read()
        except ApiError as refusal:
            return self._deliver(self._refusal(refusal))
        except ClientDisconnect:
            return (
                Silence()
            )  # The caller left before the call was complete: there is nobody to answer, and nothing was done.
        call = self._call()
        try:
            self._admit()
        except ApiError as refusal:
            answer = self._refusal(refusal)
            self._log(answer, None)
            return self._deliver(answer)
        if seconds := self._simulator.latency():
            await self._simulator.sleep(seconds)
        fault = self._simulator.fault(call, "before")
        answer = self._act(fault)
        if fault is None or fault.phase == "after":
            fault = self._simulator.fault(replace(call, status=answer.status), "after") or fault
        self._log(answer, fault)
        return await self._break(answer, fault)

    async def _read(self) -> bytes:
        limit = self._simulator.options.max_body
        read = bytearray()
        async for chunk in self._request.stream():
            read += chunk
            if len(read) > limit:
                raise errors.too_large(limit)
        return bytes(read)

    def _call(self) -> Call:
        request = self._request
        return Call(
            number=self._number,
            time=self._arrived,
            method=request.method,
            path=request.url.path,
            query=request.url.query,
            body=self._ask.raw,
        )

    def _admit(self) -> None:
        """Credentials first: without them there are no rate headers. A missing version means 1.0, which is not
        simulated.
        """
        token, headers = self._simulator.options.token, self._request.headers
        if token is not None:
            given = headers.get("authorization", "")
            if not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise errors.unauthorized()
        self._allowance = self._simulator.window.take(self._arrived)
        if not self._allowance.allowed:
            raise self._rate_limited()
        if headers.get("intercom-version") != self._version:
            raise errors.version_invalid()

    def _rate_limited(self) -> ApiError:
        return errors.rate_limited(self._simulator.options.limit, self._simulator.options.window)

    def _act(self, fault: Fault | None) -> Answer:
        """The operation, or the refusal that an early fault puts in its place."""
        if fault is not None and fault.phase == "before":
            return self._instead(fault)
        self._simulator.jobs.run_due()
        world = self._simulator.world
        version = world.version
        try:
            body = self._operation(self._ask)
        except ApiError as refusal:
            return self._refusal(refusal)
        return Answer(self._ask.status, body, {}, effect=world.version != version)

    def _instead(self, fault: Fault) -> Answer:
        if fault is Fault.RATE_LIMIT:
            if self._allowance is not None:
                self._allowance = replace(self._allowance, allowed=False, remaining=0)
            return self._refusal(self._rate_limited())
        if fault is Fault.ERROR_BEFORE:
            return self._refusal(errors.server_error())
        return Answer(200, b'{"type":"contact","id":"', {})

    def _refusal(self, refusal: ApiError) -> Answer:
        return Answer(refusal.status, wire.error_body(refusal, self._request_id), dict(refusal.headers))

    async def _break(self, answer: Answer, fault: Fault | None) -> Response:
        """The answer, as the fault leaves it."""
        match None if fault is None else fault.kind:
            case "500":
                return self._deliver(replace(self._refusal(errors.server_error()), effect=answer.effect))
            case "torn":
                return self._deliver(replace(answer, body=answer.body[: max(1, len(answer.body) // 2)]))
            case "html":
                return self._deliver(Answer(200, HTML_PAGE, {"content-type": "text/html; charset=utf-8"}))
            case "reset":
                return self._abort(self._simulator.reset_error)
            case "timeout":
                await self._simulator.sleep(self._simulator.options.hold)
                return self._abort(self._simulator.timeout_error)
            case _:
                return self._deliver(answer)

    def _abort(self, failure: Callable[[str], Exception]) -> Response:
        """Break the connection where there is one; in-process, raise what stands for it."""
        abort = self._request.scope.get("state", {}).get(ABORT)
        if abort is None:
            raise failure(f"simulated fault: no answer to call {self._number}")
        abort()
        return Silence()

    def _deliver(self, answer: Answer) -> Response:
        headers = {
            "content-type": "application/json; charset=utf-8",
            "Intercom-Version": self._version,
            "X-Request-Id": self._request_id,
            "Date": formatdate(self._simulator.clock(), usegmt=True),
            **({} if self._allowance is None else self._allowance.headers()),
            **answer.headers,
        }
        return Response(answer.body, answer.status, headers)

    def _log(self, answer: Answer, fault: Fault | None) -> None:
        self._simulator.log(
            LoggedCall(
                number=self._number,
                time=self._arrived,
                method=self._request.method,
                path=self._request.url.path,
                status=answer.status,
                effect=answer.effect,
                id=self._ask.subject,
                fault=None if fault is None else fault.value,
            )
        )


class Silence(Response):
    """Sends nothing, and waits until the connection is gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI's signature)
        """Read until the server says that the caller is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass


def _path_parameters(request: Request) -> dict[str, str]:
    """As routed, but for an external id, which may hold anything: it is unquoted from the path as it was sent."""
    parameters = {name: str(value) for name, value in request.path_params.items()}
    raw_path = request.scope.get("raw_path")
    if "external_id" in parameters and isinstance(raw_path, bytes):
        tail = raw_path.partition(b"?")[0].decode("latin-1").removeprefix(EXTERNAL_ID_PREFIX)
        parameters["external_id"] = unquote(tail)
    return parameters
