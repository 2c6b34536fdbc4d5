"""Reading back what is stored, record by record: for those who look at months of nights at once.

One record is in memory at a time, and a few that are being fetched ahead: a bucket answers in some 50 ms, so that 800
records one after the other would take most of a minute. One that values were taken out of is read as what is left of
it. A record that was damaged does not keep the others from being read; it is named in `damaged`, and whoever shows the
rest has to say so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from reconciler.core import erasure, sealed
from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.errors import PlanUnreadable
from reconciler.runs.records import of_erased
from reconciler.runs.store import PlanStore

AHEAD = 8
"""Records fetched side by side, before they are looked at."""

_OUTCOME = ".outcome.json"

_Record = TypeVar("_Record")


class Reading:
    """One look through the store. What could not be read piles up in `damaged` and `of_another_release`, by name."""

    def __init__(self, store: PlanStore) -> None:
        self._store = store
        self._names = store.list_records()
        self._kept = frozenset(self._names)
        self._erased: set[str] = set()
        self.damaged: list[str] = []
        self.of_another_release: list[str] = []

    def run_ids(self) -> list[str]:
        """The ids of all plans that a record is kept of, oldest first: of a plan that came as a file, the outcome."""
        return list(dict.fromkeys(name.partition(".")[0] for name in self._names))

    def was_applied(self, plan_id: str) -> bool:
        """Whether an outcome of this plan is kept, be it sound or not."""
        return f"{plan_id}{_OUTCOME}" in self._kept

    def raw_runs(self, ids: Iterable[str]) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        """Each id with the bytes of its plan and of its outcome, or None where they are damaged or not kept.

        In the order of the ids. Of a record that values were taken out of, in the form that it had: `decoded` reads it.
        """
        wanted = [f"{plan_id}{ending}" for plan_id in ids for ending in (".json", _OUTCOME)]
        found = iter(self._fetched(wanted))
        for name in wanted[::2]:
            yield name.removesuffix(".json"), next(found), next(found)

    def plans(self, *, since: str = "", until: str) -> Iterator[Plan]:
        """The plans of this release made from `since` to `until` (UTC, ISO 8601), oldest first."""
        first, last = _as_in_ids(since), _as_in_ids(until)
        names = [name for name in self._names if not name.endswith(_OUTCOME) and first <= _made(name) <= last]
        yield from self._decoded(names, plan_file.decode)

    def outcomes(self, *, since: str) -> Iterator[RunOutcome]:
        """The outcomes of this release of plans made at this time (UTC, ISO 8601) or later, in their order."""
        first = _as_in_ids(since)
        names = [name for name in self._names if name.endswith(_OUTCOME) and first <= _made(name)]
        yield from self._decoded(names, outcome_file.decode)

    def decoded(self, name: str, data: bytes | None, decode: Callable[..., _Record]) -> _Record | None:
        """What a record holds; None for one of another release, which is noted, and for None."""
        if data is None:
            return None
        try:
            read: _Record = (of_erased(decode) if name in self._erased else decode)(data, where=name)
        except PlanUnreadable:
            self.of_another_release.append(name)
            return None
        return read

    def _decoded(self, names: list[str], decode: Callable[..., _Record]) -> Iterator[_Record]:
        for name, data in zip(names, self._fetched(names), strict=True):
            record = self.decoded(name, data, decode)
            if record is not None:
                yield record

    def _fetched(self, names: list[str]) -> Iterator[bytes | None]:
        """The bytes of each; None for one that is not kept, or that is damaged."""
        under_way: deque[Future[bytes] | None] = deque()
        with ThreadPoolExecutor(AHEAD) as pool:
            try:
                for place in range(len(names) + AHEAD):
                    if place < len(names):
                        name = names[place]
                        under_way.append(pool.submit(self._store.read, name) if name in self._kept else None)
                    if place >= AHEAD:
                        yield self._whole(names[place - AHEAD], under_way.popleft())
            finally:
                for one in under_way:
                    if one is not None:
                        one.cancel()

    def _whole(self, name: str, fetched: Future[bytes] | None) -> bytes | None:
        if fetched is None:
            return None
        data = fetched.result()
        if sealed.is_whole(data):
            return data
        try:
            left = erasure.as_record(erasure.decode(data, where=name))
        except PlanUnreadable:
            self.damaged.append(name)
            return None
        self._erased.add(name)
        return left


def _made(name: str) -> str:
    """When the plan of a record was made, as its id says."""
    return name.partition("-")[0]


def _as_in_ids(moment: str) -> str:
    """A time as ids write it: `2026-11-23T02:30:00Z` is `20261123T023000Z`."""
    return moment.replace("-", "").replace(":", "")
