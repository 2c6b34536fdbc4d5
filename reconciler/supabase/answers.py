"""What an answer means, by its status and the code of PostgREST or PostgreSQL in it.

PostgREST quotes values of rows in its messages, so nothing it says but its codes gets into a text of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeGuard

from postgrest import APIResponse

from reconciler.supabase.keys import SET_THE_KEY
from reconciler.supabase.questions import Answer, Question, Record
from reconciler.supabase.trouble import Hopeless, MissingColumn, MissingTable, NotSeen, NotTaken, NotText, Passing

CHECK_THE_ADDRESS = "Check SUPABASE_URL, that it can be reached from here, then run the command again."

_PASSING = frozenset({408, 425, 429})
_STILL_UNDER_WAY = frozenset({408, 504, 520, 522, 524})
"""A gateway gave up waiting; what it waited for may go on (RFC 9110; from 520 on Cloudflare's, which stands before
Supabase)."""
_NOT_ALLOWED = "42501"
_NOT_OF_ITS_TYPE = "22P02"
"""PostgreSQL: a text that its column's type cannot be, so that no row has it."""
_BEYOND_THE_END = "PGRST103"
"""An offset past the last row; said only to those who ask for the count, in the versions known."""
_CODE = re.compile(r"[0-9A-Z]{3,8}")

_WRONG_QUESTION: Mapping[str, type[MissingTable | MissingColumn | NotText]] = {
    "PGRST205": MissingTable,  # PostgREST from version 13 on (docs.postgrest.org, Errors)
    "42P01": MissingTable,  # and before
    "42703": MissingColumn,
    "42883": NotText,  # PostgreSQL has no ILIKE for a number
}


def taken(question: Question, found: APIResponse) -> Answer | Passing:
    """An answer that is none of the errors, where it answers the question."""
    data: object = found.data
    if not _are_records(data, question):
        return Passing("the answer is not a list of rows")
    if question.count and found.count is None:
        return Passing("the answer does not say how many rows there are")
    return Answer(data, found.count)


def not_answered(question: Question, *, status: int, code: str) -> Answer | Exception:
    """What an answer that is an error means for a question."""
    said = f"it answered {status}" + (f", code {code}" if _CODE.fullmatch(code) else "")
    if code == _BEYOND_THE_END or (code == _NOT_OF_ITS_TYPE and _is_about_one_value(question)):
        return Answer((), None)
    if (wrong := _WRONG_QUESTION.get(code)) is not None:
        return wrong(question.table)
    if status >= 500 or status in _PASSING:
        return Passing(said)
    if status in {401, 403}:
        denied = f"may not read table {question.table}" if code == _NOT_ALLOWED else "is not accepted"
        return Hopeless(f"the key {denied} ({said})", next_step=SET_THE_KEY)
    return Hopeless(said, next_step=CHECK_THE_ADDRESS)


def refused(*, status: int, code: str) -> NotTaken | NotSeen:
    """What an answer that is an error means for a change."""
    own = _CODE.fullmatch(code) is not None and code != str(status)
    said = f"answered {status}" + (f", code {code}" if own else "")
    if status >= 500 or status in _PASSING:
        # With a code of PostgREST's or PostgreSQL's the transaction has ended; without, a gateway spoke.
        return NotSeen(said, over=own or status not in _STILL_UNDER_WAY)
    return NotTaken(said, status=status, code=code if own else f"http_{status}")


def _is_about_one_value(question: Question) -> bool:
    """Whether a value that its column cannot hold means that no row has it: of several, the others may have rows."""
    return question.where is not None and question.where[1] != "in"


def _are_records(data: object, question: Question) -> TypeGuard[list[Record]]:
    wanted = frozenset() if question.columns == ("*",) else frozenset(question.columns)
    return isinstance(data, list) and all(isinstance(row, dict) and row.keys() >= wanted for row in data)
