"""The routes. What is refused is refused before it is understood: size and packing, then signature, then content."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.errors import ReconcilerError
from reconciler.settings import Secret
from reconciler.sources import LookUp
from reconciler.web.body import READ_SECONDS, Refusal, read_body
from reconciler.web.events import Event
from reconciler.web.lookup import record_of
from reconciler.web.metrics import Metrics
from reconciler.web.notification import Malformed, Notification, is_in_time, read
from reconciler.web.plans import PlanPages, Plans
from reconciler.web.signature import HEADER, is_signed

WEBHOOK = "/api/intercom/webhook"

LOOK_UP_SECONDS = 5.0
"""How long a look-up may take before the caller is told to come again."""

Accepted: TypeAlias = Literal["queued", "absorbed", "duplicate", "full"]
"""What became of an event on its way in. All but `full` are answered with 200."""

_RECEIVED = b'{"received":true}'


class Inbox(Protocol):
    """Where events wait, so that they outlive this process."""

    async def accept(self, event: Event) -> Accepted:
        """Returns once the event is safe. Raises StateError where nobody can tell whether it is."""
        ...

    async def count(self) -> None:
        """Bring the gauges of the queue up to date. Raises StateError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """What the routes need.

    secrets: that may have signed. api_token: of the service's own callers; None lets none in. our_app: the id of our
    workspace; None while it is not known. checks: name → what keeps the service from being ready, or None.
    plans: that can be read in a browser. is_paused: whether writing is paused. now: unix seconds.
    """

    secrets: tuple[Secret, ...]
    api_token: Secret | None
    inbox: Inbox
    look_up: LookUp
    plans: Plans
    our_app: Callable[[], str | None]
    checks: dict[str, Callable[[], Awaitable[str | None]]]
    is_paused: Callable[[], Awaitable[bool]]
    metrics: Metrics
    now: Callable[[], float]
    read_seconds: float = READ_SECONDS


def build_app(web: Web) -> ASGIApp:
    """The service as an ASGI application."""
    routes = _Routes(web)
    pages = PlanPages(web.plans, token=web.api_token, now=web.now)
    app = Starlette(
        routes=[
            # HEAD comes with GET in Starlette, and GET is for nobody here.
            Route(WEBHOOK, routes.webhook, methods=["POST", "HEAD"]),
            Route("/api/intercom/lookup-email", routes.look_up_email, methods=["POST"]),
            Route("/api/health", routes.health, methods=["GET"]),
            Route("/api/ready", routes.ready, methods=["GET"]),
            Route("/metrics", routes.metrics, methods=["GET"]),
            *pages.routes,
        ],
        exception_handlers={Exception: _unhandled},
    )
    # A path with a slash too many would be sent on to http://, as TLS ends before us, and to the Host that the caller
    # named: tokens, e-mails and signed links would follow in the clear.
    app.router.redirect_slashes = False
    return _NoSurprises(app)


class _Routes:
    def __init__(self, web: Web) -> None:
        self._web = web
        self._log = structlog.get_logger()

    async def webhook(self, request: Request) -> Response:
        """A notification of Intercom."""
        if request.method == "HEAD":  # Intercom asks so when the address is set up
            return Response(status_code=200)
        began = time.perf_counter()
        try:
            return await self._received(request)
        except Refusal as refusal:
            return self._refused(refusal)
        finally:
            self._web.metrics.answer_seconds.observe(time.perf_counter() - began)

    async def _received(self, request: Request) -> Response:
        web = self._web
        signatures = [value.encode("latin-1") for value in request.headers.getlist(HEADER)]
        body = await read_body(request, seconds=web.read_seconds)
        if not is_signed(body, headers=signatures, secrets=web.secrets):
            raise Refusal("signature")
        try:
            notification = read(body)
        except Malformed:
            raise Refusal("malformed") from None
        web.metrics.received.labels(notification.topic).inc()
        dropped = self._why_dropped(notification)
        if dropped is None and notification.event is not None:
            dropped = await self._accept(notification.event)
        if dropped is not None:
            web.metrics.dropped.labels(dropped).inc()
        return Response(_RECEIVED, media_type="application/json")

    def _why_dropped(self, notification: Notification) -> str | None:
        """Why nothing is done about it; None where something is."""
        if notification.event is None:
            return notification.kind
        ours = self._web.our_app()
        if ours is None:
            raise Refusal("unavailable")
        if notification.app != ours:
            return "other_app"
        return None if is_in_time(notification.event, now=self._web.now()) else "out_of_time"

    async def _accept(self, event: Event) -> str | None:
        try:
            accepted = await self._web.inbox.accept(event)
        except ReconcilerError as error:
            self._log.error("webhook", refused="unavailable", error=error.what)
            raise Refusal("unavailable") from error
        if accepted == "full":
            raise Refusal("full")
        self._log.info("accepted", notification=event.id, topic=event.topic, contact=event.contact, became=accepted)
        if accepted == "queued":
            self._web.metrics.queued.inc()
            self._web.metrics.last_event.set(self._web.now())
        return None if accepted == "queued" else accepted

    async def look_up_email(self, request: Request) -> Response:
        """The record of the one member who has an e-mail."""
        try:
            self._check_token(request)
            email = _email_in(await read_body(request, seconds=self._web.read_seconds))
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await asyncio.to_thread(self._web.look_up.members_by_email, email)
        except Refusal as refusal:
            return self._refused(refusal)
        except (ReconcilerError, TimeoutError) as error:
            self._log.error("lookup", refused="unavailable", error=type(error).__name__)
            return self._refused(Refusal("unavailable"))
        # Rows that share a number with who has the e-mail are among them: never guess between two (design §4.3).
        members = found.members
        numbers = sorted({member.number for member in members})
        if not members:
            return _json({"error": "no member has this e-mail"}, status=404)
        if len(members) > 1:
            return _json({"error": "several members have this e-mail", "member_numbers": numbers}, status=409)
        return _json(record_of(members[0]))

    async def health(self, request: Request) -> Response:
        """Whether this process answers."""
        del request
        return _json({"alive": True})

    async def ready(self, request: Request) -> Response:
        """Whether everything that an event needs is there. Whether writing is paused is told, and no reason to fail."""
        del request
        said = {name: await check() for name, check in self._web.checks.items()}
        is_ready = not any(said.values())
        told: dict[str, object] = {"ready": is_ready, **{name: problem or "ok" for name, problem in said.items()}}
        try:
            told["paused"] = await self._web.is_paused()
        except ReconcilerError:
            told |= {"ready": False, "paused": None}
        return _json(told, status=200 if told["ready"] else 503)

    async def metrics(self, request: Request) -> Response:
        """The counts, for Prometheus."""
        try:
            self._check_token(request)
        except Refusal as refusal:
            return self._refused(refusal)
        try:
            await self._web.inbox.count()
        except ReconcilerError as error:
            self._log.error("metrics", error=error.what)  # the other counts are still worth having
        return PlainTextResponse(self._web.metrics.text(), media_type="text/plain; version=0.0.4")

    def _check_token(self, request: Request) -> None:
        """Raises Refusal where the caller does not present the token: once, and in constant time."""
        given = [value.encode("latin-1") for value in request.headers.getlist("authorization")]
        token = self._web.api_token
        wanted = b"Bearer " + (token.reveal() if token is not None else "").encode()
        if len(given) != 1 or not hmac.compare_digest(given[0], wanted) or token is None:
            raise Refusal("token")

    def _refused(self, refusal: Refusal) -> Response:
        """The answer says why in one word. What is left of the body is not read, so the connection ends."""
        self._web.metrics.refused.labels(refusal.reason).inc()
        if refusal.reason not in ("full", "unavailable"):
            self._log.warning("refused", reason=refusal.reason)
        headers = {"connection": "close"}
        if refusal.status == 503:
            headers["retry-after"] = "60"
        if refusal.reason == "token":
            headers["www-authenticate"] = "Bearer"
        return _json({"error": refusal.reason}, status=refusal.status, headers=headers)


async def _unhandled(request: Request, error: Exception) -> Response:
    """An error that nobody foresaw becomes a bare 500. Starlette raises it again when that is sent."""
    del request, error
    return _json({"error": "unhandled"}, status=500)


class _NoSurprises:
    """The end of an error that nobody foresaw: a log line with its kind, as its text may hold anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - see the docstring
            structlog.get_logger().error("unhandled", error=type(error).__name__)


def _email_in(body: bytes) -> str:
    try:
        email = msgspec.json.decode(body, type=_Wanted).email.strip()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Refusal("malformed") from None
    if not email or len(email) > MAX_EMAIL:
        raise Refusal("malformed")
    return email


MAX_EMAIL = 320
"""Characters of an e-mail: 64, an @ and 255 (RFC 5321)."""


class _Wanted(msgspec.Struct, frozen=True):
    email: str


def _json(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json", headers=headers)
