"""What became of an action whose run ended in the middle: looked at, and nothing sent."""

from __future__ import annotations

from reconciler.core.actions import Action, Outcome
from reconciler.errors import TargetError
from reconciler.targets.intercom.account import Account
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.execute import steps_of


async def look(client: IntercomClient, action: Action) -> Outcome:
    """`done` where its last write took, `held` where the contact is as before, else `unknown`.

    Errors are part of the answer: an action that cannot be looked at is unknown.
    """
    account = Account(action=action, contact=action.contact)
    heard = client.heard_by(account.calls.append)
    sight = None
    try:
        for step in steps_of(action, before=action.expect):
            sight = await step.look(heard)
    except TargetError as error:
        return account.close("unknown", f"It could not be read back: {error.what}")
    if sight is None or sight.state == "wanted":
        account.contact = account.contact or (sight.contact if sight is not None else None)
        return account.close("done", "Found done by read-back.")
    if sight.state == "before":
        return account.close("held", "Found undone by read-back; nothing was sent.")
    return account.close("unknown", f"Read back: {sight.says}.")
