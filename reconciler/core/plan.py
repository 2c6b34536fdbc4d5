"""The plan file: valid JSON, one action or finding a line, closed, and sealed by a digest (design §8).

Written by `encode`, read by `decode`. `decode` accepts exactly the bytes that `encode` would write for the plan
that it found in them, so an unknown field, a changed byte, other white space or a cut tail cannot pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from reconciler.core import erasure, sealed
from reconciler.core.actions import Action
from reconciler.core.model import Finding, Target
from reconciler.core.seen import Basis, Seen
from reconciler.errors import PlanUnreadable

FORMAT = "reconciler.plan/1"

GONE = "personal data was taken out of it"
"""Why a plan that values were taken out of is not applied."""


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one input was: where from, how many rows, and the digest over all of them."""

    sha256: str
    source: str | None = None
    count: int | None = None
    read_at: str | None = None
    blank: dict[str, int] | None = None
    """Of members: field → how many have no value in it. What later runs are held against (core/guards.py)."""
    changed_at: str | None = None
    """Of members: the latest time of change, where the source says one."""


class Inputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything the decision was made from: the rules, the desired side, and the actual side of the target."""

    rules: Digest
    members: Digest
    positions: Digest
    contacts: Digest | None = None
    """Target `contacts`: the snapshot."""
    rows: Digest | None = None
    """Target `positions`: the rows of the table."""

    def __post_init__(self) -> None:
        if (self.contacts is None) == (self.rows is None):
            raise ValueError("a plan was held against contacts, or against rows")

    @property
    def actual(self) -> Digest:
        """The actual side, whichever it is."""
        actual = self.contacts or self.rows
        if actual is None:
            raise AssertionError("one of the two is there, or there is no Inputs")
        return actual


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Counts of actions by kind (held ones included), and of what was left alone."""

    create: int
    update: int
    promote: int
    merge: int
    archive: int
    held: int
    report: int
    """Findings that no action of this plan mends."""
    unchanged: int
    """Members whose contact is as it should be; rows that are, in a plan for the positions table."""
    unarchive: int = 0
    delete: int = 0


class Census(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Live contacts against members. Users and leads together are the last four together: each contact is in one."""

    users: int
    leads: int
    members: dict[str, int]
    """Rows of the source by status: those statuses whose members should be a contact."""
    wanted: int
    """Members who should be a contact and can be one."""
    without: int
    """Of these, how many have none."""
    theirs: int
    """Contacts of members who should be one. More than one of a member are duplicates."""
    others: int
    """Contacts of other members, such as those who left."""
    disputed: int
    """Contacts of which nobody can say whose they are."""
    strangers: int
    """Contacts that nothing ties to any member."""


class LimitCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One limit, and how the plan stands against it. Where `ok` is false, the actions of that class are held."""

    limit: str
    allowed: int
    planned: int
    ok: bool
    says: str = ""
    """Where not ok: count, total, percentage, and the line to look at."""
    accepted: int | None = None
    """The number that a person accepted in place of the limit (`--accept`), with the reason."""
    reason: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run's decisions. Times are UTC, ISO 8601 to the second."""

    id: str
    tool: str
    target: Target
    workspace: str
    intercom_version: str
    created_at: str
    expires_at: str
    applyable: bool
    refused_because: tuple[str, ...]
    inputs: Inputs
    summary: Summary
    limits: tuple[LimitCheck, ...]
    actions: tuple[Action, ...]
    findings: tuple[Finding, ...]
    previous: str | None = None
    """`sha256:…` of the record stored before this one."""
    census: Census | None = None
    """None where the target has no contacts."""
    basis: Basis | None = None
    """What was decided under. None in a plan that takes back another: that decides nothing."""
    seen: tuple[Seen, ...] = ()
    """What was decided on, of those whom this plan is about."""

    def held(self, unapproved: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
        """Ids of the actions that may not run, each with the reason: its class is over its limit, or it waits
        for an action that is held, or it takes a member's user away for a lead whose promotion is held.

        `unapproved`: classes that wait for an approval when the plan is applied, each with the sentence that says so.
        """
        over = {**unapproved, **{check.limit: check.says for check in self.limits if not check.ok}}
        reasons = {action.id: over[action.do] for action in self.actions if action.do in over}
        archives = (one for one in self.actions if one.do == "archive" and one.expect.get("role") == "user")
        users = {one.id: one.member for one in archives}
        waiting = bool(reasons)
        while waiting:
            waiting = False
            for action in self.actions:
                held = next((before for before in action.after if before in reasons), None)
                if held is not None and action.id not in reasons:
                    reasons[action.id] = f"waits for {held}, which is held"
                    waiting = True
                if action.do == "promote" and action.id in reasons:
                    own = (one for one in action.after if users.get(one, "") == action.member and one not in reasons)
                    for user in own:
                        reasons[user] = f"would leave its member without a user, as {action.id} is held"
                        waiting = True
        return reasons

    def open_findings(self) -> tuple[Finding, ...]:
        """The findings that no action of this plan mends, in file order.

        Where its id was taken out, what a finding calls itself tells: a fixable one is mended.
        """
        mended = {because.finding for action in self.actions for because in action.because}
        return tuple(
            finding
            for finding in self.findings
            if finding.id not in mended and not (finding.severity == "fixable" and erasure.is_gone(finding.id))
        )


class Heading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes before the actions, in file order. Each as in Plan."""

    format: str
    id: str
    tool: str
    target: Target
    workspace: str
    intercom_version: str
    created_at: str
    expires_at: str
    applyable: bool
    refused_because: tuple[str, ...]
    inputs: Inputs
    summary: Summary
    census: Census | None
    limits: tuple[LimitCheck, ...]


class _Document(Heading, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    actions: tuple[Action, ...]
    findings: tuple[Finding, ...]
    basis: Basis | None
    seen: tuple[Seen, ...]
    previous: str | None
    digest: str


_Head = TypeVar("_Head", Heading, Plan)

_HEADING = tuple(field for field in Heading.__struct_fields__ if field != "format")


def encode(plan: Plan) -> bytes:
    """The bytes of the plan file. The digest covers every byte before it."""
    head = Heading(format=FORMAT, **{field: getattr(plan, field) for field in _HEADING})
    body = (
        sealed.header(head, on_first_line=5)
        + sealed.lines("actions", plan.actions)
        + sealed.lines("findings", plan.findings)
        + b' "basis": '
        + sealed.one_line(plan.basis)
        + b",\n"
        + sealed.lines("seen", plan.seen)
    )
    return sealed.seal(body, previous=plan.previous)


def digest_of(encoded: bytes) -> str:
    """The digest that an encoded plan ends with, `sha256:…`."""
    return sealed.digest_of(encoded)


def decode(data: bytes, *, where: str) -> Plan:
    """The plan in `data`, which was read from `where`.

    Raises PlanUnreadable for anything but the very bytes that `encode` writes.
    """
    next_step = "Make a new plan with `reconcile plan`; a plan file is never edited by hand."
    document = sealed.open_as(_Document, data, format_=FORMAT, noun="a plan", where=where, next_step=next_step)
    fields = {name: getattr(document, name) for name in _HEADING}
    rest = {name: getattr(document, name) for name in ("actions", "findings", "basis", "seen", "previous")}
    plan = Plan(**fields, **rest)
    if encode(plan) != data:
        raise sealed.changed(where=where, digest=document.digest, next_step=next_step)
    return plan


def heading(data: bytes, *, where: str) -> Heading:
    """What stands before the actions in the bytes of a whole plan, and nothing else of it decoded.

    Raises PlanUnreadable where they do not end in the digest of what stands before it, or are no plan.
    """
    if not sealed.is_whole(data):
        raise PlanUnreadable(
            f"{where} was changed or cut after it was written: it does not end in its digest",
            next_step="Restore the file from a backup.",
        )
    return _heading_in(data, where=where)


def heading_erased(record: bytes, *, where: str) -> Heading:
    """The same of a record that values were taken out of: as in `decode_erased`."""
    return _gone(_heading_in(record, where=where))


def _heading_in(record: bytes, *, where: str) -> Heading:
    lines, _, _ = record.partition(b',\n "actions": [\n')
    next_step = "Restore the file from a backup."
    return sealed.open_as(Heading, lines + b"}", format_=FORMAT, noun="a plan", where=where, next_step=next_step)


def _gone(plan: _Head) -> _Head:
    """A plan without its values cannot be applied."""
    return msgspec.structs.replace(plan, applyable=False, refused_because=(*plan.refused_because, GONE))


def first_action(data: bytes) -> Action | None:
    """The first action in the bytes of a whole plan, and nothing else of it decoded; None where it has none.

    Raises PlanUnreadable where the plan is not of this format.
    """
    _, found, rest = data.partition(b'\n "actions": [\n')
    if not found or not data.startswith(f'{{"format": "{FORMAT}"'.encode()):
        raise PlanUnreadable(f"not a plan of format {FORMAT}", next_step="Make a new plan with `reconcile plan`.")
    line, _, _ = rest.partition(b"\n")
    if not line.startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(line.removesuffix(b","), type=Action)
    except msgspec.DecodeError as error:
        raise PlanUnreadable(
            f"its first action is none of format {FORMAT}", next_step="Make a new plan with `reconcile plan`."
        ) from error


def decode_erased(record: bytes, *, where: str) -> Plan:
    """The plan in a record that values were taken out of (`erasure.as_record`): to be looked at, never applied.

    Raises PlanUnreadable where it is not one.
    """
    next_step = "Restore the file from a backup."
    document = sealed.open_as(_Document, record, format_=FORMAT, noun="a plan", where=where, next_step=next_step)
    fields = {name: getattr(document, name) for name in _HEADING}
    return _gone(Plan(**fields, actions=document.actions, findings=document.findings, previous=document.previous))


def is_erased(plan: Plan) -> bool:
    """Whether values were taken out of this plan."""
    return GONE in plan.refused_because


def schema() -> dict[str, Any]:
    """The JSON Schema of the plan file."""
    return msgspec.json.schema(_Document)
