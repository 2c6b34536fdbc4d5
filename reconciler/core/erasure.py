"""Personal values that can be taken out of a record while the chain still proves the rest of it (design §4.10, §4.13).

A record's digest covers every byte of it, so nothing can be taken out and the digest be computed anew. Each link of the
chain therefore holds a second digest, the *commitment*: that of the record with the personal values of each line
replaced by their HMAC under a random key of the line's own. The keys stand beside the record (`keys/HEX.json`), and
belong to no link. To erase, the values are replaced by their HMAC for good, and the key is thrown away: the commitment
comes out the same, and without the key nobody can try phone numbers until one fits.

What stays is what the record is about: ids of members, contacts and rows, kinds of actions, names of fields, rules,
times, and what became of it.
`docs/verify.py` computes the same with nothing but the standard library, which is why JSON is written with that here.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

import msgspec

from reconciler.errors import PlanUnreadable

FORMAT = "reconciler.erased/1"
KEYS_FORMAT = "reconciler.keys/1"
KEY_BYTES = 16

ERASED = "[erased]"
"""What stands where a value was."""


def is_gone(item_id: str) -> bool:
    """Whether this stands where the id of an action or a finding was. It is told from others of its record alone."""
    return item_id.startswith(ERASED)


_VALUES_BY_FIELD = ("expect", "expect_into", "set", "sent", "read_back")
_HASHES_AND_TEXT = ("id", "action", "says")
"""Ids of actions and findings are hashes of their content: whoever has one can try values until one fits."""
_PARTS = {"because": "finding", "evidence": "value"}
"""Lists, and what of each entry is taken out."""
_GROUP = ("members", "positions", "quarantined", "contacts", "open_conversations", "mappings", "flips")
"""What a line of `seen` has (core/seen.py): of that, nothing stays but who it is about."""
_SEEN = "seen"
_INPUTS = "inputs"
"""The digests over all that was read. They go with the first value that goes, so that the digest of the record, which
stays in the chain, covers 256 bits that nobody knows any more, and cannot be used to try values either."""
_READ = ("members", "positions", "contacts", "rows")
_END = re.compile(r' "previous": (?:null|"(sha256:[0-9a-f]{64})"), "digest": "(sha256:[0-9a-f]{64})"\}')
_HEADING = '{"format": '
_OPENING = f'{_HEADING}"{FORMAT}"'.encode()

Key: TypeAlias = bytes | None
"""The key of one item; None once it is thrown away."""


class Item(msgspec.Struct, frozen=True):
    """One action, finding or outcome: a line of a record."""

    public: dict[str, Any]
    """What stays: of fields with values their names, of evidence where it stands; null where something is taken out."""
    personal: dict[str, Any] | str
    """The values; or, once they are erased, their HMAC in hexadecimal."""


Line: TypeAlias = str | Item
"""A line of a record: one of its heading and its end as it is, all others as items."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """A record that values were taken out of. It stands under the record's own name."""

    record: str
    record_digest: str
    """What the record ended with."""
    lines: tuple[Line, ...]


def is_erased(data: bytes) -> bool:
    """Whether these are the bytes of a record that values were taken out of."""
    return data.startswith(_OPENING)


def lines_of(record: bytes) -> tuple[Line, ...]:
    """The lines of a whole record, as it was written."""
    return tuple(_line(line) for line in record.decode().split("\n"))


def count_items(lines: Sequence[Line]) -> int:
    """How many keys the lines need."""
    return sum(isinstance(line, Item) for line in lines)


def commitment(lines: Sequence[Line], keys: Sequence[Key]) -> str:
    """`sha256:…` over the lines, with every personal value replaced by its HMAC: the same before and after erasing.

    Raises ValueError where a key is missing for values that are still there.
    """
    left = iter(keys)
    text = "\n".join(
        line if isinstance(line, str) else _json({**line.public, "personal": _hidden(line, next(left, None))})
        for line in lines
    )
    return "sha256:" + sha256(text.encode()).hexdigest()


def erase(
    lines: Sequence[Line], keys: Sequence[Key], *, which: Callable[[Item], bool]
) -> tuple[tuple[Line, ...], tuple[Key, ...]]:
    """The lines without the values of those items, and the keys that are left. The inputs of a plan always go."""
    kept: list[Line] = []
    left: list[Key] = []
    unused = iter(keys)
    for line in lines:
        if isinstance(line, str):
            kept.append(line)
            continue
        key = next(unused, None)
        gone = isinstance(line.personal, str) or _INPUTS in line.public or which(line)
        kept.append(Item(line.public, _hidden(line, key)) if gone else line)
        left.append(None if gone else key)
    return tuple(kept), tuple(left)


def encode(erased: Erased) -> bytes:
    """The file of a record that values were taken out of: JSON, one line of the record a line."""
    head = f'{{"format": "{FORMAT}", "record": {_json(erased.record)}, "record_digest": "{erased.record_digest}",'
    body = ",\n".join(
        _json(line if isinstance(line, str) else {"public": line.public, "personal": line.personal})
        for line in erased.lines
    )
    return f'{head}\n "lines": [\n{body}\n ]}}\n'.encode()


def decode(data: bytes, *, where: str) -> Erased:
    """What `encode` wrote. Raises PlanUnreadable for anything else."""
    try:
        document = json.loads(data)
        lines = tuple(
            line if isinstance(line, str) else Item(dict(line["public"]), line["personal"])
            for line in document["lines"]
        )
        found = Erased(record=document["record"], record_digest=document["record_digest"], lines=lines)
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(where) from error
    if encode(found) != data:
        raise _unreadable(where)
    return found


def encode_keys(keys: Sequence[Key]) -> bytes:
    """The file of the keys."""
    return f"{_json({'format': KEYS_FORMAT, 'keys': [None if key is None else key.hex() for key in keys]})}\n".encode()


def decode_keys(data: bytes, *, where: str) -> tuple[Key, ...]:
    """What `encode_keys` wrote. Raises PlanUnreadable for anything else."""
    try:
        document = json.loads(data)
        keys = tuple(None if key is None else bytes.fromhex(key) for key in document["keys"])
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(where) from error
    if encode_keys(keys) != data:
        raise _unreadable(where)
    return keys


def as_record(erased: Erased) -> bytes:
    """The record in the form that it had, with `[erased]` in the place of what is gone. Its digest fits no more."""
    text = []
    for place, line in enumerate(erased.lines):
        if isinstance(line, str):
            text.append(line)
            continue
        whole = _joined(line, number=place)
        if _INPUTS in whole:
            text.append(f' "{_INPUTS}": {_json(whole[_INPUTS])},')
            continue
        is_last = not isinstance(erased.lines[place + 1], Item)
        text.append(_json(whole) + ("" if is_last else ","))
    return "\n".join(text).encode()


def previous_of(erased: Erased) -> str | None:
    """The digest of the record before it. Raises ValueError where the end of the record is not in its form."""
    end = "".join(line for line in erased.lines[-2:] if isinstance(line, str))
    found = _END.fullmatch(end)
    if found is None or found[2] != erased.record_digest:
        raise ValueError("the record does not end as records do")
    return found[1]


def _line(line: str) -> Line:
    if line.startswith("{") and not line.startswith(_HEADING):
        return _split(msgspec.json.decode(line.removesuffix(",")))
    if line.startswith(f' "{_INPUTS}": '):
        return _split(msgspec.json.decode("{" + line.removesuffix(",") + "}"))
    return line


def _split(item: dict[str, Any]) -> Item:
    if item.keys() <= set(_GROUP):
        return Item({_SEEN: _named(item)}, {_SEEN: item})
    public: dict[str, Any] = {}
    personal: dict[str, Any] = {}
    for name, value in item.items():
        if name in _VALUES_BY_FIELD:
            public[name], personal[name] = sorted(value), value
        elif name in _HASHES_AND_TEXT:
            public[name], personal[name] = None, value
        elif name == "after":
            public[name], personal[name] = [], value
        elif name in _PARTS:
            public[name] = [{key: part[key] for key in part if key != _PARTS[name]} for part in value]
            personal[name] = [part[_PARTS[name]] for part in value]
        elif name == _INPUTS:
            public[name] = {key: {**one, "sha256": None} if key in _READ else one for key, one in value.items()}
            personal[name] = {key: one["sha256"] for key, one in value.items() if key in _READ}
        else:
            public[name] = value
    return Item(public, personal)


def _named(group: dict[str, Any]) -> list[str]:
    """Whom a line of `seen` is about: `members/12345`, `contacts/5ba6…`."""
    members = (f"members/{one.get('number', '')}" for one in group.get("members", ()) if one.get("number"))
    return sorted({*members, *(f"contacts/{one['id']}" for one in group.get("contacts", ()))})


def _joined(item: Item, *, number: int) -> dict[str, Any]:
    """An item as it stood in the file, as far as its values are there."""
    whole = dict(item.public)
    there = None if isinstance(item.personal, str) else item.personal
    if _SEEN in item.public:
        group: dict[str, Any] = {} if there is None else there[_SEEN]
        return group
    for name, value in item.public.items():
        if name in _VALUES_BY_FIELD:
            # What was sent is compared from night to night: nothing must not look like one value sent again and again.
            gone = {} if name in {"sent", "read_back"} else dict.fromkeys(value, ERASED)
            whole[name] = gone if there is None else there[name]
        elif name in _HASHES_AND_TEXT:
            whole[name] = (ERASED if name == "says" else f"{ERASED} {number}") if there is None else there[name]
        elif name == "after":
            whole[name] = value if there is None else there[name]
        elif name in _PARTS:
            values = [ERASED] * len(value) if there is None else there[name]
            whole[name] = [{**part, _PARTS[name]: one} for part, one in zip(value, values, strict=True)]
        elif name == _INPUTS:
            digests = dict.fromkeys(_READ, ERASED) if there is None else there[name]
            whole[name] = {key: {**one, "sha256": digests.get(key, one["sha256"])} for key, one in value.items()}
    return whole


def _hidden(item: Item, key: Key) -> str:
    if isinstance(item.personal, str):
        return item.personal
    if key is None:
        raise ValueError("values that are there have lost their key")
    return hmac.digest(key, _json(item.personal).encode(), "sha256").hex()


_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""JSON as the commitments have it; one encoder for all lines, as making it costs more than most lines do."""


def _unreadable(where: str) -> PlanUnreadable:
    return PlanUnreadable(
        f"{where} is not a file of format {FORMAT} or {KEYS_FORMAT}, as it was written",
        next_step="Restore it from a backup; `reconcile verify` names all that is not as it was written.",
    )
