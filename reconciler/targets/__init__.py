"""The actual side: where state lives. One Protocol, split in two: whoever plans holds a reader and cannot write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import Contact, Progress, Workspace

Item_co = TypeVar("Item_co", covariant=True)


class SideReader(Protocol[Item_co]):
    """What a planner may ask of any target. Every method raises TargetError, and none changes anything."""

    @property
    def version(self) -> str:
        """The version of Intercom's interface that is spoken, for the plan's header; blank for another target."""
        ...

    async def workspace(self) -> Workspace:
        """Whose workspace the token opens, or which project the key does."""
        ...

    async def snapshot(self, progress: Progress) -> tuple[Item_co, ...]:
        """All live contacts, ordered by id, each once, or all rows of the table; else SnapshotIncomplete."""
        ...


class Reader(SideReader[Contact], Protocol):
    """What the planner of contacts may ask."""

    async def open_conversations(self, contact_ids: Sequence[str], progress: Progress) -> dict[str, int]:
        """How many open conversations each of these contacts has; contacts without one are left out."""
        ...


class Finder(Protocol):
    """What a planner for one contact may ask. Every method raises TargetError, and none changes anything."""

    @property
    def version(self) -> str:
        """As Reader.version."""
        ...

    async def workspace(self) -> Workspace:
        """As Reader.workspace."""
        ...

    async def contact(self, contact_id: str) -> Contact | None:
        """The live contact with this id, or the one that it was merged into; None where there is none."""
        ...

    async def candidates(self, clues: Iterable[tuple[str, str]]) -> tuple[Contact, ...]:
        """Contacts that may have one of these values (field and value; phones in E.164), by id.

        It may be out of date: whoever wants to know reads each by its id, and takes nobody's absence for a fact.
        """
        ...

    async def open_conversations(self, contact_ids: Sequence[str], progress: Progress) -> dict[str, int]:
        """As Reader.open_conversations."""
        ...


class Writer(Protocol):
    """What an apply may do."""

    async def workspace(self) -> Workspace:
        """Whose workspace the token opens, or which project the key does: checked before the first write."""
        ...

    async def prepare(self, actions: Sequence[Action]) -> None:
        """Find out, before the first write, what none of these actions could change; `execute` holds those it stops.

        Raises TargetError where that cannot be asked.
        """
        ...

    async def execute(self, action: Action, *, reread: bool) -> Outcome:
        """Carry out one action.

        With `reread`, the contact is read first and compared with `action.expect`; a mismatch is `stale` and
        nothing is sent. Returns an Outcome for whatever becomes of this one action; raises Unauthorized or
        ScopeMissing where no further write can succeed.
        """
        ...

    async def look(self, action: Action) -> Outcome:
        """What became of an action that may have been sent, without sending anything.

        `done` where everything is as it wanted, `held` where nothing of it happened, else `unknown`.
        """
        ...


@runtime_checkable
class Haltable(Protocol):
    """A writer whose actions may wait long before they send anything."""

    def halt_when(self, stop: Callable[[], str | None]) -> None:
        """From now on `execute` asks this again right before the first write of an action, and while it waits for that:
        why nothing more may be written, in one sentence, with which the action is held; None to go on. `workspace` and
        `prepare` ask it while they wait, and raise Halted.
        """
        ...


@runtime_checkable
class BulkWriter(Writer, Protocol):
    """A writer that can carry out many actions with few calls."""

    async def execute_bulk(
        self,
        actions: Sequence[Action],
        *,
        reread: bool,
        contacts: int | None,
        stop: Callable[[], str | None],
        note: Callable[[Outcome], None],
    ) -> tuple[Outcome, ...]:
        """Carry out many actions, none of which waits for another: one outcome for each, in order.

        contacts: how many the target holds; None where that is not known. stop: asked before each write, why no more
        may be sent. note: told of each outcome once it is known. Raises as `execute` does, while nothing is sent yet.
        """
        ...
