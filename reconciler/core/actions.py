"""Actions: the changes of a plan, as data. Whoever executes, shows or undoes them reads this one list.

A new kind of action starts here, in `Do`; the type checker then names every place that has to know it
(each `match action.do` is closed with `assert_never`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal, TypeAlias, assert_never

import msgspec

from reconciler.core.model import Scalar

Do: TypeAlias = Literal["create", "update", "promote", "merge", "archive", "unarchive", "delete"]
Undo: TypeAlias = Literal["exact", "partial", "none"]
"""How far it can be taken back: to the very values · in part · not at all."""

KINDS: tuple[Do, ...] = ("create", "update", "promote", "merge", "archive", "unarchive", "delete")

ROW_KINDS: tuple[Do, ...] = ("create", "update", "delete")
"""What is done to rows of the positions table (design §8)."""

_PREFIX: Mapping[Do, str] = {
    "create": "c",
    "update": "u",
    "promote": "p",
    "merge": "m",
    "archive": "a",
    "unarchive": "n",
    "delete": "d",
}

CANNOT_BE_BLANKED = ("email", "external_id")
"""Not declared nullable in create_contact_request and update_contact_request (description 2.16)."""


def undo_class(do: Do, expect: Mapping[str, Scalar], changes: Mapping[str, Scalar]) -> Undo:
    """How far an action can be taken back, known when it is planned.

    A merged lead is "permanently removed" (description 2.16, MergeContact); a user cannot become a lead again
    (400 `client_error`, reference of update-contact); a created contact can be archived, never un-created; and
    an e-mail or external id that was blank cannot be made blank again.
    """
    match do:
        case "merge" | "promote":
            return "none"
        case "create":
            return "partial"
        case "update" | "archive" | "unarchive" | "delete":
            blank_before = any(field in CANNOT_BE_BLANKED and not expect.get(field) for field in changes)
            return "partial" if blank_before else "exact"
        case _:
            assert_never(do)


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """The rule that asked for one field of an action (or for the action as a whole), and the finding that says why."""

    rule: str
    finding: str
    field: str | None = None


# The defaults of Action come from functions, which msgspec does not look into: so these fields stand in every line of
# the file, also where they are empty, and scripts need not guess.


def _nothing() -> dict[str, Scalar]:
    return {}


def _none() -> tuple[Any, ...]:
    return ()


def _exact() -> Undo:
    return "exact"


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One change to one resource.

    `expect` holds the values the decision was made on: where the contact no longer has them, the action is stale.
    `set` holds exactly what will be sent. For an archive or merge, `set` holds the identifiers that the contact
    gives up first, so that its survivor can take them (design §4.5).
    """

    id: str
    do: Do
    contact: str | None = None
    """The contact changed; None for a create."""
    into: str | None = None
    """Merge only: the user that the lead disappears into."""
    member: str | None = None
    expect: dict[str, Scalar] = msgspec.field(default_factory=_nothing)
    set: dict[str, Scalar] = msgspec.field(default_factory=_nothing)
    because: tuple[Because, ...] = msgspec.field(default_factory=_none)
    undo: Undo = msgspec.field(default_factory=_exact)
    after: tuple[str, ...] = msgspec.field(default_factory=_none)
    """Ids of actions that must be done before this one."""
    row: str | None = None
    """Target `positions`: the row by its key, e.g. `12345/pres`; such an action names no contact."""
    expect_into: dict[str, Scalar] = {}
    """Merge only: what `into` had when it was decided. With another member's number instead it is no longer the one."""

    def __post_init__(self) -> None:
        if self.row is not None:
            if self.contact is not None or self.do not in ROW_KINDS:
                raise ValueError(f"a row of the positions table is created, updated or deleted; this is {self.do}")
        elif (self.contact is None) != (self.do == "create"):
            raise ValueError(f"a {self.do} action {'names no' if self.contact is None else 'must not name a'} contact")
        if (self.into is None) != (self.do != "merge"):
            raise ValueError(f"`into` belongs to merge actions, and to each of them; this one is {self.do}")
        if self.expect_into and self.into is None:
            raise ValueError(f"`expect_into` belongs to merge actions; this one is {self.do}")


def with_id(action: Action) -> Action:
    """The action with an id that is a hash of what it does, and begins with the letter of its kind."""
    does = (action.do, action.contact, action.into, action.member, action.expect, action.set)
    also = tuple(part for part in (action.row, action.expect_into) if part)
    content = msgspec.json.encode((*does, *also))
    return msgspec.structs.replace(action, id=f"{_PREFIX[action.do]}-{sha256(content).hexdigest()[:12]}")


Verdict: TypeAlias = Literal["done", "stale", "held", "failed", "unknown"]
"""What became of an action (design §2).

`done`: the contact is as the action wanted it · `stale`: it no longer matched `expect`, nothing was sent ·
`held`: a limit, the pause or an unfinished action before it kept it back · `failed`: Intercom refused it ·
`unknown`: it may or may not have happened, and could not be read back.
"""


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """What became of one action, and what was seen on the way."""

    action: str
    do: Do
    outcome: Verdict
    contact: str | None = None
    """The contact written; for a create, the id that Intercom gave it."""
    member: str | None = None
    says: str = ""
    """One sentence for people: why stale, held, failed or unknown. Ids and field names only."""
    calls: tuple[str, ...] = ()
    """Each call with its answer, in order, e.g. `PUT /contacts/5ba6 200`."""
    sent: dict[str, Scalar] = {}
    read_back: dict[str, Scalar] = {}
    """The owned fields as they were returned after the write (or, for `stale`, those that did not match)."""
    code: str | None = None
    """The error code of Intercom, e.g. `parameter_invalid`, or of PostgreSQL, e.g. `23503`."""
    request_id: str | None = None
    row: str | None = None
    """Target `positions`: the row, as the action names it."""
