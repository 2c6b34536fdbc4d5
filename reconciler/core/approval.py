"""The approval file: who agreed to which classes of one plan, and why; and which classes still wait for it (design §6).

An approval is bound to the digest of the plan, so that it is worth nothing for a plan that was edited since, and names
how many actions of each class there are, so that whoever approves has looked. It ends with the plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from reconciler.core import plan as plan_file
from reconciler.core import sealed
from reconciler.core.actions import Do
from reconciler.core.plan import Plan
from reconciler.errors import PlanRefused

FORMAT = "reconciler.approval/1"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One person's consent to classes of actions of one plan. Times are UTC, ISO 8601 to the second."""

    plan: str
    plan_digest: str
    """`sha256:…` of the plan that was approved: of no other, whatever its id."""
    by: str
    """Who approved it, as they named themselves."""
    approved_at: str
    expires_at: str
    """When it is worth nothing any more: with the plan."""
    classes: dict[str, int]
    """Class of actions → how many of it the plan has, as the approver typed it."""
    reason: str
    previous: str | None = None
    """`sha256:…` of the record stored before this one."""


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything of the file but `previous` and `digest`, in file order."""

    format: str
    plan: str
    plan_digest: str
    by: str
    approved_at: str
    expires_at: str
    classes: dict[str, int]
    reason: str


class _Document(_Header, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    previous: str | None
    digest: str


_HEADER_FIELDS = tuple(field for field in _Header.__struct_fields__ if field != "format")


def encode(approval: Approval) -> bytes:
    """The bytes of the approval file. The digest covers every byte before it."""
    header = _Header(format=FORMAT, **{field: getattr(approval, field) for field in _HEADER_FIELDS})
    return sealed.seal(sealed.header(header, on_first_line=3), previous=approval.previous)


def decode(data: bytes, *, where: str) -> Approval:
    """The approval in `data`. Raises PlanUnreadable for anything but the very bytes that `encode` writes."""
    next_step = "Restore the file from a backup; an approval is never edited by hand."
    document = sealed.open_as(_Document, data, format_=FORMAT, noun="an approval", where=where, next_step=next_step)
    fields = {name: getattr(document, name) for name in _HEADER_FIELDS}
    approval = Approval(**fields, previous=document.previous)
    if encode(approval) != data:
        raise sealed.changed(where=where, digest=document.digest, next_step=next_step)
    return approval


def schema() -> dict[str, Any]:
    """The JSON Schema of the approval file."""
    return msgspec.json.schema(_Document)


def name_of(approval: Approval) -> str:
    """The name of its file: `ID.approval-` and a hash of what it says, so that one plan can have several."""
    said = encode(msgspec.structs.replace(approval, previous=None))
    return f"{approval.plan}.approval-{sha256(said).hexdigest()[:8]}.json"


def counts_of(plan: Plan) -> Mapping[Do, int]:
    """How many actions of each class a plan has, those that a limit holds included."""
    return Counter(action.do for action in plan.actions)


def unapproved(plan: Plan, approvals: Iterable[Approval], *, needed: Iterable[Do], at: datetime) -> dict[Do, str]:
    """The classes of this plan that need an approval and have none at that time, each with the sentence that says so.

    Raises PlanRefused where an approval is for other content than the plan has: it was edited after it was approved.
    """
    digest = plan_file.digest_of(plan_file.encode(plan))
    counts = counts_of(plan)
    given: set[tuple[str, int]] = set()
    for approval in approvals:
        if approval.plan_digest != digest:
            raise PlanRefused(
                f"plan {plan.id} is not the one that was approved at {approval.approved_at}: it was changed since",
                next_step="Find out who changed it, then make a new plan with `reconcile plan`.",
            )
        if at < datetime.fromisoformat(approval.expires_at):
            given.update(approval.classes.items())
    return {
        do: f"{counts[do]} to {do} need an approval (limits.yaml, approval): {command(plan, {do: counts[do]})}"
        for do in needed
        if counts[do] and (do, counts[do]) not in given
    }


def command(plan: Plan, classes: Mapping[Do, int]) -> str:
    """The command that gives an approval."""
    asked = " ".join(f"--class {do}={count}" for do, count in classes.items())
    return f"`reconcile approve {plan.id} --by NAME {asked} --reason TEXT`"
