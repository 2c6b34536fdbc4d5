"""The chain of records: `chain/00000042.json` names the 42nd record, by its digest (core/link.py; design §4.10).

Two writers who want the same number at once: put-if-absent gives it to one, the other takes the next. A record comes
to stand in three steps, so that a writer who dies between any two leaves a chain that the next one completes:

1. its bytes are put under their digest, `chain/HEX.part`, and the keys of its values beside (core/erasure.py);
2. the link that names it is put, if its number is free;
3. the bytes are put under the record's own name, and the part is removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from reconciler.core import erasure, sealed
from reconciler.core import link as link_file
from reconciler.core.link import Link
from reconciler.errors import PlanError, PlanUnreadable, ReconcilerError
from reconciler.runs.objects import Objects

FOLDER = "chain"

PLAN_ID = r"[0-9]{8}T[0-9]{6}Z-[0-9a-z]+"

RECORD = re.compile(rf"({PLAN_ID})(\.outcome|\.approval-[0-9a-f]{{8}})?\.json")
"""The name of a record: the id of its plan, and what it is where it is not the plan itself."""

LINK = re.compile(r"([0-9]{8})\.json")

_RACES = 1000
"""So often another writer may be faster before something must be wrong."""

_SIDE_BY_SIDE = 16
"""Links that are read at once: over a network the wait for each is longer than its reading."""


class Ledger:
    """The chain of one place. Every method raises ReconcilerError where the place cannot be read or written."""

    def __init__(self, objects: Objects, *, random: Callable[[int], bytes]) -> None:
        self._objects = objects
        self._random = random

    def tail(self) -> Link | None:
        """The newest link, its record in place: what a dead writer has begun is completed. None for an empty place.

        Raises PlanUnreadable where its record is gone. Records from before there was a chain are taken into it.
        """
        names = self._objects.names(FOLDER)
        newest = max((name for name in names if LINK.fullmatch(name)), default=None)
        if newest is None:
            return self._adopt()
        link = self._link(newest)
        part = _part(link.record_digest)
        if part in names or not self._objects.exists(link.record):
            self._complete(link)
        return link

    def append(self, name: str, build: Callable[[str | None], bytes]) -> None:
        """Store a record as the next of the chain.

        `build` makes its bytes from the digest of the record before it; it may be asked again where another writer was
        faster. Raises PlanError where the record stands there with other content.
        """
        tried: set[str] = set()
        for _ in range(_RACES):
            before = self.tail()
            data = build(None if before is None else before.record_digest)
            if self._objects.exists(name) and self.link_of(name) is not None:
                if self._objects.get(name) != data:
                    raise taken(self._objects.path_of(name))
                break
            if self._claim(name, data, after=before) is not None:
                break
            tried.add(sealed.digest_of(data))
        else:
            raise ReconcilerError(
                f"{_RACES} other records were stored in {self._objects.location} while one was to be",
                next_step="Find out which process stores so many, then run this again.",
            )
        for digest in sorted(tried - {sealed.digest_of(data)}):
            self._objects.remove(part_path(digest))
            self._objects.remove(keys_path(digest))

    def links(self) -> tuple[Link, ...]:
        """All links, the first one first. Raises PlanUnreadable for one that is not as it was written."""
        names = sorted(filter(LINK.fullmatch, self._objects.names(FOLDER)))
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return tuple(pool.map(self._link, names))

    def link_of(self, name: str) -> Link | None:
        """The link that names a record; None where none does. The newest links are read first."""
        links = sorted(filter(LINK.fullmatch, self._objects.names(FOLDER)), reverse=True)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            for start in range(0, len(links), _SIDE_BY_SIDE):
                for link in pool.map(self._link, links[start : start + _SIDE_BY_SIDE]):
                    if link.record == name:
                        return link
        return None

    def _claim(self, name: str, data: bytes, *, after: Link | None) -> Link | None:
        """Make a record the next after that link; None where another record is."""
        digest = sealed.digest_of(data)
        lines = erasure.lines_of(data)
        self._objects.create(part_path(digest), data)
        link = Link(
            number=1 if after is None else after.number + 1,
            record=name,
            record_digest=digest,
            commitment=erasure.commitment(lines, self._keys(digest, erasure.count_items(lines))),
            follows=sealed.previous_of(data) == (None if after is None else after.record_digest),
            previous=None if after is None else sealed.digest_of(link_file.encode(after)),
        )
        if not self._objects.create(f"{FOLDER}/{link.number:08}.json", link_file.encode(link)):
            return None
        self._put(link, data)
        return link

    def _keys(self, digest: str, count: int) -> tuple[erasure.Key, ...]:
        """Keys for the values of a record; those that another writer of the same record has put."""
        if not count:
            return ()
        path = keys_path(digest)
        keys = tuple(self._random(erasure.KEY_BYTES) for _ in range(count))
        if not self._objects.create(path, erasure.encode_keys(keys)):
            return erasure.decode_keys(self._objects.get(path), where=self._objects.path_of(path))
        return keys

    def _complete(self, link: Link) -> None:
        """The third step, for a writer who may have died before it."""
        data = self._objects.find(part_path(link.record_digest))
        if data is not None:
            self._put(link, data)
        elif not self._objects.exists(link.record):
            raise PlanUnreadable(
                f"{self._objects.path_of(link.record)}, the newest record, is gone",
                next_step="Restore it from a backup; `reconcile verify` names all that is not as it was written.",
            )

    def _put(self, link: Link, data: bytes) -> None:
        if not self._objects.create(link.record, data):
            raise taken(self._objects.path_of(link.record))
        self._objects.remove(part_path(link.record_digest))

    def _link(self, name: str) -> Link:
        path = f"{FOLDER}/{name}"
        return link_file.decode(self._objects.get(path), where=self._objects.path_of(path))

    def _adopt(self) -> Link | None:
        """Take the records that stand here into a chain that begins now, in the order of their names."""
        last: Link | None = None
        for name in in_order(self._objects.names()):
            data = self._objects.get(name)
            if not sealed.is_whole(data):
                raise damaged(self._objects.path_of(name))
            last = self._claim(name, data, after=last)
            if last is None:
                raise ReconcilerError(
                    f"another process began the chain of {self._objects.location} with other records",
                    next_step="Run this again.",
                )
        return last


def in_order(names: list[str]) -> list[str]:
    """The names that are those of records, by id: a plan, then its outcome, then its approvals."""
    records = [name for name in names if RECORD.fullmatch(name)]
    return sorted(records, key=lambda name: (name.partition(".")[0], len(name), name))


def taken(path: str) -> PlanError:
    """The refusal to store a record where another stands."""
    return PlanError(
        f"{path} exists already with other content",
        next_step="A record is written once and never changed. Make a new plan with `reconcile plan`.",
    )


def damaged(path: str) -> PlanUnreadable:
    """The refusal to build on a record that is not as it was written."""
    return PlanUnreadable(
        f"{path}, the newest record, was changed or cut after it was written",
        next_step="Restore it from a backup; `reconcile verify` names all that is not as it was written.",
    )


def keys_path(digest: str) -> str:
    """Where the keys of a record stand."""
    return f"keys/{digest.removeprefix('sha256:')}.json"


def _part(digest: str) -> str:
    return f"{digest.removeprefix('sha256:')}.part"


def part_path(digest: str) -> str:
    """Where the bytes of a record stand before they have its name."""
    return f"{FOLDER}/{_part(digest)}"
