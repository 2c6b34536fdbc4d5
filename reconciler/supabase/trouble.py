"""What may come in place of an answer, for whoever asked to make something of. No text of these holds a value."""

from __future__ import annotations


class MissingTable(Exception):
    """There is no such table, or it is not exposed."""


class MissingColumn(Exception):
    """A column of the question is not in the table."""


class NotText(Exception):
    """A pattern was asked for of a column that holds no text."""


class NotTaken(Exception):
    """A change that was answered with no: nothing of it was done. The text says what was answered, without a value."""

    def __init__(self, says: str, *, status: int, code: str) -> None:
        super().__init__(says)
        self.status, self.code = status, code


class NotSeen(Exception):
    """A change without a usable answer: it was done or not. `over`: it surely is not under way any more."""

    def __init__(self, says: str, *, over: bool) -> None:
        super().__init__(says)
        self.over = over


class Passing(Exception):
    """What a second try may mend; the text says what happened."""


class Hopeless(Exception):
    """What no second try mends; the text says what happened."""

    def __init__(self, says: str, *, next_step: str) -> None:
        super().__init__(says)
        self.next_step = next_step


class Unfit(Exception):
    """An answer that is not taken in; the text says why."""
