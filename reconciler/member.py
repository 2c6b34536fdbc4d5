"""One member: the same planner, limits and outcomes as the night, on the part of the world around one contact.

What a plan for one member depends on is gathered and no more: the member's rows, the members who share an e-mail, a
phone or the number, the contacts that any identifier ties to the member, and the members those may be instead. So the
plan is the slice of the full plan that `Scope(only=…)` cuts out (tests/properties/test_one_member.py).

The plan is stored and applied at once, in one piece. Where this process dies in the middle, whoever repeats the event
gathers anew, and thereby reads back, by id, whatever was written, before anything is sent (design §4.7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from reconciler import controller
from reconciler.core.actions import Outcome
from reconciler.core.desired import phone_region
from reconciler.core.history import History
from reconciler.core.model import Contact, Member, Position, SourceData, Workspace, silent
from reconciler.core.plan import Plan
from reconciler.core.planner import Context, Scope, make_plan
from reconciler.core.rules import Rules
from reconciler.core.snapshot import index
from reconciler.core.whom import Whom, clues, held_by, is_neighbour, known_by, mapped_to, named_by
from reconciler.core.world import World, build_world
from reconciler.errors import PlanRefused
from reconciler.runs.apply import Stop, apply_plan
from reconciler.runs.store import PlanStore
from reconciler.sources import LookUp
from reconciler.targets import Finder, Writer

MOST = 200
"""Contacts around one member that are looked at, beyond those of the member: more is a world to plan for at night."""


SIDE_BY_SIDE = 4
"""Actions of one member under way at a time."""


class Around:
    """The part of the world around one contact, while it is gathered. rules: may be replaced before it spreads."""

    def __init__(self, lookup: LookUp, finder: Finder, rules: Rules) -> None:
        self._lookup = lookup
        self._finder = finder
        self.rules = rules
        self._members: dict[str, Member] = {}
        self._positions: dict[str, Position] = {}
        self._contacts: dict[str, Contact] = {}
        self._asked = Whom()

    @property
    def members(self) -> tuple[Member, ...]:
        """Those known so far, as a source orders them."""
        return tuple(self._members[row] for row in sorted(self._members, key=lambda row: _order(self._members[row])))

    @property
    def source(self) -> SourceData:
        """What was found of the desired side."""
        positions = sorted(self._positions.values(), key=lambda one: (one.member_number, one.code, one.row))
        return SourceData(self._lookup.name, self.members, tuple(positions))

    def add(self, contact: Contact) -> None:
        """A contact that was read by its id just now."""
        self._contacts[contact.id] = contact

    async def ask(self, whom: Whom) -> None:
        """Look these members up, unless they were."""
        whom = msgspec.structs.replace(whom.cleaned(), region=phone_region(self.rules))
        new = whom.without(self._asked)
        if not new:
            return
        self._asked = self._asked.joined(new)
        data = await asyncio.to_thread(self._lookup.find, new)
        self._members.update((one.row, one) for one in data.members)
        self._positions.update((one.row, one) for one in data.positions)

    async def spread(self, numbers: Iterable[str], *, again: bool = True) -> None:
        """From these members: those who share something with them, their contacts, and whose these may be instead."""
        wanted = frozenset(numbers)
        await self.ask(named_by(self._contacts.values(), self.rules))
        core = known_by((one for one in self._members.values() if one.number in wanted), self.rules)
        if self._is_mapped():
            # A contact that a person has mapped may hold what belongs to anybody.
            core = core.joined(named_by(self._contacts.values(), self.rules))
        await asyncio.gather(self.ask(core), self._find(core))
        # Who else has what these have: what gives it up may never get it back (core/identifiers.py).
        await self._find(held_by(self._contacts.values()).without(core))
        await self.ask(named_by(self._contacts.values(), self.rules))
        if again and self._is_mapped():
            await self.spread(self.numbers(), again=False)

    async def _find(self, whom: Whom) -> None:
        """The contacts of these members. A search gives ideas; each is read by its id before it counts."""
        ideas = await self._finder.candidates(clues(whom, self.rules)) if whom else ()
        near = [one.id for one in ideas if is_neighbour(one, whom, self.rules)]
        unread = [one for one in dict.fromkeys([*near, *mapped_to(whom, self.rules)]) if one not in self._contacts]
        if len(unread) > MOST:
            raise PlanRefused(
                f"{len(unread)} contacts may be member {' or '.join(sorted(whom.numbers))}",
                next_step="See what ties them together with `reconcile plan`.",
            )
        for contact in await asyncio.gather(*map(self._finder.contact, unread)):
            if contact is not None:
                self.add(contact)

    def _is_mapped(self) -> bool:
        return any(contact in self.rules.mappings for contact in self._contacts)

    async def world(self) -> World:
        """What was gathered, with the conversations that a rule has to know of."""
        world = build_world(self.source, index(self._contacts.values()), self.rules)
        return await controller.ask_about_conversations(world, self._finder, silent)

    def numbers(self) -> tuple[str, ...]:
        """The members known so far."""
        return tuple(dict.fromkeys(one.number for one in self.members))


def _order(member: Member) -> tuple[str, ...]:
    """As rows are ordered by sources/rows.py."""
    return tuple(value or "" for value in msgspec.structs.astuple(member))


async def gather_around(around: Around, numbers: Iterable[str]) -> World:
    """The world around these members; `around` holds the contact that the event is about, if there is one."""
    await around.spread(numbers)
    return await around.world()


def plan_for(
    world: World,
    numbers: Iterable[str],
    *,
    workspace: Workspace,
    version: str,
    live: int,
    history: History,
    previous: str | None,
    at: datetime,
) -> Plan:
    """The plan for these members, stored nowhere yet. Pure.

    live: contacts of the whole workspace, which the limits are held against. previous: the digest of the record before.
    """
    context = Context(
        now=at,
        read_at=at,
        tool=controller.TOOL,
        target="contacts",
        workspace=workspace.id,
        intercom_version=version,
        previous=previous,
        history=history,
        live=live,
    )
    return make_plan(world, Scope(only=frozenset(numbers)), context)


async def apply_now(
    made: Plan, *, writer: Writer, store: PlanStore, now: Callable[[], datetime], stop: Stop
) -> tuple[Outcome, ...]:
    """Store a plan, apply it, and store what became of it. stop: as for `apply_plan`.

    Raises TargetError, PlanError or StateError. What was written before that, a repetition finds done.
    """
    started_at = now()
    store.put_plan(made)
    outcomes = await apply_plan(made, writer, now=now, max_parallel=SIDE_BY_SIDE, progress=silent, stop=stop)
    store.put_outcome(made, outcomes, started_at=started_at, finished_at=now())
    return outcomes
