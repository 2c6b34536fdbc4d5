"""Updates in bulk through the Preview API: 100 contacts a call, done later by a job that tells no item's fate.

So a job's word is never taken for anything. Once it has ended, the contacts are read again by list, 150 a page, and
what does not show up as wanted goes through `execute` alone, where a read by id decides. Every write made twice on
that way writes the same values twice.

It is worth it only for many contacts: the list has to be read to its end, so below about as many updates as the list
has pages, single calls (whose answers show the contact) are fewer. Then, and wherever the Preview refuses, single
calls are made; nothing but the number of calls depends on the Preview being there. It was merged, reverted and merged
again within July 2026 (pull requests 577, 578 and 596 of the description's repository).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import ATTRIBUTE_PREFIX, silent
from reconciler.errors import Refused, ScopeMissing, TargetError, Unauthorized, Unreachable
from reconciler.targets.intercom import wire
from reconciler.targets.intercom.account import Account
from reconciler.targets.intercom.client import MAX_IN_FLIGHT, IntercomClient
from reconciler.targets.intercom.snapshot import read_once
from reconciler.targets.intercom.steps import unlike

MOST = 100
"""Contacts of one call (BulkUpdateContacts)."""

LOADS_AT_ONCE = 2
"""Calls in bulk that are under way side by side: each writes to 100 contacts, and a pause must not come after them all.
"""

POLLS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds to wait before each look at the last job. After the last look the contacts are read, ended or not."""

PLAIN = ("name", "phone")
"""Besides custom attributes, what goes in bulk: no identifiers and no role, and nothing that is to be cleared, as
bulk_update_contacts_request declares no field nullable.
"""


class Single(Protocol):
    """Carries out one action by itself."""

    async def __call__(self, action: Action, *, reread: bool) -> Outcome:
        """As `execute.execute`."""
        ...


@dataclass(slots=True)
class _Load:
    """The actions of one call, and what came of it. sent: whether Intercom may have them."""

    actions: Sequence[Action]
    calls: list[str] = field(default_factory=list)
    job: wire.BulkJob | None = None
    sent: bool = False


async def execute_bulk(
    client: IntercomClient,
    actions: Sequence[Action],
    *,
    reread: bool,
    single: Single,
    sleep: Callable[[float], Awaitable[None]],
    contacts: int | None,
    stop: Callable[[], str | None],
    note: Callable[[Outcome], None],
) -> tuple[Outcome, ...]:
    """One outcome for each action, in order. No action may wait for another of them.

    With `reread` all contacts are read before, too, and only those go in bulk that are as expected. single: for all
    other actions, and for what the job did not take. sleep: seconds. contacts: how many the workspace has; None: one
    call asks. stop: asked before each call that writes, why no more may be sent; None to go on. note: told of each
    outcome once it is known.

    Raises Unauthorized or ScopeMissing only while nothing is sent yet. Later they are outcomes, so that what was sent
    stays on record; whatever is executed next raises them.
    """
    bulk = _Bulk(client, single, sleep, stop, note)
    chosen = await bulk.worth_it(actions, reread=reread, contacts=contacts)
    loads = [_Load(chosen[start : start + MOST]) for start in range(0, len(chosen), MOST)]
    await bulk.send(loads)
    await bulk.wait_for(loads)
    await bulk.verify(loads)
    load_of = {action.id: load for load in loads for action in load.actions}
    rest = [action for action in actions if action.id not in bulk.outcomes]
    ended = await asyncio.gather(*(bulk.alone(action, load_of.get(action.id), reread=reread) for action in rest))
    outcomes = bulk.outcomes | {outcome.action: outcome for outcome in ended}
    return tuple(outcomes[action.id] for action in actions)


def is_plain(action: Action) -> bool:
    """Whether an action may go in bulk."""
    plain = all(path in PLAIN or path.startswith(ATTRIBUTE_PREFIX) for path in action.set)
    return action.do == "update" and plain and bool(action.set) and None not in action.set.values()


def costs_less(updates: int, contacts: int, *, reread: bool) -> bool:
    """Whether bulk takes fewer calls than so many single updates, in a workspace of so many contacts."""
    times = 2 if reread else 1
    pages = max(1, math.ceil(contacts / wire.PER_PAGE))
    return 1 + math.ceil(updates / MOST) + len(POLLS) + pages * times < updates * times


class _Bulk:
    """One round of updates in bulk. outcomes: of what is verified, by action id."""

    def __init__(
        self,
        client: IntercomClient,
        single: Single,
        sleep: Callable[[float], Awaitable[None]],
        stop: Callable[[], str | None],
        note: Callable[[Outcome], None],
    ) -> None:
        self._client = client
        self._single = single
        self._sleep = sleep
        self._stop = stop
        self._note = note
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE)
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)  # else all would ask `stop` before the first is sent
        self.outcomes: dict[str, Outcome] = {}

    async def worth_it(self, actions: Sequence[Action], *, reread: bool, contacts: int | None) -> Sequence[Action]:
        """The actions that go in bulk, each of another contact: none where single calls cost less."""
        plain = tuple({action.contact: action for action in actions if is_plain(action) and _sendable(action)}.values())
        if not costs_less(len(plain), len(plain), reread=reread):
            return ()
        try:
            if contacts is None:
                contacts = (await self._client.list_contacts()).total_count
            if not costs_less(len(plain), contacts, reread=reread):
                return ()
            found = await self._contacts() if reread else None
        except (Unauthorized, ScopeMissing):
            raise
        except TargetError:
            return ()
        if found is None:
            return plain
        return tuple(action for action in plain if _is_as_expected(action, found.get(action.contact or "")))

    async def send(self, loads: Sequence[_Load]) -> None:
        """The first load by itself: where the Preview is not to be had, one refusal tells. Then the others."""
        for load in loads[:1]:
            await self._send(load)
        if loads and loads[0].sent:
            await asyncio.gather(*(self._send_on(load) for load in loads[1:]))

    async def _send(self, load: _Load) -> None:
        """Raises Unauthorized; every other refusal leaves the load to single calls."""
        if self._stop() is not None:
            return
        contacts = {action.contact or "": action.set for action in load.actions}
        try:
            load.job = await self._client.heard_by(load.calls.append).bulk_update(contacts)
            load.sent = True
        except Unauthorized:
            raise
        except Unreachable as error:
            load.sent = error.sent
        except TargetError:
            load.sent = False

    async def _send_on(self, load: _Load) -> None:
        async with self._loads:
            await self._send_or_leave(load)

    async def _send_or_leave(self, load: _Load) -> None:
        with suppress(Unauthorized):  # the single calls, which are not made either, say so in their outcomes
            await self._send(load)

    async def wait_for(self, loads: Sequence[_Load]) -> None:
        """Until the last job has ended, or for as long as POLLS says. What the others did, the list shows."""
        last = next((load for load in reversed(loads) if load.job is not None), None)
        if last is None or last.job is None:
            return
        heard = self._client.heard_by(last.calls.append)
        for seconds in POLLS:
            if last.job.ended:
                return
            await self._sleep(seconds)
            with suppress(TargetError):  # the contacts themselves tell more than the job does
                last.job = await heard.bulk_job(last.job.id)

    async def verify(self, loads: Sequence[_Load]) -> None:
        """Outcomes for the contacts that the list shows as wanted. Where it cannot be read, each is read by itself."""
        sent = [load for load in loads if load.sent]
        with suppress(TargetError):
            found = await self._contacts() if sent else {}
            for load in sent:
                for action in load.actions:
                    contact = found.get(action.contact or "")
                    if contact is not None and not unlike(contact, action.set):
                        outcome = _done(action, contact, (*load.calls, "GET /contacts 200"))
                        self.outcomes[action.id] = outcome
                        self._note(outcome)

    async def _contacts(self) -> dict[str, wire.WireContact]:
        """As listed in one pass. Who is missing in it, as the list moved meanwhile, is read alone."""
        return (await read_once(self._client.list_contacts, what="contacts", progress=silent)).items

    async def alone(self, action: Action, load: _Load | None, *, reread: bool) -> Outcome:
        """One action by itself; load: the one that it was in before."""
        sent = load is not None and load.sent
        async with self._slots:
            reason = self._stop()
            if reason is None:
                outcome = await self._alone(action, reread=reread or sent)
                outcome = outcome if load is None else _after(load, action, outcome)
            else:
                outcome = _stopped(load, action, reason)
        self._note(outcome)
        return outcome

    async def _alone(self, action: Action, *, reread: bool) -> Outcome:
        try:
            return await self._single(action, reread=reread)
        except (Unauthorized, ScopeMissing) as error:
            return _refused(action, error)


def _sendable(action: Action) -> bool:
    """One value that cannot be sent would keep 99 others from it."""
    try:
        wire.to_body(action.set)
    except wire.Unsendable:
        return False
    return True


def _is_as_expected(action: Action, found: wire.WireContact | None) -> bool:
    """Whether a contact is as the plan saw it, with something left to do."""
    return found is not None and not unlike(found, action.expect) and bool(unlike(found, action.set))


def _done(action: Action, found: wire.WireContact, calls: tuple[str, ...]) -> Outcome:
    return Outcome(
        action=action.id,
        do=action.do,
        outcome="done",
        contact=action.contact,
        member=action.member,
        says="Updated in bulk, and read back.",
        calls=calls,
        sent=dict(action.set),
        read_back={name: found.get(name) for name in action.set},
    )


def _refused(action: Action, error: Refused) -> Outcome:
    account = Account(action=action, contact=action.contact)
    return account.close("failed", error.what, error=error, code=BLIND[type(error)])


BLIND = {Unauthorized: "unauthorized", ScopeMissing: "forbidden"}
"""The codes of outcomes that say nothing about the contact, besides `unreachable`."""


def _stopped(load: _Load | None, action: Action, reason: str) -> Outcome:
    """Nothing more may be sent: what went already was not read back."""
    account = Account(action=action, contact=action.contact)
    if load is None or not load.sent:
        return account.close("held", reason)
    account.calls, account.sent = load.calls, dict(action.set)
    return account.close("unknown", f"It went in bulk, and was not looked at since: {reason}")


def _after(load: _Load, action: Action, outcome: Outcome) -> Outcome:
    """What became of an action that was in a load before. Where it could not be read back, nobody knows."""
    if load.sent:
        before = "It went in bulk, and was then looked at alone"
    elif load.calls:
        before = "Intercom did not take it in bulk"
    else:
        return outcome
    unseen = outcome.outcome == "failed" and outcome.code in ("unreachable", *BLIND.values())
    blind = load.sent and (unseen or outcome.outcome == "held")
    return msgspec.structs.replace(
        outcome,
        outcome="unknown" if blind else outcome.outcome,
        says=f"{before}. {outcome.says}".strip(),
        calls=(*load.calls, *outcome.calls),
        sent=outcome.sent or (dict(action.set) if load.sent else {}),
    )
