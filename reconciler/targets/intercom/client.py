"""Intercom's contacts API: one method for each operation we use.

How a call is made stands in `caller`. Operation names (ListContacts …) are the operationIds of Intercom's published
OpenAPI description, version 2.16.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Mapping
from random import random as _random
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from reconciler.core.model import Scalar
from reconciler.targets.intercom import wire
from reconciler.targets.intercom.answers import segment
from reconciler.targets.intercom.caller import Ask, Caller, Listener
from reconciler.targets.intercom.clock import never_back
from reconciler.targets.intercom.halt import Halt, Lately, Stop
from reconciler.targets.intercom.pace import Gate, Pacer
from reconciler.targets.intercom.retry import Patience
from reconciler.targets.intercom.transport import open_transport

T = TypeVar("T")

MAX_IN_FLIGHT = 256
"""Connections at most. 1,667 calls per 10 s at a latency of one second need 167 in flight."""


class IntercomClient:
    """Intercom's contacts API, over one pool of connections. An async context manager.

    token, base_url: whose workspace, and where; the token is sent there alone, and redirects are not followed.
    transport: None opens the real one. clock: unix seconds. sleep: seconds. random: [0, 1).
    rate_limit: most calls per 10 s, under what Intercom's headers allow; None for no ceiling of ours.
    reserve: share of each window, from 0 to less than 1, that is left to other apps.
    own: share that others are known to leave to us.
    max_in_flight: most calls in flight. How many there are is chosen from the latency and the limit; callers may start
    as many side by side as they like.

    Every method raises TargetError: Unreachable where no usable answer came (after a write the outcome is then
    unknown, unless `sent` is False), or the Refused that Intercom gave. Reads are retried; a write is retried only
    where it was certainly not done: it was never sent, or answered with 429. While Intercom is down altogether nothing
    is sent; calls wait for it as long as `patience.call`, then fail at once. After a 401 no call is sent any more, and
    after a 403 no write.
    """

    def __init__(
        self,
        *,
        token: str,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = _random,
        rate_limit: int | None = None,
        reserve: float = 0.0,
        own: float = 0.0,
        max_in_flight: int = MAX_IN_FLIGHT,
        patience: Patience | None = None,
    ) -> None:
        clock = never_back(clock)
        gate = Gate(ceiling=rate_limit, reserve=reserve, own=own, most_in_flight=max_in_flight)
        self._caller = Caller(
            token=token,
            base_url=base_url,
            transport=transport or open_transport(max_connections=max_in_flight),
            pacer=Pacer(clock=clock, sleep=sleep, random=random, gate=gate),
            clock=clock,
            sleep=sleep,
            random=random,
            patience=patience or Patience(),
        )
        self.heard: Listener = _nobody_listens
        self.halt: Halt | None = None
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._caller.aclose()

    def heard_by(self, listener: Callable[[str], None]) -> Self:
        """The same client, over the same connections, that also tells `listener` each call and its answer.

        As in `PUT /contacts/5ba6 200`, or `… no answer`; retries are told too. The text holds ids, no other data.
        """
        twin = copy.copy(self)
        twin.heard = listener
        return twin

    def halted_by(self, stop: Stop) -> Self:
        """The same client, over the same connections, for one action: until it has written something its calls raise
        Halted once `stop` says why.
        """
        twin = copy.copy(self)
        twin.halt = Halt(stop)
        return twin

    def lately(self, stop: Stop) -> Stop:
        """A stop that many actions may ask as often as they like; see `halt.Lately`."""
        return Lately(stop, self._clock)

    # --- reads ------------------------------------------------------------------------------------------------------

    async def me(self) -> wire.Me:
        """identifyAdmin: whose token this is, and of which workspace. It does not tell the token's permissions."""
        return await self._call("GET", "/me", wire.ME)

    async def list_contacts(self, cursor: str | None = None) -> wire.ContactPage:
        """ListContacts: one page of all live contacts; `cursor` is the last page's, None for the first.

        The description declares no parameters here; `per_page` up to 150 and `starting_after` work (pull request 639
        of its repository).
        """
        after = f"&starting_after={quote(cursor, safe='')}" if cursor is not None else ""
        return await self._call("GET", "/contacts", wire.CONTACT_PAGE, query=f"?per_page={wire.PER_PAGE}{after}")

    async def search_contacts(self, query: Mapping[str, Any], cursor: str | None = None) -> wire.ContactPage:
        """SearchContacts: one page of the matches. The index lags by minutes, so nothing may be verified by it.

        The cursor goes into the body: in the URL it would silently give the first page again.
        """
        body = _search_body(query, cursor)
        return await self._call("POST", "/contacts/search", wire.CONTACT_PAGE, body=body, write=False)

    async def get(self, contact_id: str) -> wire.WireContact:
        """ShowContact. Raises NotFound for an archived contact too, and Merged with the survivor's id."""
        return await self._call("GET", f"/contacts/{segment(contact_id)}", wire.CONTACT)

    async def find_by_external_id(self, external_id: str) -> wire.WireContact:
        """ShowContactByExternalId: users only, no leads. Unlike search it carries no note about lag."""
        path = f"/contacts/find_by_external_id/{segment(external_id)}"
        return await self._call("GET", path, wire.CONTACT, shown="/contacts/find_by_external_id/{external_id}")

    async def data_attributes(self) -> tuple[wire.DataAttribute, ...]:
        """lisDataAttributes: the attributes of contacts, with the archived ones."""
        query = "?model=contact&include_archived=true"
        return (await self._call("GET", "/data_attributes", wire.DATA_ATTRIBUTES, query=query)).data

    async def search_conversations(self, query: Mapping[str, Any], cursor: str | None = None) -> wire.ConversationPage:
        """searchConversations: one page of the matches."""
        body = _search_body(query, cursor)
        return await self._call("POST", "/conversations/search", wire.CONVERSATION_PAGE, body=body, write=False)

    async def conversation(self, conversation_id: str) -> wire.OneConversation:
        """The operation retrieveConversation."""
        return await self._call("GET", f"/conversations/{segment(conversation_id)}", wire.ONE_CONVERSATION)

    # --- writes -----------------------------------------------------------------------------------------------------

    async def create(self, fields: Mapping[str, Scalar]) -> wire.WireContact:
        """CreateContact: strict, never an update. Raises Conflict where another contact holds the identifiers."""
        return await self._write("POST", "/contacts", wire.CONTACT, wire.to_body(fields))

    async def update(self, contact_id: str, fields: Mapping[str, Scalar]) -> wire.WireContact:
        """UpdateContact: what is not among `fields` stays."""
        return await self._write("PUT", f"/contacts/{segment(contact_id)}", wire.CONTACT, wire.to_body(fields))

    async def merge(self, *, lead: str, into: str) -> wire.WireContact:
        """MergeContact: the lead disappears for ever; returns the user. Never with `skip_duplicate_validation`."""
        return await self._write("POST", "/contacts/merge", wire.CONTACT, {"from": lead, "into": into})

    async def archive(self, contact_id: str) -> wire.Flagged:
        """ArchiveContact: from then on the contact cannot be read or searched."""
        return await self._write("POST", f"/contacts/{segment(contact_id)}/archive", wire.FLAGGED)

    async def unarchive(self, contact_id: str) -> wire.Flagged:
        """UnarchiveContact. Refused for merged contacts, and for those waiting to be deleted for good."""
        return await self._write("POST", f"/contacts/{segment(contact_id)}/unarchive", wire.FLAGGED)

    async def unblock(self, contact_id: str) -> wire.Flagged:
        """In no description, 2.7 to 2.16 or Preview: a NotFound says that, and nothing of the contact."""
        return await self._write("POST", f"/contacts/{segment(contact_id)}/unblock", wire.FLAGGED)

    async def block(self, contact_id: str) -> wire.Flagged:
        """BlockContact: also archives the conversations. For sure only Intercom's own pages can undo it."""
        return await self._write("POST", f"/contacts/{segment(contact_id)}/block", wire.FLAGGED)

    async def delete(self, contact_id: str) -> wire.Flagged:
        """DeleteContact: for ever."""
        return await self._write("DELETE", f"/contacts/{segment(contact_id)}", wire.FLAGGED)

    async def create_data_attribute(self, name: str, *, data_type: str = "string") -> wire.DataAttribute:
        """createDataAttribute, for contacts. The name is shared with company attributes, and neither it nor the type
        can change.
        """
        body = {"name": name, "model": "contact", "data_type": data_type}
        return await self._write("POST", "/data_attributes", wire.DATA_ATTRIBUTE, body)

    async def untag_conversation(self, conversation_id: str, tag_id: str, *, admin: str) -> wire.Tag:
        """detachTagFromConversation: a DELETE whose body names the admin. Raises NotFound where it has no such tag."""
        path = f"/conversations/{segment(conversation_id)}/tags/{segment(tag_id)}"
        return await self._write("DELETE", path, wire.TAG, {"admin_id": admin})

    async def note(self, conversation_id: str, text: str, *, admin: str) -> wire.OneConversation:
        """The operation replyConversation with a note, which only admins see. text: HTML, as far as notes take it."""
        body = {"type": "admin", "message_type": "note", "admin_id": admin, "body": text}
        path = f"/conversations/{segment(conversation_id)}/reply"
        return await self._write("POST", path, wire.ONE_CONVERSATION, body)

    # --- Preview ----------------------------------------------------------------------------------------------------

    async def bulk_update(self, contacts: Mapping[str, Mapping[str, Scalar]]) -> wire.BulkJob:
        """BulkUpdateContacts, of the Preview: accepted, not done. contacts: fields by contact id, 100 at most."""
        items = [{"id": contact_id, **wire.to_body(fields)} for contact_id, fields in contacts.items()]
        body = {"contacts": items}
        return await self._call("PUT", "/contacts/bulk", wire.BULK_JOB, body=body, write=True, version=wire.PREVIEW)

    async def bulk_job(self, job_id: str) -> wire.BulkJob:
        """ShowBulkUpdateContactsJob, of the Preview."""
        path = f"/contacts/bulk/{segment(job_id)}"
        return await self._call("GET", path, wire.BULK_JOB, version=wire.PREVIEW)

    # --- how a call is made -----------------------------------------------------------------------------------------

    async def _write(
        self, method: str, path: str, decoder: msgspec.json.Decoder[T], body: Mapping[str, Any] | None = None
    ) -> T:
        return await self._call(method, path, decoder, body=body, write=True)

    async def _call(
        self,
        method: str,
        path: str,
        decoder: msgspec.json.Decoder[T],
        *,
        query: str = "",
        body: Mapping[str, Any] | None = None,
        write: bool = False,
        shown: str | None = None,
        version: str = wire.VERSION,
    ) -> T:
        """One operation. shown: the path for people, where the real one may hold more than ids."""
        return await self._caller.call(
            Ask(method, path, query, body, write, shown, version), decoder, self.heard, self.halt
        )


def _search_body(query: Mapping[str, Any], cursor: str | None) -> dict[str, Any]:
    pagination: dict[str, Any] = {"per_page": wire.PER_PAGE}
    if cursor is not None:
        pagination["starting_after"] = cursor
    return {"query": query, "pagination": pagination}


def _nobody_listens(_: str) -> None:
    pass
