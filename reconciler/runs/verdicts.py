"""What is said of an action that its target did not say, or could not know."""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb

import msgspec

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.errors import Refused


def ended(action: Action, verdict: Verdict, *, says: str) -> Outcome:
    """The outcome of an action that nothing was sent for, or whose sending nobody saw the end of."""
    return Outcome(
        action=action.id,
        do=action.do,
        outcome=verdict,
        contact=action.contact,
        member=action.member,
        says=says,
        row=action.row,
    )


def refused(action: Action, error: Refused) -> Outcome:
    """The outcome of an action that the target refused."""
    return Outcome(
        action=action.id,
        do=action.do,
        outcome="failed",
        contact=action.contact,
        member=action.member,
        says=error.what,
        code=error.code,
        request_id=error.request_id,
        row=action.row,
    )


def place_of(error: Exception) -> str:
    """Type, file and line of an error: never its text, which may hold personal data."""
    frame = extract_tb(error.__traceback__)[-1]
    return f"{PurePath(frame.filename).name}:{frame.lineno} ({type(error).__name__})"


def can_be_found(action: Action) -> bool:
    """Whether somebody who comes later can see if it was done: by id, by external id, or by the key of a row."""
    return action.do != "create" or action.row is not None or bool(action.set.get("external_id"))


def as_resumed(action: Action, outcome: Outcome) -> Outcome:
    """An archived contact reads as if it were not there (404); whoever meant to archive it knows better.

    A row that is found as wanted is taken for our own doing, as it is on record that we meant to: an undo knows of it.
    """
    if action.row is not None and outcome.outcome == "done" and not outcome.sent:
        return msgspec.structs.replace(outcome, says="Found done by read-back.", sent=action.set or action.expect)
    if action.do == "archive" and outcome.outcome == "stale" and outcome.code == "not_found":
        return msgspec.structs.replace(outcome, outcome="done", says="Found archived by read-back.", code=None)
    return outcome
