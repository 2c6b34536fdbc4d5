"""Sealed files: valid JSON, one item a line, closed by a digest over every byte before it (design §8).

Plans and outcomes are both written this way, so that `git diff`, `grep` and `jq` work on either, and so that one
check finds an edited byte or a cut tail in either.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from reconciler.errors import PlanUnreadable

DIGEST_LENGTH = len("sha256:") + 64

_CLOSE = b'"}\n'
_PREVIOUS = b' "previous": '

Document = TypeVar("Document", bound=msgspec.Struct)


def one_line(value: Any) -> bytes:
    """JSON on one line, with a space after `:` and `,` so that people can read and grep it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0)


def header(entries: msgspec.Struct, *, on_first_line: int) -> bytes:
    """The opening of the file: the first entries share one line, each of the others has its own."""
    inner = [b'"' + name.encode() + b'": ' + one_line(getattr(entries, name)) for name in entries.__struct_fields__]
    rest = b"".join(b",\n " + entry for entry in inner[on_first_line:])
    return b"{" + b", ".join(inner[:on_first_line]) + rest + b",\n"


def lines(key: str, items: tuple[Any, ...]) -> bytes:
    """A list with one item a line."""
    body = b",\n".join(one_line(item) for item in items)
    return b' "' + key.encode() + b'": [\n' + body + (b"\n" if items else b"") + b" ],\n"


def seal(body: bytes, *, previous: str | None) -> bytes:
    """The whole file: `body`, the digest of the record before it, and the digest of all of that."""
    covered = body + _PREVIOUS + one_line(previous) + b', "digest": '
    return covered + b'"sha256:' + sha256(covered).hexdigest().encode() + _CLOSE


def digest_of(sealed: bytes) -> str:
    """The digest that a sealed file ends with, `sha256:…`."""
    return sealed[-DIGEST_LENGTH - len(_CLOSE) : -len(_CLOSE)].decode("ascii")


def previous_of(sealed: bytes) -> str | None:
    """The digest of the record before it that a whole sealed file holds."""
    tail = sealed[sealed.rindex(_PREVIOUS) :]
    previous: str | None = msgspec.json.decode(b"{" + tail)["previous"]
    return previous


def is_whole(data: bytes) -> bool:
    """Whether `data` ends in the digest of what stands before it. Holds for every format, also of later releases."""
    covered = data[: -DIGEST_LENGTH - len(_CLOSE) - 1]
    return data.endswith(b'"sha256:' + sha256(covered).hexdigest().encode() + _CLOSE)


def open_as(type_: type[Document], data: bytes, *, format_: str, noun: str, where: str, next_step: str) -> Document:
    """The document in `data`, its digest not yet checked: the caller writes it anew and compares.

    Raises PlanUnreadable for anything that is not a `noun` of this format, naming `where` it was read from.
    """
    try:
        document = msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise PlanUnreadable(f"{where} is not {noun} of format {format_}: {error}", next_step=next_step) from error
    found = getattr(document, "format", None)
    if found != format_:
        raise PlanUnreadable(f"{where} has format {found!r}; this release reads {format_!r} only", next_step=next_step)
    return document


def changed(*, where: str, digest: str, next_step: str) -> PlanUnreadable:
    """The refusal of a file that is not, byte for byte, what was written."""
    return PlanUnreadable(
        f"{where} was changed after it was written: its content does not match its digest {digest}",
        next_step=next_step,
    )
