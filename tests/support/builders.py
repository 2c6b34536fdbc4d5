"""Builders with dull defaults: a test states only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from reconciler.core.history import NO_HISTORY, History
from reconciler.core.model import Contact, Member, Position, SourceData
from reconciler.core.plan import Plan
from reconciler.core.planner import Context, Scope, decide, make_plan
from reconciler.core.rules import Rules
from reconciler.core.rules.loader import parse_rules
from reconciler.core.snapshot import index
from reconciler.core.world import World, build_world

NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
"""When the plans of tests are made."""

RULES_FOLDER = Path(__file__).parents[2] / "rules"


@cache
def default_rules() -> Rules:
    """The rule files of the repository, read once: nobody changes them, tests that want others replace."""
    return parse_rules({path.name: path.read_text("utf-8") for path in sorted(RULES_FOLDER.glob("*.yaml"))})


def make_member(number: str = "12345", **overrides: str | None) -> Member:
    """An active member with an e-mail and a valid phone of their own."""
    values: dict[str, str | None] = {
        "first_name": "Ann",
        "last_name": f"Lee{number}",
        "email": f"ann{number}@example.org",
        "phone": None,
        "status": "Active",
        "member_type_id": "6",
        "region": "NEA",
        "facility": "ZNY",
    }
    return Member(number=number, row=f"members/{number}", **(values | overrides))


def make_position(number: str, code: str) -> Position:
    """One position of one member."""
    return Position(number, code, f"positions/{number}")


def make_contact(contact_id: str, member: Member | None = None, **overrides: object) -> Contact:
    """A user; where a member is given, just as the default rules want that member's contact."""
    values: dict[str, object] = {"id": contact_id, "role": "user", "created_at": 1_700_000_000}
    if member is not None:
        attributes = {
            "member_number": member.number,
            "region": member.region,
            "facility": member.facility,
            "member_type": "Current Member",
        }
        values |= {
            "external_id": member.number,
            "email": member.email,
            "name": f"{member.first_name} {member.last_name}",
            "phone": member.phone,
            "custom_attributes": attributes,
        }
    return Contact(**(values | overrides))  # type: ignore[arg-type]


def make_world(
    *,
    members: tuple[Member, ...] = (),
    contacts: tuple[Contact, ...] = (),
    positions: tuple[Position, ...] = (),
    rules: Rules | None = None,
) -> World:
    """Both sides under the default rules."""
    ordered = tuple(sorted(members, key=lambda member: (member.number, member.row)))
    source = SourceData("sqlite", ordered, positions)
    return build_world(source, index(contacts), rules or default_rules())


__all__ = ["Scope", "decide", "default_rules", "make_contact", "make_member", "make_position", "make_world"]


def planned(world: World, scope: Scope | None = None, history: History = NO_HISTORY) -> Plan:
    """The plan of a world."""
    context = Context(
        now=NOW,
        read_at=NOW,
        tool="reconciler 0.1.0",
        target="contacts",
        workspace="abc123",
        intercom_version="2.16",
        history=history,
    )
    return make_plan(world, scope or Scope(), context)
