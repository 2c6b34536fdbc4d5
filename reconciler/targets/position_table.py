"""Carrying out the actions of a positions plan: read the rows, compare, write many at a time, verify, read back.

Nothing is sent twice on suspicion. An answer that says no undid its whole request. Without a usable answer the rows are
read again, and only what is seen not to have happened is sent anew; an insert only where its request has surely ended,
since the table need not have a key that would refuse the second one.

One thread at a time may use a table, as its wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.core.model import PositionRow
from reconciler.core.row_actions import change_of, fields_of
from reconciler.errors import Refused, ScopeMissing, SourceError, Unauthorized
from reconciler.supabase.keys import SET_THE_KEY
from reconciler.supabase.trouble import MissingColumn, MissingTable, NotSeen, NotTaken
from reconciler.targets.position_account import (
    Account,
    address_bytes,
    alike,
    chunks,
    end_of,
    missing,
    state_of,
    still_open,
    take,
    times,
    together,
)
from reconciler.targets.position_rows import PositionRows

TRIES = 3
"""How often a change is sent at most, each time after reading the rows."""

NOT_PERSISTED = "not_persisted"
UNREACHABLE = "unreachable"
DUPLICATE_KEY = "23505"
"""PostgreSQL's unique_violation (PostgreSQL documentation, appendix A)."""


class PositionTable:
    """The positions table, as the engine's actions find it and leave it.

    sleep: how to wait before what was lost is looked at, in seconds.
    """

    def __init__(self, rows: PositionRows, *, sleep: Callable[[float], None]) -> None:
        self._rows = rows
        self._sleep = sleep

    def close(self) -> None:
        """Let go of the connection."""
        self._rows.close()

    def carry_out(self, actions: Sequence[Action]) -> list[Outcome | Refused]:
        """What became of each, in order: none of them waits for another. An error where the key may not write."""
        accounts = [Account(action, change_of(action)) for action in actions]
        for attempt in range(TRIES + 1):
            still = still_open(accounts)
            if any(account.code is None for account in still) and attempt:
                self._sleep(0.5 * 2**attempt)
            self._compare(still, last=attempt == TRIES)
            if not still_open(still):
                break
            self._write(still_open(still))
        return [end_of(account) for account in accounts]

    def look(self, action: Action) -> Outcome:
        """What became of an action that may have been sent: nothing is sent."""
        account = Account(action, change_of(action))
        rows = self._read_or_close([account])
        if rows is not None:
            match state_of(account.change, rows):
                case "wanted":
                    account.sent = True  # it is on record that it was meant to be
                    account.close("done", "Found done by read-back.")
                case "before":
                    account.close("held", "Found undone by read-back; nothing was sent.")
                case "other":
                    account.close("unknown", "Read back: the rows are neither as before nor as wanted.")
        ended = end_of(account)
        if isinstance(ended, Refused):
            raise ended
        return ended

    # Comparing

    def _compare(self, accounts: Sequence[Account], *, last: bool) -> None:
        """Close what needs no write, or no other. With `last` no write follows, and everything is closed."""
        rows = self._read_or_close(accounts)
        if rows is None:
            return
        for account in accounts:
            account.there = times(account.change.row, rows)
            state = state_of(account.change, rows)
            if state == "wanted":
                said = "Found done by read-back." if account.sent else "It is as wanted already; nothing was sent."
                account.close("done", said)
            elif state == "other" and account.sent:
                account.close("unknown", f"Read back as neither before nor wanted ({account.trouble}).")
            elif state == "other":
                account.returned = {"rows": account.there}
                account.close("stale", f"Row {account.action.row} changed since the plan was made.")
            elif not account.over and account.adding:
                account.close("unknown", f"Not there, but it may still come ({account.trouble}): not sent again.")
            elif last or account.code is not None:
                verdict: Verdict = "failed" if account.over else "unknown"
                account.close(verdict, f"Not done: {account.trouble}.", code=account.code or UNREACHABLE)

    def _read_or_close(self, accounts: Sequence[Account]) -> Counter[PositionRow] | None:
        """The rows of these actions' members; None where they cannot be read, which closes the actions."""
        try:
            return self._read(accounts)
        except SourceError as error:
            said = error.what
        except (MissingTable, MissingColumn):
            said = "the table, or a column of it that rules/sources.yaml names, is not there"
        for account in accounts:
            # Refused for sure, or never sent: then it is no unknown.
            happened = account.sent and not (account.over and account.code)
            account.close("unknown" if happened else "failed", said, code=account.code or UNREACHABLE)
        return None

    def _read(self, accounts: Sequence[Account]) -> Counter[PositionRow]:
        wanted = [row for account in accounts for row in (account.change.row, account.change.into) if row is not None]
        numbers = sorted({row.member_number for row in wanted if row.member_number is not None})
        pages = [self._rows.of_numbers(some) for some in chunks(numbers, address_bytes)]
        if any(row.member_number is None for row in wanted):
            pages.append(self._rows.of_nobody())
        rows: Counter[PositionRow] = Counter()
        for page in chain.from_iterable(pages):
            self._note("GET", accounts)
            rows.update(page)
        return rows

    # Writing

    def _write(self, accounts: Sequence[Account]) -> None:
        """Creates first, so that a member whose position changes is never seen without one."""
        creates = [account for account in accounts if account.action.do == "create"]
        for some in alike(creates, lambda account: account.change.row.id is None):
            self._bisect(some, self._insert)
        for account in accounts:
            if account.action.do == "update":
                self._bisect([account], self._update)
        deletes = [account for account in accounts if account.action.do == "delete" and account.there]
        for group in alike(deletes, together):
            for some in chunks(group, _bytes_of):
                self._bisect(some, self._delete)
        # What is left of several: put back once they are gone, also where somebody else had deleted them on the way.
        gone = [account for account in accounts if account.action.do == "delete" and not account.there]
        self._bisect([account for account in gone if account.change.after and not account.ended], self._insert)

    def _bisect(self, accounts: Sequence[Account], send: Callable[[Sequence[Account]], None]) -> None:
        """Send many at once; where one of them is refused, and with it all, find out which."""
        if not accounts:
            return
        for account in accounts:
            account.sent, account.adding = True, send == self._insert
            account.lose("", over=True)
        try:
            send(accounts)
        except NotTaken as error:
            if len(accounts) > 1 and error.status not in {401, 403}:
                self._bisect(accounts[: len(accounts) // 2], send)
                self._bisect(accounts[len(accounts) // 2 :], send)
            else:
                for account in accounts:
                    self._refuse(account, error)
        except NotSeen as error:
            for account in accounts:
                account.lose(str(error), over=error.over)

    def _refuse(self, account: Account, error: NotTaken) -> None:
        account.sent = False
        says = f"The row was refused: {error}."
        match error.status:
            case 401:
                account.ended = Unauthorized(says, status=401, code=error.code, next_step=SET_THE_KEY)
            case 403:
                account.ended = ScopeMissing(says, status=403, code=error.code, next_step=SET_THE_KEY)
            case _ if error.code == DUPLICATE_KEY:
                account.lose(str(error), over=True, code=error.code)  # somebody was faster, perhaps with the same row
            case _:
                account.close("failed", says, code=error.code)

    def _insert(self, accounts: Sequence[Account]) -> None:
        rows = [row for account in accounts for row in missing(account)]
        found = self._noting("POST", accounts, lambda: self._rows.insert(rows))
        for account in accounts:
            mine = [take(row, found) for row in missing(account)]
            if None in mine:
                account.close("failed", "It was taken, and other values were kept.", code=NOT_PERSISTED)
                continue
            if len(mine) == 1 and mine[0] is not None:
                account.returned = fields_of(mine[0])
            account.close("done")

    def _update(self, accounts: Sequence[Account]) -> None:
        for account in accounts:
            row, into = account.change.row, account.change.into
            if into is None:
                raise AssertionError("an update says what it makes of the row")
            found = self._noting("PATCH", accounts, partial(self._rows.update, row, into))
            if not found:
                account.lose("no row was changed", over=True, code=NOT_PERSISTED)
            elif found == Counter([into]):
                account.returned = fields_of(into)
                account.close("done")
            else:
                account.close("failed", "It was taken, and other values were kept.", code=NOT_PERSISTED)

    def _delete(self, accounts: Sequence[Account]) -> None:
        """Rows of one code and of some members; of each member all that are spelt so, or those of its ids."""
        rows = [account.change.row for account in accounts]
        found = self._noting("DELETE", accounts, lambda: self._rows.delete(rows))
        for account in accounts:
            gone = times(account.change.row, found)
            if gone < account.there:
                account.lose("fewer rows were deleted than there are", over=True, code=NOT_PERSISTED)
            elif account.change.after:
                account.there = 0
            else:
                account.returned = {"rows": 0}
                account.close("done")

    def _noting(
        self, method: str, accounts: Iterable[Account], send: Callable[[], Counter[PositionRow]]
    ) -> Counter[PositionRow]:
        """The rows that come back."""
        try:
            return send()
        finally:
            self._note(method, accounts)

    def _note(self, method: str, accounts: Iterable[Account]) -> None:
        call = self._rows.last_call(method)
        for account in accounts:
            account.calls.append(call)


def _bytes_of(account: Account) -> int:
    row = account.change.row
    return address_bytes(row.member_number, row.id)
