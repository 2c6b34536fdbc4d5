"""One action on a row under way: how the rows stand to it, what was seen of it, and what shares a request with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import quote

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.core.model import PositionRow, Scalar
from reconciler.core.row_actions import Change
from reconciler.errors import Refused

ADDRESS_BYTES = 4_000
"""Bytes of values in one address: gateways take 8 KiB of it or more."""

Item = TypeVar("Item")
State: TypeAlias = Literal["wanted", "before", "other"]


def state_of(change: Change, rows: Counter[PositionRow]) -> State:
    """How the rows stand to a change: as it wants them, as it expects them, or neither.

    Of several rows that are to become one, none at all also counts as before: whoever deleted them died on the way.
    """
    there = times(change.row, rows)
    if change.into is not None:
        made = times(change.into, rows)
        return "before" if (there, made) == (1, 0) else "wanted" if (there, made) == (0, 1) else "other"
    if there == change.after:
        return "wanted"
    return "before" if there == change.before or there < change.after < change.before else "other"


def times(row: PositionRow, rows: Counter[PositionRow]) -> int:
    """How many of the rows are this one: spelt alike, and of the same id where it names one."""
    if row.id is not None:
        return rows[row]
    return sum(count for one, count in rows.items() if (one.member_number, one.code) == (row.member_number, row.code))


@dataclass(slots=True)
class Account:
    """One action under way, and what was seen of it."""

    action: Action
    change: Change
    there: int = 0
    """Rows as they were read last."""
    sent: bool = False
    calls: list[str] = field(default_factory=list)
    trouble: str = ""
    """Why the last sending ended nowhere."""
    code: str | None = None
    over: bool = True
    """Whether that sending has surely ended."""
    adding: bool = False
    """Whether it was an insert."""
    returned: dict[str, Scalar] = field(default_factory=dict)
    ended: Outcome | Refused | None = None

    def close(self, verdict: Verdict, says: str = "", *, code: str | None = None) -> None:
        """The end of it."""
        self.ended = Outcome(
            action=self.action.id,
            do=self.action.do,
            outcome=verdict,
            member=self.action.member,
            says=says,
            calls=tuple(self.calls),
            sent=dict(self.action.set or self.action.expect) if self.sent else {},
            read_back=self.returned,
            code=code,
            row=self.action.row,
        )

    def lose(self, says: str, *, over: bool, code: str | None = None) -> None:
        """It may or may not have happened: to be read back."""
        self.trouble, self.over, self.code = says, over, code


def still_open(accounts: Iterable[Account]) -> list[Account]:
    """Those that have no end yet."""
    return [account for account in accounts if account.ended is None]


def end_of(account: Account) -> Outcome | Refused:
    """How it ended."""
    if account.ended is None:
        raise AssertionError("whatever is tried is closed when it is read the last time")
    return account.ended


def missing(account: Account) -> list[PositionRow]:
    """The rows to add for it."""
    return [account.change.row] * (account.change.after - account.there)


def take(row: PositionRow, found: Counter[PositionRow]) -> PositionRow | None:
    """The row among those that came back, and out of them; with the id that it got."""
    match = next((one for one in found if found[one] and times(row, Counter([one]))), None)
    if match is not None:
        found[match] -= 1
    return match


def together(account: Account) -> tuple[str, bool, bool, bool]:
    """What the rows of one delete have in common."""
    row = account.change.row
    return (row.code or "", row.code is None, row.member_number is None, row.id is None)


def alike(accounts: Iterable[Account], key: Callable[[Account], object]) -> list[list[Account]]:
    """In groups of one key each, in the order in which they first come."""
    groups: dict[object, list[Account]] = {}
    for account in accounts:
        groups.setdefault(key(account), []).append(account)
    return list(groups.values())


def address_bytes(*values: str | None) -> int:
    """What values take in an address, with their quotes and comma."""
    return sum(len(quote(value, safe="")) + 9 for value in values if value is not None)


def chunks(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """The items in groups that fit into one address."""
    chunk: list[Item] = []
    room = ADDRESS_BYTES
    for item in items:
        if chunk and size(item) > room:
            yield chunk
            chunk, room = [], ADDRESS_BYTES
        chunk.append(item)
        room -= size(item)
    if chunk:
        yield chunk
