"""Taking personal values out of stored records, for good: of old ones, or of one member (core/erasure.py).

The record is replaced first, then its page removed (runs/pages.py), and its keys go last: whoever dies in between has
erased nothing that the next call does not erase again. Where a bucket keeps old versions of objects, those must expire
by a rule of the bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from reconciler.core import erasure, sealed
from reconciler.core.erasure import Erased, Item, Line
from reconciler.core.link import Link
from reconciler.errors import PlanUnreadable
from reconciler.runs import pages
from reconciler.runs.ledger import FOLDER, Ledger, keys_path, part_path
from reconciler.runs.objects import Objects


def erase_old(objects: Objects, ledger: Ledger, *, before: datetime) -> tuple[str, ...]:
    """Take all personal values out of the records of plans made before this time (UTC); the names of those changed.

    Raises PlanUnreadable for a record that is not as it was written: what it says could not be proven afterwards.
    """
    oldest = f"{before:%Y%m%dT%H%M%SZ}"
    pages.remove_old(objects, before=oldest)
    with_keys = set(objects.names("keys"))
    old = [
        link
        for link in ledger.links()
        if link.record < oldest and keys_path(link.record_digest).rpartition("/")[2] in with_keys
    ]
    _remove_parts(objects, ledger)
    return tuple(link.record for link in old if _erase(objects, link, lambda _: True))


def erase_member(objects: Objects, ledger: Ledger, *, member: str) -> tuple[str, ...]:
    """Take one member's values out of all records; the names of those changed. Raises as `erase_old` does.

    A line is about the member where it names them, a contact that any record ties to them, or evidence of either.
    """
    links = ledger.links()
    about = {f"members/{member}"}
    for link in links:
        about.update(f"contacts/{contact}" for contact in _contacts_of(member, _lines(objects, link)))
    _remove_parts(objects, ledger)
    return tuple(link.record for link in links if _erase(objects, link, lambda item: bool(about & _subjects(item))))


def _erase(objects: Objects, link: Link, is_meant: Callable[[Item], bool]) -> bool:
    """Erase in one record. False where there was nothing left to erase."""
    lines, path = _lines(objects, link), keys_path(link.record_digest)
    data = objects.find(path)
    keys = erasure.decode_keys(data, where=objects.path_of(path)) if data is not None else ()
    meant = _with_what_names_them(lines, is_meant)
    if not meant:
        return False
    try:
        is_true = erasure.commitment(lines, keys) == link.commitment
    except ValueError:
        is_true = False
    if not is_true:
        raise PlanUnreadable(
            f"{objects.path_of(link.record)} or its keys are not as they were written: nothing was erased in it",
            next_step="Restore both from a backup; `reconcile verify` names all that is not as it was written.",
        )
    left, keys_left = erasure.erase(lines, keys, which=lambda item: id(item) in meant)
    if left != lines:
        kept = Erased(record=link.record, record_digest=link.record_digest, lines=left)
        objects.replace(link.record, erasure.encode(kept))
    pages.remove(objects, record=link.record)
    if not any(keys_left):
        objects.remove(path)
    elif keys_left != keys:
        objects.replace(path, erasure.encode_keys(keys_left))
    return left != lines


def _with_what_names_them(lines: Iterable[Line], is_meant: Callable[[Item], bool]) -> set[int]:
    """The identities of the items that are meant, and of those that name them by an id, which is a hash of values."""
    items = [line for line in lines if isinstance(line, Item)]
    meant = {id(item) for item in items if is_meant(item)}
    ids = {name for item in items if id(item) in meant for name in _own_ids(item)}
    while more := {id(item) for item in items if id(item) not in meant and ids & set(_other_ids(item))}:
        meant |= more
        ids |= {name for item in items if id(item) in more for name in _own_ids(item)}
    return meant


def _own_ids(item: Item) -> Iterator[str]:
    if not isinstance(item.personal, str):
        yield from (item.personal[name] for name in ("id", "action") if name in item.personal)


def _other_ids(item: Item) -> Iterator[str]:
    if not isinstance(item.personal, str):
        yield from item.personal.get("after", ())
        yield from item.personal.get("because", ())


def _subjects(item: Item) -> set[str]:
    """What an item is about: `members/12345`, `contacts/5ba6…`."""
    found = {f"members/{item.public['member']}"} if item.public.get("member") else set()
    found |= {f"contacts/{item.public[name]}" for name in ("contact", "into") if item.public.get(name)}
    found |= set(item.public.get("seen", ()))
    return found | {one["from"].rpartition(" ")[2] for one in item.public.get("evidence", ())}


def _contacts_of(member: str, lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        if isinstance(line, Item) and line.public.get("member") == member:
            yield from (line.public[name] for name in ("contact", "into") if line.public.get(name))


def _lines(objects: Objects, link: Link) -> tuple[Line, ...]:
    data = objects.get(link.record)
    if erasure.is_erased(data):
        return erasure.decode(data, where=objects.path_of(link.record)).lines
    if not sealed.is_whole(data):
        raise PlanUnreadable(
            f"{objects.path_of(link.record)} was changed or cut after it was written: nothing was erased in it",
            next_step="Restore it from a backup; `reconcile verify` names all that is not as it was written.",
        )
    return erasure.lines_of(data)


def _remove_parts(objects: Objects, ledger: Ledger) -> None:
    """What writers who died have left, which holds personal data as well; but for what the tail may still need."""
    objects.remove_unfinished()
    tail = ledger.tail()
    kept = None if tail is None else part_path(tail.record_digest)
    for name in objects.names(FOLDER):
        if name.endswith(".part") and f"{FOLDER}/{name}" != kept:
            objects.remove(f"{FOLDER}/{name}")
