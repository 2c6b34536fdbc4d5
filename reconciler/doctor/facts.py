"""What the doctor finds out, each thing by a thread of its own, so that none waits for another and none is waited for
longer than the time there is. A thread whose answer does not come is left behind: it ends with the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from threading import Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class NotLookedAt(Exception):
    """Something cannot be known as long as another check is not green; `because` is that check's id."""

    def __init__(self, because: str) -> None:
        self.because = because
        super().__init__(because)


class TooSlow(Exception):
    """No answer within the time there is."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"{seconds:g}")


class Deadline:
    """When the waiting ends, for all facts alike. seconds: from now. monotonic: seconds that only grow."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._monotonic = monotonic
        self._at = monotonic() + seconds

    def left(self) -> float:
        """Seconds until then; 0 once it is over."""
        return max(0.0, self._at - self._monotonic())


class Fact(Generic[T]):
    """One thing to find out. told_by: the id of the check that says what is wrong where it cannot be found out.
    after: the fact that is found out before this one is asked for.
    """

    def __init__(self, told_by: str, deadline: Deadline, *, after: Fact[Any] | None = None) -> None:
        self._told_by = told_by
        self._deadline = deadline
        self._after = after
        self._future: Future[T] = Future()

    def find(self, work: Callable[[], T]) -> Fact[T]:
        """Begin to find it out, by a thread of its own."""
        Thread(target=self.settle, args=(work,), name=f"doctor {self._told_by}", daemon=True).start()
        return self

    def settle(self, work: Callable[[], T]) -> None:
        """Find it out here and now. Whatever goes wrong is raised to those who ask for the value."""
        try:
            self._future.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised again by `value`, to whichever check asks
            self._future.set_exception(error)

    def fail(self, error: Exception) -> None:
        """It cannot be found out; nothing, where it was already."""
        if not self.is_known:
            self._future.set_exception(error)

    def value(self, *, asks: str) -> T:
        """The value. asks: the id of the check that wants it.

        Raises whatever kept it from being found out, or TooSlow, to the check that tells of it; to all others
        NotLookedAt.
        """
        try:
            return self._future.result(self._deadline.left())
        except NotLookedAt:
            raise
        except Exception as error:
            late = isinstance(error, NotYet) and not self.is_known
            because = self.held_up_by() if late else self._told_by
            if asks != because:
                raise NotLookedAt(because) from error
            if late:
                raise TooSlow(self._deadline.seconds) from error
            raise

    @property
    def is_known(self) -> bool:
        """Whether it is found out, or that it cannot be."""
        return self._future.done()

    def held_up_by(self) -> str:
        """Of this fact and those before it, the first that is not known: the check that tells of it."""
        return self._told_by if self._after is None or self._after.is_known else self._after.held_up_by()
