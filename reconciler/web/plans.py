"""The stored plans, for reading in a browser: each opened by a link that is signed and expires (core/signed_link.py).

A page is made from the record when it is asked for, so that it never shows anything but what the chain proves: the one
that may stand beside the plan (runs/pages.py) proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.core import signed_link
from reconciler.core.plan import Plan
from reconciler.errors import PlanError, ReconcilerError
from reconciler.settings import Secret

SECONDS = 20.0
"""How long making a page may take: one of 20,000 actions takes about two."""

AT_ONCE = 2
"""Pages made side by side; whoever comes next waits for one of them."""

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}
"""What a page holds is for one reader; its own policy (report/html.py) forbids the rest."""


class Plans(Protocol):
    """Where plans are stored."""

    def get_plan(self, ref: str) -> Plan:
        """Raises PlanError where there is none."""
        ...

    def list_ids(self) -> list[str]:
        """The ids of all stored plans."""
        ...


class PlanPages:
    """token: of the service's own endpoints; None lets nobody in. now: unix seconds."""

    def __init__(self, plans: Plans, *, token: Secret | None, now: Callable[[], float]) -> None:
        self._plans = plans
        self._token = token
        self._now = now
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.routes = (Route("/plans/{plan_id}", self.page, methods=["GET"]),)

    async def page(self, request: Request) -> Response:
        """One plan. A link that is not good says no more than that, whether there is such a plan or not."""
        plan_id = request.path_params["plan_id"]
        if not self._is_good(request, signed_link.path_of(plan_id)):
            return _text("This link is not good, or has expired. Ask for another: reconcile link PLAN.", status=403)
        try:
            async with self._slots, asyncio.timeout(SECONDS):
                html = await asyncio.to_thread(self._html, plan_id)
        except (ReconcilerError, TimeoutError) as error:
            structlog.get_logger().error("plan page", plan=plan_id, error=type(error).__name__)
            return _text("This plan cannot be shown now.", status=404 if isinstance(error, PlanError) else 503)
        return Response(html, media_type="text/html; charset=utf-8", headers=HEADERS)

    def _is_good(self, request: Request, path: str) -> bool:
        given = [request.query_params.getlist(name) for name in ("expires", "signature")]
        if self._token is None or any(len(values) != 1 for values in given):
            return False
        (expires,), (signature,) = given
        return signed_link.is_good(
            path, token=self._token.reveal(), expires=expires, signature=signature, now=self._now()
        )

    def _html(self, plan_id: str) -> str:
        from reconciler.report.html import plan_html  # noqa: PLC0415 - jinja2 is slow to import, and seldom needed

        if plan_id not in self._plans.list_ids():  # never the path of a file
            raise PlanError(f"there is no plan {plan_id} here", next_step="Name one that `reconcile history` shows.")
        return plan_html(self._plans.get_plan(plan_id))


def _text(text: str, *, status: int) -> Response:
    return Response(text + "\n", status_code=status, media_type="text/plain; charset=utf-8", headers=HEADERS)
