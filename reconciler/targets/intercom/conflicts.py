"""What to do about a 409: another contact holds the identifiers. Looked at, restored where it is the member's own,
reported in every other case; never merged, never guessed at (design §4.3).

A snapshot cannot show archived contacts, and may miss one that was created a moment ago. So a create that Intercom
refuses with the id of the holder is how both come to light: the first is brought back instead of doubled, the second
counts as created where it is as wanted, and else waits for the next plan, which will see it.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.actions import Action, Outcome
from reconciler.core.diff import is_uuid, same
from reconciler.core.drafts import released
from reconciler.core.model import Scalar
from reconciler.errors import (
    Conflict,
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
from reconciler.targets.intercom.steps import Archive, Put, Unarchive, unlike
from reconciler.targets.intercom.wire import WireContact
from reconciler.targets.intercom.writing import holder, refused, take

NOT_RESTORABLE: Mapping[str, str] = {
    "has been merged and is not restorable": (
        "It was merged into another contact and cannot be restored: only Intercom's support can free its identifiers."
    ),
    "marked for permanent deletion and is not restorable": (
        "It is being deleted for good, and keeps its identifiers until that is done: plan again in a week."
    ),
}
"""The 400s of an unarchive that are known, by their text, as they share the code `bad_request`: the first from
forum.intercom.com 0D55c000068M23kCAC, the second (and the week) from one third-party repository.
"""


async def settle(client: IntercomClient, account: Account, conflict: Conflict, *, restore_archived: bool) -> Outcome:
    """The outcome of an action whose write was refused with a 409. Raises the TargetError that ended it."""
    account.sent.clear()
    if conflict.contact_id is None:
        raise conflict
    if not conflict.archived:
        return await _look_at(client, account, conflict, conflict.contact_id)
    if account.action.do != "create":
        raise conflict
    if not restore_archived:
        account.notes.append("This run may not restore archived contacts.")
        raise conflict
    return await _restore(client, account, conflict, conflict.contact_id)


# live


async def _look_at(client: IntercomClient, account: Account, conflict: Conflict, holder_id: str) -> Outcome:
    """Done where the holder is the contact that the action wants; else failed, and the next plan decides."""
    action = account.action
    try:
        found = await client.get(holder_id)
    except (NotFound, Merged):
        account.notes.append("It is archived or merged by now: plan again.")
        raise conflict from None
    claim, differs = foreign(found, action), unlike(found, action.set)
    if claim is not None:
        return _in_conflict(account, conflict, claim)
    if action.contact not in (None, found.id):
        return _in_conflict(account, conflict, "It is this member's as well: a duplicate, for the next plan to mend.")
    if differs:
        return _in_conflict(account, conflict, f"It is this member's, but differs in {', '.join(differs)}: plan again.")
    account.contact = found.id
    account.read_back = {name: found.get(name) for name in action.set}
    return account.close("done", f"Contact {found.id} is this member's already, and as wanted; nothing was written.")


def _in_conflict(account: Account, conflict: Conflict, says: str) -> Outcome:
    return account.close("failed", f"{holder(conflict)} {says}", error=conflict, code="conflict")


def foreign(found: WireContact, action: Action) -> str | None:
    """Why a contact cannot be taken for the member's own; None where it can.

    Its own it is by the member's external id, or by the member's e-mail, unless another external id speaks against it.
    A UUID, and what we put there when a duplicate gave up its number, say nothing about whose it is.
    """
    ours = {number for number in (action.member, action.set.get("external_id")) if number is not None}
    theirs = found.external_id
    if theirs in ours:
        return None
    if theirs and not is_uuid(theirs) and theirs != released("external_id", found.id):
        return "Its external_id is another's."
    if found.email and same("email", found.email, action.set.get("email")):
        return None
    return "It has neither the external_id nor the e-mail of this member."


# archived


async def _restore(client: IntercomClient, account: Account, conflict: Conflict, holder_id: str) -> Outcome:
    """Bring the member's own archived contact back and have it be as wanted, or leave it archived as it was."""
    account.notes.append(holder(conflict))
    ended = await _unarchived(client, account, holder_id)
    if ended is not None:
        return ended
    account.contact = holder_id
    found = await client.get(holder_id)
    if (claim := foreign(found, account.action)) is not None:
        return await _put_back(client, account, found) or account.close(
            "failed", claim, error=conflict, code="conflict"
        )
    wanted = account.action.set
    try:
        ended = await take(client, account, Put(holder_id, wanted, {name: found.get(name) for name in wanted}))
    except (Unauthorized, ScopeMissing):
        raise
    except Refused as error:
        return await _put_back(client, account, found) or refused(account, error)
    return ended or account.close("done", "It is this member's own: restored and updated, instead of a second one.")


async def _unarchived(client: IntercomClient, account: Account, holder_id: str) -> Outcome | None:
    """None where the contact is live now."""
    step = Unarchive(holder_id)
    try:
        try:
            return await take(client, account, step)
        except NotRestorable as blocked:
            await _unblock(client, account, holder_id, blocked)
            return await take(client, account, step)
    except (Unauthorized, ScopeMissing):
        raise
    except Refused as error:
        return account.close("failed", _why_not(error), error=error)


async def _unblock(client: IntercomClient, account: Account, holder_id: str, blocked: NotRestorable) -> None:
    """Raises `blocked` where Intercom has no such call, as its public description has none.

    A lost answer needs no read-back: the unarchive that follows shows whether it took.
    """
    try:
        await client.unblock(holder_id)
    except (Unauthorized, ScopeMissing):
        raise
    except Refused:
        raise blocked from None
    except Unreachable as error:
        if not error.sent:
            raise
        account.notes.append("The answer to the unblock was lost.")


def _why_not(error: Refused) -> str:
    if isinstance(error, NotRestorable):
        return "The person was blocked: unblock in the Intercom UI (Settings > Blocked people), then plan again."
    if isinstance(error, NotFound):
        return "It is gone by now: plan again."
    return next((says for text, says in NOT_RESTORABLE.items() if text in error.what), error.what)


async def _put_back(client: IntercomClient, account: Account, found: WireContact) -> Outcome | None:
    """Archive again what should not have come back; None where that is done."""
    before: dict[str, Scalar] = {name: found.get(name) for name in ("external_id", "email", "role")}
    try:
        ended = await take(client, account, Archive(found.id, before))
    except (Unauthorized, ScopeMissing):
        raise
    except NotFound:
        ended = None
    except TargetError as error:
        return account.close("failed", f"It could not be archived again, and is live: {error.what}", error=error)
    account.steps_done = 0
    account.notes.append("It was archived again.")
    return ended
