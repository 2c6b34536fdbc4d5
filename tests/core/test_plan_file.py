"""The plan file: what is written is what is read, and nothing else is (design §8)."""

from __future__ import annotations

import json
from hashlib import sha256

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import sealed
from reconciler.core.actions import KINDS, Action, Because
from reconciler.core.model import Evidence, Finding
from reconciler.core.plan import (
    Digest,
    Inputs,
    LimitCheck,
    Plan,
    Summary,
    decode,
    digest_of,
    encode,
    first_action,
    heading,
    schema,
)
from reconciler.errors import PlanUnreadable
from tests.report.plans import every_kind, hostile, make_plan
from tests.support.plans import PLANS

ACTION = Action(
    id="u-5b1e9a",
    do="update",
    contact="5ba682d2",
    member="12345",
    expect={"phone": "(765) 465-7031"},
    set={"phone": "+17654657031"},
    because=(Because("fix-phone", "f-0012", "phone"),),
)

SMALL = Plan(
    id="20261123T023000Z-8f3a1c5e",
    tool="reconciler 0.1.0",
    target="contacts",
    workspace="abc123",
    intercom_version="2.16",
    created_at="2026-11-23T02:30:00Z",
    expires_at="2026-11-24T02:30:00Z",
    applyable=True,
    refused_because=(),
    inputs=Inputs(
        rules=Digest("00"), members=Digest("01", "sqlite", 1), positions=Digest("02"), contacts=Digest("03", count=1)
    ),
    summary=Summary(create=0, update=1, promote=0, merge=0, archive=0, held=0, report=0, unchanged=0),
    limits=(LimitCheck("update", 200, 1, ok=True),),
    actions=(ACTION, Action(id="m-1", do="merge", contact="c1", into="c2", undo="none")),
    findings=(
        Finding("f-0012", "fix-phone", "fixable", "5ba682d2", "12345", "is not in E.164", (Evidence("here", "phone"),)),
    ),
)

BYTES = encode(SMALL)


def resealed(data: bytes) -> bytes:
    """The file after an edit, with a digest that is right for it: what a careful forger would write."""
    covered = data[: data.rindex(b'"sha256:')]
    return covered + b'"sha256:' + sha256(covered).hexdigest().encode() + b'"}\n'


@given(PLANS)
def test_round_trip(plan: Plan) -> None:
    """Whatever stands in a plan, every kind of action included, comes back as it was, from the same bytes."""
    data = encode(plan)
    assert decode(data, where="x.json") == plan
    assert encode(plan) == data
    covered = data[: data.rindex(b'"sha256:')]
    assert digest_of(data) == f"sha256:{sha256(covered).hexdigest()}"


@given(PLANS)
def test_one_item_a_line(plan: Plan) -> None:
    """Each action and each finding has a line of its own, so that grep, git diff and jq work; it is plain JSON."""
    data = encode(plan)
    document = json.loads(data)
    assert document["format"] == "reconciler.plan/1"
    assert len(document["actions"]) == len(KINDS)
    lines = data.split(b"\n")
    assert lines.pop() == b""
    for kept, title in ((plan.actions, b' "actions": ['), (plan.findings, b' "findings": [')):
        start = lines.index(title) + 1
        for item, line in zip(kept, lines[start:], strict=False):
            assert msgspec.json.decode(line.removesuffix(b","), type=type(item)) == item
        assert lines[start + len(kept)] == b" ],"


def test_header_of_the_example() -> None:
    """The file begins as design §8 shows it, which scripts rely on."""
    assert BYTES.startswith(
        b'{"format": "reconciler.plan/1", "id": "20261123T023000Z-8f3a1c5e", "tool": "reconciler 0.1.0", '
        b'"target": "contacts", "workspace": "abc123",'
    )
    assert b'\n{"id": "u-5b1e9a", "do": "update", "contact": "5ba682d2", "member": "12345", "expect": ' in BYTES


def test_every_changed_byte_is_refused() -> None:
    """Three flips of every single byte: no edit passes, however small, and each is told as what it is."""
    for place, byte in enumerate(BYTES):
        for flip in (0x01, 0x20, 0x80):
            with pytest.raises(PlanUnreadable):
                decode(BYTES[:place] + bytes([byte ^ flip]) + BYTES[place + 1 :], where="x.json")


def test_every_cut_is_refused() -> None:
    """A file that ends early, at whatever byte, is no plan; nor is one with something behind it."""
    for length in range(len(BYTES)):
        with pytest.raises(PlanUnreadable):
            decode(BYTES[:length], where="x.json")
    for tail in (b"\n", b" ", b"{}", BYTES):
        with pytest.raises(PlanUnreadable):
            decode(BYTES + tail, where="x.json")


@given(st.integers(0, len(BYTES) - 1), st.integers(1, 40), st.binary(max_size=40))
@settings(max_examples=500)
def test_every_splice_is_refused(place: int, length: int, piece: bytes) -> None:
    """Bytes taken out, put in or replaced, in any number."""
    changed = BYTES[:place] + piece + BYTES[place + length :]
    if changed != BYTES:
        with pytest.raises(PlanUnreadable):
            decode(changed, where="x.json")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"tool": ', b'"sudo": true, "tool": ', "a field that this release does not know"),
        (b'"do": "update"', b'"do": "update", "force": true', "the same within an action"),
        (b'"do": "update"', b'"do": "block"', "an action that this release does not know"),
        (b"reconciler.plan/1", b"reconciler.plan/2", "another version of the format"),
        (b"reconciler.plan/1", b"reconciler.outcome/1", "another kind of file"),
        (b'"applyable": true', b'"applyable": "true"', "another type"),
        (b'"applyable": true,', b"", "a field missing"),
        (b'"update": 1', b'"update": 1.0', "another spelling of the same number"),
        (b'"archive": 0,', b'"archive": 0, "archive": 0,', "a key given twice"),
        (b'"contact": "5ba682d2", "member"', b'"member"', "an update of no contact"),
        (b'"do": "update"', b'"do": "merge"', "a merge into nobody"),
        (b'"undo": "exact"', b'"undo": "exact", "expect_into": {"external_id": "7"}', "nothing to be merged into"),
        (b'"undo": "none"', b'"undo": "none" ', "white space"),
        (b"(765)", b"\\u0028765)", "an escape where none is needed"),
    ],
)
def test_forged_file_is_refused(old: bytes, new: bytes, reason: str) -> None:
    """Also where the digest was made anew: only what encode writes is a plan, so nothing can hide in one."""
    assert old in BYTES
    with pytest.raises(PlanUnreadable) as refused:
        decode(resealed(BYTES.replace(old, new, 1)), where="x.json")
    assert "x.json" in refused.value.what, reason
    assert "reconcile plan" in refused.value.next_step


def test_edit_is_named_as_one() -> None:
    """A plan that reads well but has another digest says that it was changed, not that it is broken JSON."""
    with pytest.raises(PlanUnreadable, match="was changed after it was written"):
        decode(BYTES.replace(b"+17654657031", b"+17654657032"), where="x.json")


def test_other_format_is_named() -> None:
    """A plan of a later release says which format it has and which one is read here."""
    data = BYTES.replace(b"reconciler.plan/1", b"reconciler.plan/2")
    with pytest.raises(PlanUnreadable, match=r"'reconciler.plan/2'; this release reads 'reconciler.plan/1' only"):
        decode(resealed(data), where="x.json")


@pytest.mark.parametrize("data", [b"", b"\n", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"{" * 100_000])
def test_other_bytes_are_refused(data: bytes) -> None:
    """Whatever file a person names by mistake."""
    with pytest.raises(PlanUnreadable):
        decode(data, where="x.json")


def test_whole_is_told_from_cut() -> None:
    """`is_whole` looks at bytes alone, so that records of later releases can stand in the chain."""
    assert sealed.is_whole(BYTES)
    assert not any(sealed.is_whole(BYTES[:length]) for length in range(len(BYTES)))
    assert not sealed.is_whole(BYTES.replace(b"12345", b"12346"))


def test_schema_fits_the_file() -> None:
    """The JSON Schema that others may check a plan by accepts a plan, and is closed."""
    rules = schema()
    jsonschema.validate(json.loads(BYTES), rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(BYTES) | {"sudo": True}, rules)


@pytest.mark.parametrize("plan", [make_plan(), every_kind(), hostile()], ids=["no action", "every kind", "hostile"])
def test_the_first_action_alone(plan: Plan) -> None:
    """It is the one that decoding the whole file gives, and there is none where the plan has none."""
    assert first_action(encode(plan)) == next(iter(decode(encode(plan), where="x").actions), None)


WHOLE = encode(every_kind())


@pytest.mark.parametrize("data", [b"", b"{}", WHOLE.replace(b"plan/1", b"plan/2"), WHOLE.replace(b'"do"', b'"to"')])
def test_the_first_action_of_another_format(data: bytes) -> None:
    """It is not guessed at."""
    with pytest.raises(PlanUnreadable):
        first_action(data)


@given(PLANS)
def test_the_heading_alone(plan: Plan) -> None:
    """What stands before the actions is what the whole plan says there."""
    found = heading(encode(plan), where="x.json")
    assert all(getattr(found, name) == getattr(plan, name) for name in found.__struct_fields__ if name != "format")


def test_the_heading_of_a_changed_plan_is_refused() -> None:
    """Not one byte of the plan may differ, also of what is not looked at."""
    for place in range(len(BYTES)):
        changed = bytearray(BYTES)
        changed[place] ^= 1
        for data in (bytes(changed), BYTES[:place]):
            with pytest.raises(PlanUnreadable):
                heading(data, where="x.json")


@pytest.mark.parametrize("data", [b"{}", BYTES.replace(b"reconciler.plan/1", b"reconciler.plan/9")])
def test_the_heading_of_what_is_no_plan_of_this_format(data: bytes) -> None:
    """Sealed as it should be, and yet nothing that this release reads."""
    with pytest.raises(PlanUnreadable):
        heading(sealed.seal(data, previous=None) if data == b"{}" else resealed(data), where="x.json")
