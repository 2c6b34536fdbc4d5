"""What an action on a row of the positions table means: what it expects, what it makes of it, and what takes it back.

Rows that nobody could tell apart (without a column for their own id, all that are spelt alike) are one thing, and their
number is part of what is expected and set: `rows`. It is left out where it goes without saying: a row that is created
was not there before, one that is updated or deleted was there once.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reconciler.core.actions import Action, Do, Outcome, with_id
from reconciler.core.model import PositionRow, Scalar

MEMBER_NUMBER, CODE, ID, ROWS = "member_number", "code", "id", "rows"
"""The fields of such an action: the words of rules/sources.yaml, and how many rows there are."""


class Change(msgspec.Struct, frozen=True):
    """What an action wants of the table: `row` was there `before` times, and shall be `after` times.

    `into` is the row that an update makes of it.
    """

    row: PositionRow
    before: int
    after: int
    into: PositionRow | None = None


def change_of(action: Action) -> Change:
    """What a create, update or delete of a row means. Raises ValueError for any other action."""
    match action.do:
        case "create":
            return Change(_row(action.set), _rows(action.expect, 0), _rows(action.set, 1))
        case "update":
            return Change(_row(action.expect), 1, 0, _row({**action.expect, **action.set}))
        case "delete":
            return Change(_row(action.expect), _rows(action.expect, 1), _rows(action.set, 0))
        case _:
            raise ValueError(f"{action.do} is nothing that is done to a row")


def fields_of(row: PositionRow) -> dict[str, Scalar]:
    """A row as the fields of an action."""
    fields: dict[str, Scalar] = {MEMBER_NUMBER: row.member_number, CODE: row.code}
    return fields if row.id is None else fields | {ID: row.id}


def _row(fields: Mapping[str, Scalar]) -> PositionRow:
    return PositionRow(_text(fields.get(MEMBER_NUMBER)), _text(fields.get(CODE)), _text(fields.get(ID)))


def _text(value: Scalar) -> str | None:
    return None if value is None else str(value)


def _rows(fields: Mapping[str, Scalar], unsaid: int) -> int:
    rows = fields.get(ROWS, unsaid)
    if not isinstance(rows, int):
        raise TypeError("`rows` is a number of rows")
    return rows


def inverse(action: Action, outcome: Outcome) -> Action | None:
    """What takes a row's change back; None where nothing was sent, so that there is nothing of ours to take back."""
    if not outcome.sent:
        return None
    change = change_of(action)
    match action.do:
        case "create":
            # As it was returned: with the id that the database gave it, if it gives any.
            written = outcome.read_back or action.set
            expect = {name: value for name, value in written.items() if name != ROWS} | unless(1, change.after)
            return _made("delete", action, expect=expect, set=unless(0, change.before))
        case "update":
            return _made(
                "update",
                action,
                expect=action.expect | action.set,
                set={name: action.expect[name] for name in action.set},
            )
        case "delete":
            row = fields_of(change.row) | unless(1, change.before)
            return _made("create", action, expect=unless(0, change.after), set=row)
        case _:
            return None


def unless(unsaid: int, rows: int) -> dict[str, Scalar]:
    """How many rows there are, unless that goes without saying."""
    return {} if rows == unsaid else {ROWS: rows}


def _made(do: Do, action: Action, *, expect: Mapping[str, Scalar], set: Mapping[str, Scalar]) -> Action:  # noqa: A002 - as above
    return with_id(Action(id="", do=do, member=action.member, expect=dict(expect), set=dict(set), row=action.row))
