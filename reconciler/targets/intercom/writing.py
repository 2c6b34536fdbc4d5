"""One write, verified; and where its answer is lost, read back before it is sent again.

Intercom has neither idempotency keys nor conditional writes. So nothing here claims exactly-once: a write whose
answer is lost is looked up by id, counted where it took, sent once more where the contact is as before, and called
unknown in every other case.
"""

from __future__ import annotations

from reconciler.core.actions import Outcome
from reconciler.errors import (
    Conflict,
    Halted,
    Merged,
    NotFound,
    NotRestorable,
    Refused,
    ScopeMissing,
    TargetError,
    Unauthorized,
    Unreachable,
)
from reconciler.targets.intercom.account import Account
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.steps import Sight, Step
from reconciler.targets.intercom.wire import Unsendable


async def take(client: IntercomClient, account: Account, step: Step) -> Outcome | None:
    """One write, sent twice at most; None where the contact is then as the step wants it.

    Raises the TargetError of a write that certainly changed nothing.
    """
    for again in (False, True):
        sent_before = dict(account.sent)
        account.sent |= step.sends
        try:
            sight = await step.send(client)
        except TargetError as error:
            if not _may_have_happened(error, again=again):
                account.sent = sent_before if isinstance(error, Unreachable | Unsendable | Halted) else account.sent
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


def refused(account: Account, error: TargetError) -> Outcome:
    """The outcome for an error after which it is certain that this call changed nothing.

    Raises Unauthorized and ScopeMissing on, with a note that lists the calls made.
    """
    if account.steps_done:
        account.notes.append("Part of it was done before this.")
    match error:
        case Unauthorized() | ScopeMissing():
            error.add_note(f"Action {account.action.id}, calls so far: {', '.join(account.calls)}")
            raise error
        case Conflict():
            return account.close("failed", holder(error), error=error, code="conflict")
        case NotRestorable():
            return account.close("failed", f"The person was blocked. {error.next_step}", error=error)
        case NotFound() | Merged() if not account.steps_done:
            return account.close("stale", f"Contact {account.contact} is not there, archived or merged.", error=error)
        case Refused():
            return account.close("failed", error.what, error=error)
        case Unsendable():
            return account.close("failed", f"{error.what} {error.next_step}", error=error, code="unsendable")
        case _:
            return account.close("failed", error.what, error=error, code="unreachable")


def holder(error: Conflict) -> str:
    """Who holds the identifiers, in one sentence."""
    if error.contact_id is None:
        return "Another contact, which Intercom does not name, holds these identifiers."
    return f"Contact {error.contact_id}, {'archived' if error.archived else 'live'}, holds these identifiers."
