"""What became of an action whose run ended in the middle: looked at, and nothing sent."""

from __future__ import annotations

from reconciler.core.actions import Action, Outcome
from reconciler.errors import TargetError
from reconciler.targets.intercom.account import Account
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.execute import steps_of


async def look(client: IntercomClient, action: Action) -> Outcome:
    """`done` where its last write took, `held` where the contact is as before, `failed` where only its first write
    took, else `unknown`.

    Errors are part of the answer: an action that cannot be looked at is unknown.
    """
    account = Account(action=action, contact=action.contact)
    heard = client.heard_by(account.calls.append)
    sight = given_up = None
    try:
        for step in steps_of(action, before=action.expect):
            given_up = sight
            sight = await step.look(heard)
    except TargetError as error:
        return account.close("unknown", f"It could not be read back: {error.what}")
    if sight is None or sight.state == "wanted":
        account.contact = account.contact or (sight.contact if sight is not None else None)
        return account.close("done", "Found done by read-back.")
    if sight.state == "before" and given_up is not None and given_up.state == "wanted":
        account.sent, account.read_back = dict(action.set), given_up.read_back
        return account.close("failed", "Found done in part by read-back: it gave up its identifiers, and no more.")
    if sight.state == "before":
        return account.close("held", "Found undone by read-back; nothing was sent.")
    return account.close("unknown", f"Read back: {sight.says}.")
