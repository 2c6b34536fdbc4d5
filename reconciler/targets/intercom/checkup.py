"""What a token may do and how a workspace stands, asked with calls that change nothing.

No call tells which permissions a token has (GET /me does not), so one call of each kind is made about a contact that
cannot be there. Intercom checks the permission first and answers 403 where it is missing; 404 and an empty list say
that it is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import httpx

from reconciler.core.model import Workspace
from reconciler.errors import Refused, ScopeMissing, Unauthorized
from reconciler.targets.intercom.attributes import AttributeProblem, check_attributes, create_missing
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.pace import ServerClock, read_date
from reconciler.targets.intercom.retry import Patience
from reconciler.targets.intercom.transport import open_transport

IMPATIENT = Patience(connect=3.0, read=4.0, attempt=5.0, call=6.0, attempts=2)
"""Somebody waits for the answer, and asks again by hand."""

NOBODY = "0" * 24
"""The id of no contact: ids are MongoDB object ids (the description's examples), which begin with the time of their
making, and this one's is 1970.
"""

_CONNECTIONS = 4


Job = Literal["night", "service"]
"""Who makes a call: the runs of the night, or the web service."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A call that shows whether the token may make others of its kind. to: what, as in `may … contacts`."""

    to: str
    of: Job
    ask: Callable[[IntercomClient], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether the token may make one kind of call. missing: what Intercom said where it may not."""

    to: str
    of: Job
    missing: ScopeMissing | None = None


class Checkup:
    """Asks about one workspace. An async context manager; every method raises TargetError.

    token, base_url: as for IntercomClient. transport: None opens the real one. clock: unix seconds.
    """

    def __init__(
        self,
        *,
        token: str,
        base_url: str,
        patience: Patience = IMPATIENT,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dates = _Dates(transport or open_transport(max_connections=_CONNECTIONS), clock)
        self._open = partial(
            IntercomClient, token=token, base_url=base_url, transport=self._dates, patience=patience, clock=clock
        )
        self._client = self._open()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def workspace(self) -> Workspace:
        """Whose workspace the token opens."""
        return (await self._client.me()).workspace()

    def seconds_ahead(self) -> float | None:
        """How far Intercom's clock is ahead of ours, by the Date headers so far; None where there was none."""
        return self._dates.server.offset if self._dates.seen else None

    async def permissions(self, *jobs: Job) -> tuple[Permission, ...]:
        """What the token may do, for each kind of call that these make."""
        return tuple(await asyncio.gather(*(self._permission(probe) for probe in PROBES if probe.of in jobs)))

    async def _permission(self, probe: Probe) -> Permission:
        """By a client of its own: after a 403 none sends a write any more. It has our transport, so we close it."""
        try:
            await probe.ask(self._open())
        except ScopeMissing as error:
            return Permission(probe.to, probe.of, error)
        except Unauthorized:
            raise
        except Refused:  # Intercom has looked past the permission
            return Permission(probe.to, probe.of)
        return Permission(probe.to, probe.of)

    async def live_contacts(self) -> int:
        """How many contacts the workspace has, as ListContacts counts them."""
        return (await self._client.list_contacts()).total_count

    async def attributes(self, owned: Iterable[str]) -> tuple[AttributeProblem, ...]:
        """What is wrong with our attributes (names without `custom_attributes.`), by name."""
        return await check_attributes(self._client, owned)

    async def create_attributes(self, owned: Iterable[str]) -> tuple[str, ...]:
        """Create those that are missing, as text; their names. The one method that changes something."""
        return await create_missing(self._client, await self.attributes(owned))


def _about(field: str) -> dict[str, Any]:
    return {"field": field, "operator": "=", "value": NOBODY}


PROBES: tuple[Probe, ...] = (
    Probe("write contacts", "night", lambda client: client.update(NOBODY, {})),
    Probe("list contacts", "night", lambda client: client.list_contacts()),
    Probe("search contacts", "night", lambda client: client.search_contacts(_about("id"))),
    Probe("search conversations", "night", lambda client: client.search_conversations(_about("contact_ids"))),
    Probe("read attributes", "night", lambda client: client.data_attributes()),
    Probe("read conversations", "service", lambda client: client.conversation(NOBODY)),
    Probe("write notes", "service", lambda client: client.note(NOBODY, "-", admin=NOBODY)),
    Probe("remove tags", "service", lambda client: client.untag_conversation(NOBODY, NOBODY, admin=NOBODY)),
)
"""What is asked, and how. Each is about nobody and nothing, so that none can change anything."""


class _Dates(httpx.AsyncBaseTransport):
    """Another transport, whose answers' Date headers are noted."""

    def __init__(self, transport: httpx.AsyncBaseTransport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock
        self.server = ServerClock()
        self.seen = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        date = read_date({"date": response.headers.get("date", "")})
        if date is not None:
            self.server.observe(date=date, now=self._clock())
            self.seen = True
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()
