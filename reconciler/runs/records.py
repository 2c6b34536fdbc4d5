"""How the bytes of a record become a plan, an outcome or an approval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from reconciler.core import approval as approval_file
from reconciler.core import erasure
from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.approval import Approval
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Heading, Plan
from reconciler.runs.objects import MOST_BYTES, too_large, trouble

Record = TypeVar("Record", Plan, Heading, RunOutcome, Approval)

OF_FILE = "Name a file that this user may read."

_ERASED: Mapping[Callable[..., object], Callable[..., Any]] = {
    plan_file.decode: plan_file.decode_erased,
    plan_file.heading: plan_file.heading_erased,
    outcome_file.decode: outcome_file.decode_erased,
    approval_file.decode: approval_file.decode,
}
"""How a record is read that values were taken out of. An approval holds none that could be: it is refused."""


def readable(data: bytes, decode: Callable[..., Record], *, where: str) -> Record:
    """A record, also one that values were taken out of: a plan of that kind is not applyable.

    Raises PlanUnreadable for anything else.
    """
    if not erasure.is_erased(data):
        return decode(data, where=where)
    record: Record = of_erased(decode)(erasure.as_record(erasure.decode(data, where=where)), where=where)
    return record


def of_erased(decode: Callable[..., Any]) -> Callable[..., Any]:
    """How a record in the form that it had (`erasure.as_record`) is read, where `decode` reads a whole one."""
    return _ERASED.get(decode, decode)


def bytes_of(path: Path) -> bytes:
    """A file that a person named. Raises PlanUnreadable where it is larger than any record can be."""
    with trouble("read", str(path), next_step=OF_FILE), path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise too_large(str(path))
    return data
