"""A link of the chain: which record comes next, by its digest, and the digest of the link before it (design §4.10).

Records (plans, outcomes, approvals) keep the names that people look for; links are numbered, `chain/00000042.json`, so
that their order is beyond doubt and only one writer gets a number. Sealed like any record.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reconciler.core import sealed

FORMAT = "reconciler.link/1"

NEXT_STEP = "Run `reconcile verify`: it names everything in the chain that is not as it was written."


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link. `previous` and the digest of the link itself stand at the end of its file."""

    number: int
    """From 1, without a gap."""
    record: str
    """The name of the record."""
    record_digest: str
    """`sha256:…`: what the record ends with."""
    commitment: str
    """`sha256:…` over the record with its personal values hidden (core/erasure.py): what it can be held against once
    they are taken out."""
    follows: bool
    """Whether the record's own `previous` is the record of the link before. False for one that came from elsewhere:
    a plan that was applied from a file, or whose writer was overtaken by another."""
    previous: str | None = None
    """`sha256:…` of the link before this one."""


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything of the file but `previous` and `digest`, in file order."""

    format: str
    number: int
    record: str
    record_digest: str
    commitment: str
    follows: bool


class _Document(_Header, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    previous: str | None
    digest: str


def encode(link: Link) -> bytes:
    """The bytes of a link. Its digest covers every byte before it."""
    header = _Header(
        format=FORMAT,
        number=link.number,
        record=link.record,
        record_digest=link.record_digest,
        commitment=link.commitment,
        follows=link.follows,
    )
    return sealed.seal(sealed.header(header, on_first_line=len(_Header.__struct_fields__)), previous=link.previous)


def schema() -> dict[str, Any]:
    """The JSON Schema of a link."""
    return msgspec.json.schema(_Document)


def decode(data: bytes, *, where: str) -> Link:
    """The link in `data`. Raises PlanUnreadable for anything but the very bytes that `encode` writes."""
    document = sealed.open_as(
        _Document, data, format_=FORMAT, noun="a link of the chain", where=where, next_step=NEXT_STEP
    )
    link = Link(
        number=document.number,
        record=document.record,
        record_digest=document.record_digest,
        commitment=document.commitment,
        follows=document.follows,
        previous=document.previous,
    )
    if encode(link) != data:
        raise sealed.changed(where=where, digest=document.digest, next_step=NEXT_STEP)
    return link
