"""What the runs of the last days did: the memory of the limits, contacts that are written back and forth, and whom
the last attempt failed.

Pure: whoever plans hands in the outcomes that are stored. What people read of the past is elsewhere: `past.py` says
where.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from reconciler.core.actions import Action, Do, Outcome
from reconciler.core.model import Scalar
from reconciler.core.outcome import RunOutcome

REMEMBERED = timedelta(days=7)
"""How far back the limits look."""

FLIPS_ALLOWED = 2
"""A field that flipped more often than this within `REMEMBERED` freezes its contact (failure mode B20)."""


class PastRun(msgspec.Struct, frozen=True):
    """One run that is over."""

    run: RunOutcome
    takes_back: bool = False
    """Whether a person took back an earlier run with it (`reconcile undo`)."""


class History(msgspec.Struct, frozen=True):
    """What a plan has to know of the runs of the last days. The default: there were none."""

    counts: Mapping[Do, int] = {}
    """Archives and merges that stand: done, or perhaps done, and not taken back."""
    flips: Mapping[str, Mapping[str, int]] = {}
    """Contact id → field → how often it flipped."""
    failed: frozenset[str] = frozenset()
    """Whom the last attempt failed, each as `subject_of` names it."""

    def frozen(self, contact: str) -> Mapping[str, int]:
        """The fields, each with its flips, for whose sake this contact is left alone. Empty where it is not."""
        return {field: count for field, count in self.flips.get(contact, {}).items() if count > FLIPS_ALLOWED}


NO_HISTORY = History()


def history_of(runs: Iterable[PastRun]) -> History:
    """The history that these runs, oldest first, make up."""
    past = tuple(runs)
    return History(_standing(past), flips(past), _failed(past))


def subject_of(one: Action | Outcome) -> str:
    """Whom an action is about, as far as failing goes: the row, the member, or the contact that is nobody's."""
    return one.row or one.member or one.contact or ""


def _failed(runs: Iterable[PastRun]) -> frozenset[str]:
    """What was held back or went stale was not tried, and changes nothing."""
    failed: set[str] = set()
    for past in runs:
        ended = [(subject_of(one), one.outcome) for one in past.run.outcomes]
        failed -= {subject for subject, verdict in ended if verdict == "done"}
        failed |= {subject for subject, verdict in ended if verdict in {"failed", "unknown"}}
    return frozenset(failed)


def _standing(runs: Iterable[PastRun]) -> dict[Do, int]:
    """A contact brought back is no longer archived. What may have been done is counted: the limits are brakes."""
    archived: dict[str, None] = {}
    merged: dict[str, None] = {}
    for outcome in (outcome for past in runs for outcome in past.run.outcomes):
        if outcome.contact is None:
            continue
        match (outcome.do, outcome.outcome):
            case ("archive", "done" | "unknown"):
                archived[outcome.contact] = None
            case ("merge", "done" | "unknown"):
                merged[outcome.contact] = None
            case ("unarchive", "done"):
                archived.pop(outcome.contact, None)
            case _:
                pass
    return {"archive": len(archived), "merge": len(merged)}


def flips(runs: Iterable[PastRun]) -> dict[str, dict[str, int]]:
    """Contact → field → how often these runs, oldest first, wrote it back and forth; those of no flip are left out.

    A value that comes back is a flip, and so is every write between its two: A, B, A are three (two rules at odds), and
    A, A, A, too, since only what differs is written, so somebody else has put another value there in between. A, B, C
    are none: the field moves on. A run that takes back another removes the write that it takes back.
    """
    written: dict[str, dict[str, list[Scalar]]] = {}
    for past in runs:
        for outcome in past.run.outcomes:
            if outcome.do != "update" or outcome.outcome != "done" or outcome.contact is None:
                continue
            fields = written.setdefault(outcome.contact, {})
            for field, value in outcome.sent.items():
                _note(fields.setdefault(field, []), value, takes_back=past.takes_back)
    counted = {
        contact: {field: count for field, values in fields.items() if (count := _back_and_forth(values))}
        for contact, fields in written.items()
    }
    return {contact: fields for contact, fields in counted.items() if fields}


def _note(values: list[Scalar], value: Scalar, *, takes_back: bool) -> None:
    if not takes_back:
        values.append(value)
    elif values:
        values.pop()


def _back_and_forth(values: list[Scalar]) -> int:
    """How many writes lie between the first value that comes back and the last that came back, both counted."""
    returned = [place for place, value in enumerate(values) if value in values[:place]]
    if not returned:
        return 0
    first = next(place for place, value in enumerate(values) if value in values[place + 1 :])
    return returned[-1] - first + 1
