"""The outcome file: what became of each action of an applied plan, one a line, sealed like the plan (design §8)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from reconciler.core import sealed
from reconciler.core.actions import Outcome

FORMAT = "reconciler.outcome/1"


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many actions ended which way."""

    done: int = 0
    stale: int = 0
    held: int = 0
    failed: int = 0
    unknown: int = 0


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One apply of one plan. Times are UTC, ISO 8601 to the second."""

    plan: str
    plan_digest: str
    """`sha256:…` of the plan that was applied, so that the two cannot be parted."""
    started_at: str
    finished_at: str
    summary: Counts
    outcomes: tuple[Outcome, ...]
    """In plan order, each action once."""
    previous: str | None = None
    """`sha256:…` of the record stored before this one."""


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything of the file but outcomes, `previous` and `digest`, in file order."""

    format: str
    plan: str
    plan_digest: str
    started_at: str
    finished_at: str
    summary: Counts


class _Document(_Header, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    outcomes: tuple[Outcome, ...]
    previous: str | None
    digest: str


_HEADER_FIELDS = tuple(field for field in _Header.__struct_fields__ if field != "format")


def count(outcomes: tuple[Outcome, ...]) -> Counts:
    """How many of `outcomes` ended which way."""
    tally = Counter(outcome.outcome for outcome in outcomes)
    return Counts(
        done=tally["done"],
        stale=tally["stale"],
        held=tally["held"],
        failed=tally["failed"],
        unknown=tally["unknown"],
    )


def encode(run: RunOutcome) -> bytes:
    """The bytes of the outcome file. The digest covers every byte before it."""
    header = _Header(format=FORMAT, **{field: getattr(run, field) for field in _HEADER_FIELDS})
    body = sealed.header(header, on_first_line=3) + sealed.lines("outcomes", run.outcomes)
    return sealed.seal(body, previous=run.previous)


def digest_of(encoded: bytes) -> str:
    """The digest that an encoded outcome ends with, `sha256:…`."""
    return sealed.digest_of(encoded)


def decode(data: bytes, *, where: str) -> RunOutcome:
    """The outcome in `data`, which was read from `where`.

    Raises PlanUnreadable for anything but the very bytes that `encode` writes.
    """
    next_step = "Restore the file from a backup; an outcome is never edited by hand."
    document = sealed.open_as(_Document, data, format_=FORMAT, noun="an outcome", where=where, next_step=next_step)
    fields = {name: getattr(document, name) for name in _HEADER_FIELDS}
    run = RunOutcome(**fields, outcomes=document.outcomes, previous=document.previous)
    if encode(run) != data:
        raise sealed.changed(where=where, digest=document.digest, next_step=next_step)
    return run


def decode_erased(record: bytes, *, where: str) -> RunOutcome:
    """The outcome in a record that values were taken out of (`erasure.as_record`).

    Raises PlanUnreadable where it is not one.
    """
    next_step = "Restore the file from a backup."
    document = sealed.open_as(_Document, record, format_=FORMAT, noun="an outcome", where=where, next_step=next_step)
    fields = {name: getattr(document, name) for name in _HEADER_FIELDS}
    return RunOutcome(**fields, outcomes=document.outcomes, previous=document.previous)


def schema() -> dict[str, Any]:
    """The JSON Schema of the outcome file."""
    return msgspec.json.schema(_Document)
