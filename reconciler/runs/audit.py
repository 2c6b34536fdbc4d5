"""`reconcile verify`: walk the chain, and name everything that is not as it was written. Nothing is changed.

Two things are held against each other: what the links say (runs/ledger.py), and what stands under the records' names.
Whoever may write to the place can make a new chain of it all; that is found out where the head, the digest of the
newest link, was noted elsewhere. `docs/verify.py` does the same with the standard library alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeAlias

import msgspec

from reconciler.core import erasure, sealed
from reconciler.core import link as link_file
from reconciler.core.link import Link
from reconciler.errors import PlanUnreadable
from reconciler.runs.ledger import FOLDER, LINK, in_order, keys_path, part_path
from reconciler.runs.objects import Objects

_SIDE_BY_SIDE = 16
"""Objects that are looked at side by side: over a network the wait for each is longer than the work."""

Kind: TypeAlias = Literal["edited", "dropped", "reordered", "forked", "added", "cut"]
"""`edited`: other bytes than were written, or fewer · `dropped`: gone · `reordered`: the record of another place ·
`forked`: it follows another record than the one before it · `added`: in no place of the chain · `cut`: the noted head
is not in it, so that its end is gone, or all of it was written anew."""


class Flaw(msgspec.Struct, frozen=True):
    """One thing that is not as it was written."""

    record: str
    """The name of the record or link, in the place."""
    kind: Kind
    says: str


class Audit(msgspec.Struct, frozen=True):
    """What a walk along the chain found."""

    records: int
    """How many there are in the chain."""
    erased: int
    """How many of them had personal data taken out (core/erasure.py)."""
    head: str | None
    """`sha256:…` of the newest link, to be noted elsewhere. None in an empty place, or where that link is damaged."""
    flaws: tuple[Flaw, ...]
    """In the order of the chain; then what is in no place of it."""


class Found(msgspec.Struct, frozen=True):
    """What stands under a record's name."""

    digest: str | None = None
    """What it is by its own account, where it is whole."""
    previous: str | None = None
    erased: bool = False
    there: bool = True


def audit(objects: Objects, *, head: str | None = None) -> Audit:
    """Walk the chain from its first link to its last. `head` is one that was noted earlier.

    Raises ReconcilerError where the place cannot be read.
    """
    names = set(in_order(objects.names()))
    numbers = sorted(int(name.partition(".")[0]) for name in objects.names(FOLDER) if LINK.fullmatch(name))
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        links = dict(zip(numbers, pool.map(lambda number: _read_link(objects, number), numbers), strict=True))
        sound = {number: link for number, link in links.items() if link is not None}
        found = dict(zip(sound, pool.map(lambda link: look(objects, link), sound.values()), strict=True))
        strays = sorted(names - {link.record for link in sound.values()})
        others = dict(zip(strays, pool.map(lambda name: _plain(objects.get(name)), strays), strict=True))
    digests = {number: _digest(link) for number, link in sound.items()}
    flaws = [*_along(links, found, digests), *_beside(others, sound, is_chain=bool(numbers))]
    if head is not None and head not in digests.values():
        flaws.append(Flaw(FOLDER, "cut", f"the head {head} is not in the chain: its end is gone, or it was made anew"))
    return Audit(
        records=len(numbers),
        erased=sum(one.erased for one in found.values()),
        head=digests.get(numbers[-1]) if numbers else None,
        flaws=tuple(flaws),
    )


def _along(links: Mapping[int, Link | None], found: Mapping[int, Found], digests: Mapping[int, str]) -> Iterator[Flaw]:
    """What is wrong from link to link, at most one thing for each."""
    holders = {link.record_digest: link.record for link in links.values() if link is not None}
    for number in range(1, max(links, default=0) + 1):
        link, before = links.get(number), links.get(number - 1)
        if link is None:
            yield _no_link(number, is_there=number in links)
            continue
        flaw = _of_link(number, link, digest_before=digests.get(number - 1))
        flaw = flaw or _of_record(link, found[number], holders)
        if flaw is None and link.follows and (number == 1 or before is not None):
            expected = None if before is None else before.record_digest
            if found[number].previous != expected:
                flaw = Flaw(link.record, "forked", f"it follows another record than {link_path(number)} says")
        if flaw is not None:
            yield flaw


def _no_link(number: int, *, is_there: bool) -> Flaw:
    if is_there:
        return Flaw(link_path(number), "edited", "the link was changed or cut after it was written")
    return Flaw(link_path(number), "dropped", "the link is gone, and with it the proof of the record that it named")


def _of_link(number: int, link: Link, *, digest_before: str | None) -> Flaw | None:
    if link.number != number:
        return Flaw(link_path(number), "reordered", f"it is link {link.number} of the chain")
    if digest_before is not None and link.previous != digest_before:
        return Flaw(link_path(number), "forked", f"it follows another link than the one that stands at {number - 1}")
    return None


def _of_record(link: Link, record: Found, holders: Mapping[str, str]) -> Flaw | None:
    if not record.there:
        return Flaw(link.record, "dropped", "the record is gone")
    if record.digest is None:
        return Flaw(link.record, "edited", "it was changed or cut after it was written")
    if record.digest == link.record_digest:
        return None
    if record.digest in holders:
        return Flaw(link.record, "reordered", f"it holds the record of {holders[record.digest]}")
    return Flaw(link.record, "edited", "it was changed, and sealed anew, after it was written")


def _beside(others: Mapping[str, Found], links: Mapping[int, Link], *, is_chain: bool) -> Iterator[Flaw]:
    """Records that no link names."""
    holders = {link.record_digest: link.record for link in links.values()}
    for name, record in others.items():
        if not is_chain:
            yield Flaw(name, "added", "no chain stands here: it is from before there was one, or the links are gone")
        elif record.previous in holders:
            yield Flaw(name, "forked", f"it follows {holders[record.previous]}, and is not in the chain")
        else:
            yield Flaw(name, "added", "it is not in the chain")


def link_path(number: int) -> str:
    """Where a link stands."""
    return f"{FOLDER}/{number:08}.json"


def _digest(link: Link) -> str:
    return sealed.digest_of(link_file.encode(link))


def _read_link(objects: Objects, number: int) -> Link | None:
    """A link; None for one that is not as it was written."""
    path = link_path(number)
    try:
        return link_file.decode(objects.get(path), where=objects.path_of(path))
    except PlanUnreadable:
        return None


def look(objects: Objects, link: Link) -> Found:
    """What stands under the name of a link's record."""
    data = objects.find(link.record)
    if data is None:
        # Its writer has come as far as the link: whoever stores the next record completes it.
        data = objects.find(part_path(link.record_digest))
    if data is None:
        return Found(there=False)
    return _without_values(objects, link, data) if erasure.is_erased(data) else _plain(data)


def _plain(data: bytes) -> Found:
    if not sealed.is_whole(data):
        return Found()
    return Found(digest=sealed.digest_of(data), previous=sealed.previous_of(data))


def _without_values(objects: Objects, link: Link, data: bytes) -> Found:
    """A record that values were taken out of: what is left must give the commitment of its link."""
    path = keys_path(link.record_digest)
    try:
        erased = erasure.decode(data, where=objects.path_of(link.record))
        keys = erasure.decode_keys(objects.find(path) or erasure.encode_keys(()), where=objects.path_of(path))
        previous = erasure.previous_of(erased)
        is_true = erasure.commitment(erased.lines, keys) == link.commitment and erased.record == link.record
    except (PlanUnreadable, ValueError):
        return Found(erased=True)
    return Found(digest=erased.record_digest, previous=previous, erased=True) if is_true else Found(erased=True)
