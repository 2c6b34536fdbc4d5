"""What is done about an event: the half of the web service that acts (events.Handler).

An event only says where to look. What is there is read, by id, each time that an event is handled, so that one which
comes twice, late or out of order finds nothing left to do, and one that was cut short is taken up where it stands
(design §4.7). Everything an event may write is claimed before it is read, so that the nightly run and another event
wait for each other (runs/claims.py); the pause is asked before each write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from reconciler import from_settings
from reconciler.core.actions import Action, Outcome
from reconciler.core.model import Contact, Workspace
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.core.rules.loader import with_mappings
from reconciler.core.whom import Whom, named_by
from reconciler.core.world import World
from reconciler.errors import NotFound, Paused, StateError, TargetError
from reconciler.member import Around, apply_now, gather_around, plan_for
from reconciler.runs.claims import member_name, names_of
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.settings import Settings
from reconciler.sources import LookUp
from reconciler.targets.intercom import IntercomTarget
from reconciler.web.alone import Again, Claimed, alone
from reconciler.web.events import MESSAGE_TOPICS, TAG_TOPIC, Event, Handled, Handler
from reconciler.web.memory import Memory
from reconciler.web.notes import marker_of, note
from reconciler.web.tagged import TAG, Refusal, Tagged, check_tagged, contacts_of, left_as_it_is, not_whole


class ContactHandler:
    """Implements events.Handler.

    now: UTC. sleep: seconds. paused: whether RECONCILER_PAUSED is set. The target's connections are the caller's to
    close.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        lookup: LookUp,
        target: IntercomTarget,
        store: PlanStore,
        database: StateDatabase,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        paused: bool = False,
    ) -> None:
        self._rules = rules
        self._lookup = lookup
        self._target = target
        self._store = store
        self._database = database
        self._pause = PauseSwitch(database)
        self._paused = paused
        self._now = now
        self._sleep = sleep
        self._workspace: Workspace | None = None
        self._memory = Memory(store, now=now)

    async def warm(self) -> None:
        """Read what every event needs, so that the first one does not wait for it. Raises PlanError."""
        await self._memory.recall()

    async def close(self) -> None:
        """End what is under way beside the events."""
        await self._memory.close()

    async def handle(self, event: Event) -> Handled:
        """Do what the event asks for. Raises ReconcilerError where it should be tried again later."""
        work = self._message if event.topic in MESSAGE_TOPICS else self._tag if event.topic == TAG_TOPIC else None
        if work is None:
            return Handled("nothing", f"nothing is done about {event.topic}")
        await self._may_write(None)
        return await alone(event, work, database=self._database, sleep=self._sleep)

    async def give_up(self, event: Event, *, reference: str) -> None:
        """Tell an agent who set a tag that it could not be followed. Raises ReconcilerError where that fails too."""
        if event.topic != TAG_TOPIC:
            return
        refusal = Refusal("system-error", detail=reference)
        await self._write_note(event, refusal)

    # --- topics -----------------------------------------------------------------------------------------------------

    async def _message(self, event: Event, claimed: Claimed) -> Handled:
        """A member wrote: the contact, found by its e-mail, is brought in line."""
        wrote = event.contact or await self._only_contact_of(event.conversation)
        if wrote is None:
            return Handled("nothing", f"conversation {event.conversation} is gone, or has not exactly one contact")
        contact = await self._read(wrote, claimed)
        if contact is None:
            return Handled("nothing", f"contact {wrote} is archived or gone")
        if contact.email is None:
            return Handled("nothing", f"contact {contact.id} has no e-mail to be found by")
        around = Around(self._lookup, self._target, self._rules)
        around.add(contact)
        await around.ask(Whom(emails=(contact.email,)))
        numbers = around.numbers()
        if not numbers:
            return Handled("nothing", f"no member has the e-mail of contact {contact.id}")
        await claimed.add([contact.id, *map(member_name, numbers)])
        world = await gather_around(around, numbers)
        made, outcomes = await self._carry_out(world, numbers, claimed)
        return _handled(contact, made, outcomes)

    async def _read(self, contact_id: str, claimed: Claimed) -> Contact | None:
        """A contact while nobody else writes it. One that lives on in another is read again once that is claimed."""
        await claimed.add([contact_id])
        contact = await self._target.contact(contact_id)
        if contact is not None and not claimed.holds(contact.id):
            raise Again([contact.id])
        return contact

    async def _only_contact_of(self, conversation_id: str) -> str | None:
        """Who wrote, where the notification does not say: the conversation does if one contact alone takes part."""
        try:
            conversation = await self._target.conversation(conversation_id)
        except NotFound:
            return None
        contacts = contacts_of(conversation)
        return contacts[0] if len(contacts) == 1 else None

    async def _tag(self, event: Event, claimed: Claimed) -> Handled:
        """An agent verified who it is: the contact becomes that member's, and the tag is taken off."""
        try:
            conversation = await self._target.conversation(event.conversation)
        except NotFound:
            return Handled("nothing", f"conversation {event.conversation} is gone")
        tag_id = conversation.tag(TAG)
        if tag_id is None or event.tag not in {None, tag_id}:
            return Handled("nothing", f"conversation {event.conversation} has no tag {TAG}, or another one was set")
        told = await check_tagged(conversation, lookup=self._lookup, rules=self._rules)
        if isinstance(told, Refusal):
            return await self._refuse(event, told)
        await claimed.add([told.contact, member_name(told.number)])
        contact = await self._read(told.contact, claimed)
        if contact is None:
            return await self._refuse(event, Refusal("contact-gone"))
        refusal, made = await self._verified(contact, told, claimed)
        if refusal is not None:
            return await self._refuse(event, refusal, made)
        await self._may_write(claimed)
        await self._target.take_tag_off(event.conversation, tag_id, admin=(await self._whose()).admin_id)
        says = f"contact {contact.id} is member {told.number}; the tag is off"
        return Handled("reconciled", says, made.id if made is not None and made.actions else None)

    async def _verified(self, contact: Contact, told: Tagged, claimed: Claimed) -> tuple[Refusal | None, Plan | None]:
        """Have the contact be that of the member. What an agent verified decides as a mapping does."""
        number = told.number
        around = Around(self._lookup, self._target, self._rules)
        around.add(contact)
        await around.ask(Whom(numbers=(number,)).joined(named_by((contact,), self._rules)))
        if (refusal := told.against(contact, around.source, self._rules)) is not None:
            return refusal, None
        around.rules = with_mappings(self._rules, {contact.id: number})
        world = await gather_around(around, [number])
        made, outcomes = await self._carry_out(world, [number], claimed)
        if (refusal := not_whole(contact, number, made, outcomes)) is not None:
            return refusal, made
        return left_as_it_is(contact, number, made), made

    async def _refuse(self, event: Event, refusal: Refusal, made: Plan | None = None) -> Handled:
        """Leave the tag, and say in a note what a person has to do."""
        await self._write_note(event, refusal)
        plan = made.id if made is not None and made.actions else None
        return Handled("refused", f"{refusal.reason}: the note in conversation {event.conversation} says why", plan)

    async def _write_note(self, event: Event, refusal: Refusal) -> None:
        await self._may_write(None)
        fields = refusal.fields(event)
        await self._target.write_note(
            event.conversation,
            note(refusal.reason, event.id, **fields),
            marker=marker_of(refusal.reason, event.id),
            admin=(await self._whose()).admin_id,
        )

    # --- planning and writing ---------------------------------------------------------------------------------------

    async def _carry_out(
        self, world: World, numbers: Iterable[str], claimed: Claimed
    ) -> tuple[Plan, tuple[Outcome, ...]]:
        """Plan, and apply where there is anything to do.

        Raises Paused, and TargetError for what is to be tried again; `Again` where contacts have to be read anew.
        """
        memory = await self._memory.recall()
        workspace = await self._whose()
        made = plan_for(
            world,
            numbers,
            workspace=workspace,
            version=self._target.version,
            live=memory.live,
            history=memory.history,
            previous=await asyncio.to_thread(self._store.latest_digest),
            at=self._now(),
        )
        if not made.actions:
            return made, ()
        if not claimed.has(made.actions):
            # Read before they were claimed, so they are read anew.
            raise Again([name for action in made.actions for name in names_of(action)])
        await self._may_write(claimed)
        if await asyncio.to_thread(self._store.has_outcome, made.id):
            # The same was planned and tried in this very second; a plan runs once, so this one gets another time.
            await self._sleep(1.0)
            raise Again
        outcomes = await apply_now(
            made,
            writer=_Known(self._target, workspace),
            store=self._store,
            now=self._now,
            stop=lambda: claimed.reason_to_stop() or self._pause_reason(),
        )
        self._memory.add(made, outcomes)
        await self._look_at(made, outcomes, claimed)
        return made, outcomes

    async def _look_at(self, made: Plan, outcomes: tuple[Outcome, ...], claimed: Claimed) -> None:
        """Raises what has an event tried again: at once, or later."""
        held = made.held()
        if any(one.outcome == "stale" for one in outcomes):
            raise Again
        if any(one.outcome == "held" and one.action not in held for one in outcomes):
            await self._may_write(claimed)
        for one in outcomes:
            if one.outcome in {"failed", "unknown"} and one.code != "conflict":
                raise TargetError(
                    f"Action {one.action} of plan {made.id} ended {one.outcome}: {one.says}",
                    next_step=f"See `reconcile show {made.id}`.",
                )

    async def _may_write(self, claimed: Claimed | None) -> None:
        """Raises Paused, or StateError where the claims are lost."""
        reason = await asyncio.to_thread(self._pause_reason)
        if reason is not None:
            raise Paused(f"nothing is written: {reason}", next_step="Run `reconcile resume`; the event is tried again.")
        lost = claimed.reason_to_stop() if claimed is not None else None
        if lost is not None:
            raise StateError(lost, next_step="The event is tried again by itself.")

    def _pause_reason(self) -> str | None:
        return "RECONCILER_PAUSED is set" if self._paused else self._pause.reason()

    async def _whose(self) -> Workspace:
        """The workspace, asked for once: a token opens one workspace for ever."""
        if self._workspace is None:
            self._workspace = await self._target.workspace()
        return self._workspace


class _Known:
    """A writer whose workspace is known: asking for it again would cost each event a call."""

    def __init__(self, target: IntercomTarget, workspace: Workspace) -> None:
        self._target = target
        self._workspace = workspace

    async def workspace(self) -> Workspace:
        """As targets.Writer."""
        return self._workspace

    async def prepare(self, actions: Sequence[Action]) -> None:
        """Nothing: an attribute that is gone is found out by the first write that Intercom refuses."""

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """As targets.Writer."""
        return await self._target.execute(action, reread=reread)

    async def look(self, action: Action) -> Outcome:
        """As targets.Writer."""
        return await self._target.look(action)


def _handled(contact: Contact, made: Plan, outcomes: tuple[Outcome, ...]) -> Handled:
    """What became of a message."""
    plan = made.id if made.actions else None
    undone = [one for one in outcomes if one.outcome != "done"]
    if undone:
        return Handled("refused", f"contact {contact.id}: {len(undone)} actions are held or in conflict", plan)
    if outcomes:
        return Handled("reconciled", f"contact {contact.id}: {len(outcomes)} actions done", plan)
    if any(one.severity == "review" for one in made.findings):
        rules = sorted({one.rule for one in made.findings if one.severity == "review"})
        return Handled("refused", f"contact {contact.id} is left to a person: {', '.join(rules)}")
    return Handled("nothing", f"contact {contact.id} is as it should be")


@asynccontextmanager
async def open_handler(settings: Settings) -> AsyncIterator[Handler]:
    """The handler that the settings describe, over its own connections, while the block lasts.

    Raises SettingsError, RulesError, or PlanError where the stored records cannot be read.
    """
    rules = from_settings.read_rules(settings.rules)
    lookup = from_settings.open_source(settings, rules)
    database = from_settings.open_state(settings)
    try:
        async with from_settings.open_target(settings, rules, own=from_settings.SERVICE_SHARE) as target:
            handler = ContactHandler(
                rules=rules,
                lookup=lookup,
                target=target,
                store=from_settings.open_store(settings),
                database=database,
                now=lambda: datetime.now(UTC),
                paused=settings.paused,
            )
            await handler.warm()
            try:
                yield handler
            finally:
                await handler.close()
    finally:
        database.close()
