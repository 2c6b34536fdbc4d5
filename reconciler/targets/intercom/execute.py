"""Carrying out one action: compare, write, verify; and where an answer is lost, read back before anything is sent
again.

Intercom has neither idempotency keys nor conditional writes. So nothing here claims exactly-once: a write whose
answer is lost is looked up by id, counted where it took, sent once more where the contact is as before, and called
unknown in every other case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.core.model import Scalar
from reconciler.errors import (
    Conflict,
    Merged,
    NotFound,
    NotRestorable,
    PlanRefused,
    Refused,
    ScopeMissing,
    TargetError,
    Unauthorized,
    Unreachable,
)
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.steps import Archive, Create, Merge, Put, Sight, Step, Unarchive, needless, unlike
from reconciler.targets.intercom.wire import WireContact

ALWAYS_REREAD = ("archive", "merge", "promote")
"""What is hard or impossible to take back is compared with `expect` right before, whatever the caller asks for."""


@dataclass(slots=True)
class _Account:
    """What happened so far to one action."""

    action: Action
    contact: str | None
    calls: list[str] = field(default_factory=list)
    sent: dict[str, Scalar] = field(default_factory=dict)
    read_back: dict[str, Scalar] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    steps_done: int = 0

    def close(
        self, verdict: Verdict, says: str = "", *, error: TargetError | None = None, code: str | None = None
    ) -> Outcome:
        """The outcome, as of now."""
        refused = error if isinstance(error, Refused) else None
        return Outcome(
            action=self.action.id,
            do=self.action.do,
            outcome=verdict,
            contact=self.contact,
            member=self.action.member,
            says=" ".join([*self.notes, says]).strip(),
            calls=tuple(self.calls),
            sent=dict(self.sent),
            read_back=dict(self.read_back),
            code=code or (refused.code if refused else None),
            request_id=refused.request_id if refused else None,
        )


async def execute(client: IntercomClient, action: Action, *, reread: bool) -> Outcome:
    """What became of `action`.

    With `reread`, and always for archive, merge and promote, the contact is read first. A field of `expect` that has
    neither the expected value nor the one to be set makes the action stale; a contact that is as wanted already is
    done, without a write.

    Raises Unauthorized or ScopeMissing, with a note that lists the calls made, where no further write can succeed;
    PlanRefused for `delete`, which is no action on contacts.
    """
    account = _Account(action=action, contact=action.contact)
    heard = client.heard_by(account.calls.append)
    try:
        return await _carry_out(heard, account, reread=reread or action.do in ALWAYS_REREAD)
    except (Unauthorized, ScopeMissing) as error:
        error.add_note(f"Action {action.id}, calls so far: {', '.join(account.calls)}")
        raise
    except TargetError as error:
        return _refused(account, error)


async def _carry_out(client: IntercomClient, account: _Account, *, reread: bool) -> Outcome:
    action = account.action
    steps = steps_of(action, before=action.expect)
    if reread:
        found = await _read_first(client, account)
        if isinstance(found, Outcome):
            return found
        if found is not None:
            before = {name: found.get(name) for name in action.expect | action.set}
            steps = [step for step in steps_of(action, before=before) if not needless(step, found)]
    for step in steps:
        ended = await _take(client, account, step)
        if ended is not None:
            return ended
    return account.close("done", "" if account.steps_done else "It is as wanted already; nothing was sent.")


def steps_of(action: Action, *, before: dict[str, Scalar]) -> Sequence[Step]:
    """The writes of an action, in order: identifiers are given up before the contact that held them goes (design §4.5).

    before: what its fields hold before the first of them.
    """
    contact, wanted = action.contact or "", action.set
    put = [Put(contact, wanted, before)] if wanted else []
    match action.do:
        case "create":
            return [Create(wanted)]
        case "update" | "promote":
            return put
        case "archive":
            return [*put, Archive(contact, before | wanted)]
        case "merge":
            return [*put, Merge(contact, action.into or "", before | wanted)]
        case "unarchive":
            return [Unarchive(contact), *put]
        case "delete":
            raise PlanRefused(
                f"Action {action.id} wants to delete contact {contact}; contacts are archived, never deleted.",
                next_step="Apply this plan to the target it was made for.",
            )
        case _:
            assert_never(action.do)


async def _read_first(client: IntercomClient, account: _Account) -> WireContact | Outcome | None:
    """The contact as it is now; None where there is none and none is needed; an Outcome where that ends the action."""
    action = account.action
    try:
        found = await _find(client, action)
    except NotFound as error:
        if action.do in ("create", "unarchive"):
            return None
        return account.close("stale", f"Contact {action.contact} is not there, or archived.", error=error)
    except Merged as error:
        if action.do == "merge" and error.into == action.into:
            return account.close("done", f"It was merged into {error.into} already; nothing was sent.")
        return account.close("stale", f"Contact {action.contact} was merged into {error.into}.", error=error)
    return found if found is None else _unless_stale(account, found)


async def _find(client: IntercomClient, action: Action) -> WireContact | None:
    """By id; what is to be created can only be there already under its external id."""
    if action.contact is not None:
        return await client.get(action.contact)
    external_id = action.set.get("external_id")
    return None if external_id is None else await client.find_by_external_id(str(external_id))


def _unless_stale(account: _Account, found: WireContact) -> WireContact | Outcome:
    """The contact, or a `stale` that names the fields with neither the expected value nor the one to be set."""
    action = account.action
    account.contact = found.id
    unset = unlike(found, action.set)
    if action.do == "create":
        changed, says = unset, f"Contact {found.id} has its external_id already, and differs in"
    else:
        unexpected = unlike(found, action.expect)
        changed = tuple(name for name in unexpected if name not in action.set or name in unset)
        says = f"Contact {found.id} changed since the plan was made:"
    if not changed:
        return found
    account.read_back = {name: found.get(name) for name in changed}
    return account.close("stale", f"{says} {', '.join(changed)}.")


async def _take(client: IntercomClient, account: _Account, step: Step) -> Outcome | None:
    """One write, sent twice at most; None where the contact is then as the step wants it."""
    for again in (False, True):
        sent_before = dict(account.sent)
        account.sent |= step.sends
        try:
            sight = await step.send(client)
        except TargetError as error:
            if not _may_have_happened(error, again=again):
                account.sent = sent_before if isinstance(error, Unreachable) else account.sent
                raise
            sight = await _look(client, step)
            if sight.state == "before" and not again:
                account.notes.append("An answer was lost; sent again, as a read-back showed no change.")
                continue
            if sight.state != "wanted":
                return account.close("unknown", f"{error.what} Read back: {sight.says}.", error=error)
            account.notes.append("An answer was lost; recovered by read-back.")
        break
    account.contact = account.contact or sight.contact
    account.read_back |= sight.read_back
    if sight.state != "wanted":
        return account.close("failed", f"Intercom accepted the write, but {sight.says}.", code="not_persisted")
    account.steps_done += 1
    return None


def _may_have_happened(error: TargetError, *, again: bool) -> bool:
    """Whether a write may have taken although this came back: the answer was lost, or a repetition finds it done."""
    lost = isinstance(error, Unreachable) and error.sent
    return lost or (again and isinstance(error, NotFound | Merged))


async def _look(client: IntercomClient, step: Step) -> Sight:
    """The read-back; whatever fails in it leaves the outcome unknown, the token's end included."""
    try:
        return await step.look(client)
    except TargetError as error:
        return Sight("other", says=f"failed too ({error.what.rstrip('.')})")


def _refused(account: _Account, error: TargetError) -> Outcome:
    """The outcome for an error after which it is certain that this call changed nothing."""
    if account.steps_done:
        account.notes.append("Part of it was done before this.")
    match error:
        case Conflict():
            return account.close("failed", _holder(error), error=error, code="conflict")
        case NotRestorable():
            return account.close("failed", f"The person was blocked. {error.next_step}", error=error)
        case NotFound() | Merged() if not account.steps_done:
            return account.close("stale", f"Contact {account.contact} is not there, archived or merged.", error=error)
        case Refused():
            return account.close("failed", error.what, error=error)
        case _:
            return account.close("failed", error.what, error=error, code="unreachable")


def _holder(error: Conflict) -> str:
    if error.contact_id is None:
        return "Another contact, which Intercom does not name, holds these identifiers."
    return f"Contact {error.contact_id}, {'archived' if error.archived else 'live'}, holds these identifiers."
