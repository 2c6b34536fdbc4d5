"""What an explanation says, as data: `reconcile explain` draws it, `--json` prints it as it is."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from reconciler.core.actions import Do, Verdict
from reconciler.core.model import Evidence, Scalar
from reconciler.core.rules.lines import RuleLine

FieldEnd: TypeAlias = Literal["sent", "same", "left", "not sent"]
"""`sent`: in the action · `same`: the contact has it already · `left`: the member has no value to put there ·
`not sent`: it differs, and nothing is done about it."""

Standing: TypeAlias = Literal["kept", "duplicate", "in dispute", "somebody else's", "nobody's"]


Side: TypeAlias = Literal["source", "intercom", "person", "rules"]
"""Where a change would be made: in the source's rows, in Intercom, by a person's decision, in the rule files."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all that an explanation is made of."""


class Column(Part, frozen=True):
    """One value of a row."""

    field: str
    """Our word, as in `from:` of contacts.yaml."""
    column: str
    """The column's own name, from sources.yaml."""
    value: Scalar = None


class Row(Part, frozen=True):
    """One row of the source, or a position of the member."""

    where: str
    """Source, table and key."""
    columns: tuple[Column, ...]


class Witness(Part, frozen=True):
    """One value of a contact that speaks for or against its being this member."""

    field: str
    value: Scalar
    says: str
    rule: RuleLine | None = None
    """The line of matching.yaml that asks about it."""


class ContactStory(Part, frozen=True):
    """One contact that was looked at, and why it is this member's or not."""

    contact: str
    role: str
    standing: Standing
    says: str = ""
    values: dict[str, Scalar] = {}
    """Its owned fields that are filled in."""
    speaks_for: tuple[Witness, ...] = ()
    speaks_against: tuple[Witness, ...] = ()
    open_conversations: int | None = None
    """Where they were counted."""


class Step(Part, frozen=True):
    """Where a value was read, or one transform of it."""

    does: str
    value: Scalar | msgspec.UnsetType = msgspec.UNSET
    """What there is then; left out where the step gives no value."""


class FieldStory(Part, frozen=True):
    """One owned field of the contact, from the source to what is sent."""

    field: str
    steps: tuple[Step, ...]
    wanted: str | None
    found: Scalar
    end: FieldEnd
    says: str
    line: RuleLine
    """Of contacts.yaml."""
    rules: tuple[str, ...] = ()
    """The rules that asked for the change."""


class Reason(Part, frozen=True):
    """One rule that asked for an action, or said something for a person to decide."""

    rule: str
    line: RuleLine
    """Of findings.yaml: its `then`."""
    says: str
    severity: str
    evidence: tuple[Evidence, ...] = ()
    fields: tuple[str, ...] = ()


class Deed(Part, frozen=True):
    """One action of the plan, and what has become of it so far."""

    action: str
    do: Do
    contact: str | None = None
    into: str | None = None
    set: dict[str, Scalar] = {}
    held: str | None = None
    """Why a limit keeps it back."""
    limit: RuleLine | None = None
    """The line of limits.yaml that does."""
    outcome: Verdict | None = None
    outcome_says: str = ""
    reasons: tuple[Reason, ...] = ()


class Flip(Part, frozen=True):
    """One change after which it would have been decided otherwise: tried, not guessed."""

    side: Side
    change: str
    becomes: str
    line: RuleLine | None = None


class Explanation(Part, frozen=True):
    """Why a plan does with one member or contact what it does."""

    plan: str | None
    """The stored plan; None where it was decided now, and nothing stored."""
    made_at: str
    member: str | None
    contact: str | None
    verdict: str
    deeds: tuple[Deed, ...] = ()
    review: tuple[Reason, ...] = ()
    """What is left to a person."""
    rows: tuple[Row, ...] = ()
    contacts: tuple[ContactStory, ...] = ()
    fields: tuple[FieldStory, ...] = ()
    against: tuple[str, ...] = ()
    """What was decided against, and why."""
    flips: tuple[Flip, ...] = ()
    flips_tried: int = 0
    """How many single changes were tried."""
    notes: tuple[str, ...] = ()
    """What this explanation cannot say, and why."""
