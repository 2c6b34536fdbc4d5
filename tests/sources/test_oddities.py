"""Odd data: each case of tests/corpus/oddities.yaml, and any mixture of them (failure modes E1 to E10)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import ATTRIBUTE_PREFIX, Contact, SourceData
from reconciler.core.plan import Plan, decode, encode
from reconciler.core.planner import Context, Scope, make_plan
from reconciler.core.rules import Rules
from reconciler.core.snapshot import index
from reconciler.core.world import build_world
from reconciler.report.text import plan_text
from tests.support.builders import default_rules
from tests.support.campaign import NIGHTLY
from tests.support.oddities import POSITIONS, ROWS, read, spelt_out, whole

NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
FILE = Path(__file__).parents[1] / "corpus" / "oddities.yaml"


class Oddity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the file, which explains them."""

    row: str
    oddity: str
    members: list[dict[str, Any]]
    gives: list[dict[str, Any]]
    reports: list[tuple[str, str | None]]
    positions: list[tuple[str, str]] = []
    contacts: list[dict[str, Any]] = []
    latest_change: str | None = None


ODDITIES = msgspec.convert(yaml.safe_load(FILE.read_text("utf-8")), list[Oddity])


def rules() -> Rules:
    """As shipped, but for orphans, which are archived, and the share of bad rows, which is not what this is about."""
    shipped = default_rules()
    orphans = msgspec.structs.replace(shipped.findings.orphan_contact, then="archive")
    guards = msgspec.structs.replace(shipped.limits.source, quarantine_percent=100)
    return msgspec.structs.replace(
        shipped,
        findings=msgspec.structs.replace(shipped.findings, orphan_contact=orphans),
        limits=msgspec.structs.replace(shipped.limits, source=guards),
    )


RULES = rules()
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SHOWN = ("first_name", "last_name", "phone", "region", "facility", "email", "updated_at")


def planned(data: SourceData, contacts: list[Contact]) -> Plan:
    """The plan for these."""
    context = Context(
        now=NOW, read_at=NOW, tool="reconciler", target="contacts", workspace="w", intercom_version="2.16"
    )
    return make_plan(build_world(data, index(contacts), RULES), Scope(), context)


def contact(row: dict[str, Any]) -> Contact:
    """A contact of the file."""
    fields: dict[str, Any] = {"role": "user"}
    attributes: dict[str, Any] = {}
    if (number := row.get("like")) is not None:
        fields |= {"external_id": number, "email": f"m{number}@example.org", "name": "Ann Lee"}
        attributes = {"member_number": number, "region": "NEA", "facility": "ZNY", "member_type": "Current Member"}
    for name, written in row.items():
        value = spelt_out(written) if isinstance(written, str) else written
        if name.startswith(ATTRIBUTE_PREFIX):
            attributes[name.removeprefix(ATTRIBUTE_PREFIX)] = value
        elif name != "like":
            fields[name] = value
    return Contact(**fields, custom_attributes=attributes)


@pytest.mark.parametrize("case", ODDITIES, ids=lambda case: f"{case.row} {case.oddity}")
def test_oddity(case: Oddity) -> None:
    """To the last action and finding; and the plan can be written, read back and shown."""
    data = read(map(whole, case.members), [(spelt_out(number), spelt_out(code)) for number, code in case.positions])
    assert data.changed_at == case.latest_change
    made = planned(data, list(map(contact, case.contacts)))
    assert made.applyable
    done = [{action.do: action.contact or action.member, **action.set} for action in made.actions]
    wanted = [
        {name: spelt_out(value) if isinstance(value, str) else value for name, value in one.items()}
        for one in case.gives
    ]
    assert [{name: one.get(name) for name in other} for one, other in zip(done, wanted, strict=True)] == wanted
    assert all("update" not in one or one.keys() == other.keys() for one, other in zip(done, wanted, strict=True))
    assert [(one.rule, one.member) for one in made.findings if one.severity == "review"] == case.reports
    assert decode(encode(made), where="x") == made
    plan_text(made).encode()


@pytest.mark.parametrize("number", range(1, 11))
def test_every_row_has_a_case(number: int) -> None:
    """E1 to E10, none forgotten."""
    assert any(case.row == f"E{number}" for case in ODDITIES)


CONTACTS = [
    Contact("c1", "user", "100", "m100@example.org", None, "Ann Lee"),
    Contact("c2", "user", "200", "both@x.org", None, "Old Name", {"positions": "NATCA President"}),
    Contact("c3", "lead", None, "both@x.org"),
    Contact("c4", "user", "0e2f4a9c-5b7d-4c1e-9a63-d2f08b51c7e4", "m100@example.org"),
    Contact("c5", "user", "300", None, None, None, {"member_number": "300"}),
    Contact("c6", "user", "400", "gone@x.org"),
]


@given(st.lists(ROWS, max_size=6), st.lists(POSITIONS, max_size=4))
@settings(max_examples=20_000 if NIGHTLY else 400, deadline=None)
def test_any_oddities(members: list[dict[str, Any]], positions: list[tuple[str, str]]) -> None:
    """Every row is there or set apart; nothing that is no text gets anywhere; who is unsure is left alone."""
    data = read(map(whole, members), positions)
    assert len(data.members) == len(members)
    assert len(data.positions) + sum(one.table == "positions" for one in data.quarantined) == len(positions)
    made = planned(data, CONTACTS)
    text = encode(made).decode("utf-8")
    assert decode(text.encode(), where="x") == made
    json.loads(text)
    plan_text(made).encode()
    unsure = data.unsure()
    numbers = [member.number for member in data.members]
    for action in made.actions:
        assert action.member not in unsure
        assert action.do not in {"create", "update", "promote"} or numbers.count(action.member or "") <= 1
        assert not [one for one in CONTACTS if one.id == action.contact and one.external_id in unsure]
        assert not [value for value in action.set.values() if _UNFIT.search(str(value))]


@given(st.lists(ROWS, max_size=6), st.lists(POSITIONS, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=5_000 if NIGHTLY else 100, deadline=None)
def test_odd_rows_in_any_order_give_one_plan(
    members: list[dict[str, Any]], positions: list[tuple[str, str]], chance: Any
) -> None:
    """A database hands rows over in any order, the bad ones among them."""
    data = read(map(whole, members), positions)
    chance.shuffle(members)
    chance.shuffle(positions)
    assert read(map(whole, members), positions) == data


@given(st.lists(ROWS, max_size=6))
@settings(max_examples=5_000 if NIGHTLY else 100, deadline=None)
def test_what_is_set_apart_is_never_shown(members: list[dict[str, Any]]) -> None:
    """Findings name row, field and reason; the value would be read by a terminal, a browser or a log."""
    secret = "k4narienvogel"
    marked = [row | {field: f"{value}{secret}" for field, value in row.items() if field in _SHOWN} for row in members]
    said = [one for one in planned(read(map(whole, marked)), CONTACTS).findings if one.rule == "quarantined-row"]
    assert not [one for one in said if secret in repr(one)]
