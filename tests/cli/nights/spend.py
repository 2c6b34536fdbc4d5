"""Spends the nights of ten_nights.yaml: really planned, applied and taken back, against the stand-in for Intercom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml

from reconciler import controller
from reconciler.controller import PlanRequest
from reconciler.core.guards import Accepted
from reconciler.core.model import Contact, Member
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.runs.store import PlanStore
from reconciler.simulator import build_app
from tests.properties.night import Desk
from tests.properties.strategies import Union
from tests.support.builders import default_rules, make_contact, make_member

STORY = Path(__file__).parent / "ten_nights.yaml"
HOUR = "02:30:00"
REVIEW = 3600.0
"""Seconds between a plan and its run, in which a person reads it."""


def story() -> dict[str, Any]:
    """The file, with every value as text."""
    read: dict[str, Any] = yaml.load(STORY.read_text("utf-8"), Loader=yaml.BaseLoader)
    return read


async def spend_nights(told: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Spend all nights with a store in `folder`; returns the id of each night's plan by its date."""
    members = {number: make_member(number, **row) for number, row in told["members"].items()}
    contacts = [make_contact(one, members[number]) for one, number in told["contacts"].items()]
    union = Union(contacts=tuple(map(_seed_line, contacts)), rules=_rules(int(told["archives_a_night"])))
    desk = Desk(union, folder)
    nights: dict[str, str] = {}
    async with desk.target:
        for night in told["nights"]:
            desk.clock.now = datetime.fromisoformat(f"{night['date']}T{HOUR}+00:00").timestamp()
            for event in night.get("before", ()):
                if "union" in event:
                    row = dict(event["union"])
                    number = row.pop("member")
                    members[number] = msgspec.structs.replace(members.get(number) or make_member(number), **row)
                else:
                    await _in_intercom(desk, event["intercom"], members)
            desk.union = Union(tuple(members.values()), contacts=union.contacts, rules=union.rules)
            made = await _planned(desk, night, nights)
            nights[night["date"]] = made.id
            for event in night.get("meanwhile", ()):
                await _in_intercom(desk, event["intercom"], members)
            desk.clock.now += REVIEW
            await desk.apply(made, "plans")
    return nights


async def _planned(desk: Desk, night: Mapping[str, Any], nights: Mapping[str, str]) -> Plan:
    if "undo" not in night:
        numbers = {do: int(number) for do, number in night.get("accept", {}).items()}
        return await desk.plan("plans", request=PlanRequest(accepted=Accepted(numbers, "looked at" if numbers else "")))
    store = PlanStore(str(desk.folder / "plans"))
    run = store.get_outcome(nights[night["undo"]])
    return controller.undo(
        store.get_plan(run.plan),
        run,
        rules=desk.union.rules,
        store=store,
        accepted=Accepted(),
        now=desk.clock.moment,
    )


def _rules(archives: int) -> Rules:
    rules = default_rules()
    limit = msgspec.structs.replace(rules.limits.archive, percent=0.0, floor=archives)
    return msgspec.structs.replace(rules, limits=msgspec.structs.replace(rules.limits, archive=limit))


def _seed_line(contact: Contact) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(contact)
    return {name: value for name, value in fields.items() if value is not None}


async def _in_intercom(desk: Desk, what: Mapping[str, str], members: Mapping[str, Member]) -> None:
    """What an agent does by hand."""
    match dict(what):
        case {"duplicate": contact, "of": number}:
            twin = {"id": contact, "role": "user", "custom_attributes": {"member_number": number}}
            desk.simulator.seed([msgspec.json.encode(twin | {"name": _name(members[number])})])
        case {"blocked": contact, "as": number}:
            desk.simulator.seed(
                [msgspec.json.encode({"id": contact, "role": "user", "external_id": number, "_blocked": True})]
            )
        case {"unarchive": contact}:
            await _call(desk, "POST", f"/contacts/{contact}/unarchive", {})
        case {"contact": contact, **fields}:
            await _call(desk, "PUT", f"/contacts/{contact}", fields)
        case _:
            raise AssertionError(f"the story says {what}, which nobody can do")


def _name(member: Member) -> str:
    return f"{member.first_name} {member.last_name}"


async def _call(desk: Desk, method: str, path: str, body: Mapping[str, str]) -> None:
    headers = {"Authorization": "Bearer t", "Intercom-Version": "2.16"}
    transport = httpx.ASGITransport(app=build_app(desk.simulator))
    async with httpx.AsyncClient(transport=transport, base_url="http://intercom.test", headers=headers) as agent:
        answer = await agent.request(method, path, json=body)
    answer.raise_for_status()
