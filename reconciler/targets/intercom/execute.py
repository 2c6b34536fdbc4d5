"""Carrying out one action: compare, write, verify, and where identifiers are taken, find out by whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import Scalar
from reconciler.errors import Conflict, Halted, Merged, NotFound, PlanRefused, TargetError
from reconciler.targets.intercom.account import Account
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.conflicts import settle
from reconciler.targets.intercom.halt import Stop
from reconciler.targets.intercom.steps import Archive, Create, Merge, Put, Step, Unarchive, needless, unlike
from reconciler.targets.intercom.wire import WireContact
from reconciler.targets.intercom.writing import refused, take

ALWAYS_REREAD = ("archive", "merge", "promote")
"""What is hard or impossible to take back is compared with `expect` right before, whatever the caller asks for."""


async def execute(
    client: IntercomClient,
    action: Action,
    *,
    reread: bool,
    restore_archived: bool = True,
    open_conversations: int = 0,
    stop: Stop | None = None,
) -> Outcome:
    """What became of `action`.

    With `reread`, and always for archive, merge and promote, the contact is read first. A field of `expect` that has
    neither the expected value nor the one to be set makes the action stale; a contact that is as wanted already is
    done, without a write. restore_archived: whether a create that meets an archived contact may bring that one back;
    see `conflicts`. open_conversations: how many an archive would hide: with any the action is stale, unless it has
    begun already. stop: asked again right before its first write, and while it waits for that: then it is held.

    Raises Unauthorized or ScopeMissing, with a note that lists the calls made, where no further write can succeed;
    PlanRefused for `delete`, which is no action on contacts.
    """
    account = Account(action=action, contact=action.contact)
    heard = client.heard_by(account.calls.append)
    if stop is not None:
        heard = heard.halted_by(stop)
    try:
        return await _carry_out(
            heard,
            account,
            reread=reread or action.do in ALWAYS_REREAD,
            restore_archived=restore_archived,
            hides=open_conversations if action.do == "archive" else 0,
        )
    except Halted as error:
        return account.close("held", error.what)
    except TargetError as error:
        return refused(account, error)


async def _carry_out(
    client: IntercomClient, account: Account, *, reread: bool, restore_archived: bool, hides: int
) -> Outcome:
    action = account.action
    steps = steps_of(action, before=action.expect)
    if reread:
        found = await _read_first(client, account)
        if isinstance(found, Outcome):
            return found
        if found is not None and hides and not (action.set and not unlike(found, action.set)):
            return account.close("stale", _hidden(found, hides), code="open_conversation")
        if found is not None:
            before = {name: found.get(name) for name in action.expect | action.set}
            steps = [step for step in steps_of(action, before=before) if not needless(step, found)]
    for step in steps:
        try:
            ended = await take(client, account, step)
        except Conflict as error:
            return await settle(client, account, error, restore_archived=restore_archived)
        if ended is not None:
            return ended
    return account.close("done", "" if account.steps_done else "It is as wanted already; nothing was sent.")


def _hidden(found: WireContact, hides: int) -> str:
    conversations = f"{hides} open conversation{'s' if hides > 1 else ''}"
    return f"Contact {found.id} is not archived, which would hide {conversations} by now."


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


async def _read_first(client: IntercomClient, account: Account) -> WireContact | Outcome | None:
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
    seen = found if found is None else _unless_stale(account, found)
    if action.into is not None and not isinstance(seen, Outcome):
        return await _unless_other(client, account, action.into) or seen
    return seen


async def _unless_other(client: IntercomClient, account: Account, into: str) -> Outcome | None:
    """None where the user that a lead is to be merged into is there, and still the member's. A lead gives up its
    identifiers before the merge, and would have nobody to give them to; and a merge is for ever.
    """
    try:
        survivor = await client.get(into)
    except (NotFound, Merged) as error:
        return account.close("stale", f"Contact {into}, which it was to be merged into, is gone.", error=error)
    if survivor.role != "user":
        return account.close("stale", f"Contact {into}, which it was to be merged into, is no user.")
    others = tuple(
        name
        for name in unlike(survivor, account.action.expect_into)
        if name != "external_id" or unlike(survivor, {name: account.action.member})
    )
    if not others:
        return None
    account.read_back = {name: survivor.get(name) for name in others}
    says = f"Contact {into}, which it was to be merged into, changed since the plan was made: {', '.join(others)}."
    return account.close("stale", says)


async def _find(client: IntercomClient, action: Action) -> WireContact | None:
    """By id; what is to be created can only be there already under its external id."""
    if action.contact is not None:
        return await client.get(action.contact)
    external_id = action.set.get("external_id")
    return None if external_id is None else await client.find_by_external_id(str(external_id))


def _unless_stale(account: Account, found: WireContact) -> WireContact | Outcome:
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
