"""What became of an action whose run ended in the middle: looked at, and nothing sent."""

from __future__ import annotations

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.errors import TargetError
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.execute import steps_of


async def look(client: IntercomClient, action: Action) -> Outcome:
    """`done` where its last write took, `held` where the contact is as before, else `unknown`.

    Errors are part of the answer: an action that cannot be looked at is unknown.
    """
    calls: list[str] = []
    heard = client.heard_by(calls.append)
    sight = None
    try:
        for step in steps_of(action, before=action.expect):
            sight = await step.look(heard)
    except TargetError as error:
        return _outcome(action, "unknown", f"It could not be read back: {error.what}", calls)
    if sight is None or sight.state == "wanted":
        return _outcome(action, "done", "Found done by read-back.", calls, contact=sight.contact if sight else None)
    if sight.state == "before":
        return _outcome(action, "held", "Found undone by read-back; nothing was sent.", calls)
    return _outcome(action, "unknown", f"Read back: {sight.says}.", calls)


def _outcome(action: Action, verdict: Verdict, says: str, calls: list[str], *, contact: str | None = None) -> Outcome:
    return Outcome(
        action=action.id,
        do=action.do,
        outcome=verdict,
        contact=action.contact or contact,
        member=action.member,
        says=says,
        calls=tuple(calls),
    )
