"""Everything the doctor asks about, and how it is asked: all at once, each by a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler import from_settings
from reconciler.core.desired import gather_people
from reconciler.core.model import SourceData, Workspace, silent
from reconciler.core.rules import Rules
from reconciler.doctor.facts import Deadline, Fact, NotLookedAt
from reconciler.doctor.records import Records, read_records
from reconciler.errors import ScopeMissing, TargetError
from reconciler.runs.lock import Holder, last_holder
from reconciler.runs.pause import PauseSwitch
from reconciler.runs.silence import NOTHING_HEARD, Heard, heard
from reconciler.settings import Need, Settings

if TYPE_CHECKING:
    from reconciler.targets.intercom.attributes import AttributeProblem
    from reconciler.targets.intercom.checkup import Checkup, Job, Permission

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State:
    """The state database. place: where it is, for people. there: whether it has been made yet."""

    place: str
    there: bool
    holder: Holder | None = None
    paused: str | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """The durable engine's. unfinished: plans whose runs are not at their end. heard: of the webhook."""

    unfinished: tuple[str, ...] = ()
    heard: Heard = NOTHING_HEARD
    given_up: int = 0
    """Events that nobody will try again by himself."""


class Around:
    """The facts, all being found out from the moment this is made.

    malformed: variable → one line; what depends on one is not looked at.
    """

    def __init__(self, settings: Settings, malformed: Mapping[str, str], *, now: datetime, deadline: Deadline) -> None:
        self.settings = settings
        self.malformed = malformed
        self.now = now
        self._deadline = deadline
        self.rules: Fact[Rules] = self._fact("rules")
        self.rules.settle(self._needing(("RECONCILER_RULES",), (), lambda: from_settings.read_rules(settings.rules)))
        self.source: Fact[SourceData] = self._fact("source")
        self.due: Fact[int] = self._fact("contacts", after=self.source)
        """How many members should be a contact."""
        sources = ("RECONCILER_SOURCE", "MYSQL_", "SUPABASE_")
        self.source.find(self._needing(sources, ("source",), self._read_source))
        self.due.find(self._count_due)
        self.positions_source: Fact[SourceData | None] = self._fact("positions-source")
        """None where the positions come from `source` as well."""
        self.positions_source.find(self._needing(sources, ("source",), self._read_positions_source))
        self.records: Fact[Records] = self._fact("plans")
        self.records.find(self._needing(_PLANS, (), lambda: read_records(from_settings.open_store(settings))))
        self.state: Fact[State] = self._fact("state")
        self.state.find(self._needing((*_PLANS, "RECONCILER_STATE_URL"), (), self._look_at_state))
        self.books: Fact[Books] = self._fact("interrupted", after=self.state)
        self.books.find(self._look_into_books)
        self.workspace: Fact[Workspace] = self._fact("token")
        self.ahead: Fact[float | None] = self._fact("token")
        self.permissions: Fact[tuple[Permission, ...]] = self._fact("permissions", after=self.workspace)
        self.attributes: Fact[tuple[AttributeProblem, ...]] = self._fact("attributes", after=self.permissions)
        self.live: Fact[int] = self._fact("contacts", after=self.permissions)
        Fact[None]("token", deadline).find(self._ask_intercom)

    def _fact(self, told_by: str, *, after: Fact[Any] | None = None) -> Fact[Any]:
        return Fact(told_by, self._deadline, after=after)

    def _needing(self, variables: Iterable[str], needs: Iterable[Need], work: Callable[[], T]) -> Callable[[], T]:
        """The work, for those whose settings are all there and well-formed; else NotLookedAt."""
        prefixes = tuple(variables)

        def checked() -> T:
            if any(name.startswith(prefixes) for name in self.malformed) or self.settings.lacking(*needs):
                raise NotLookedAt("settings")
            return work()

        return checked

    def _read_source(self) -> SourceData:
        rules = self.rules.value(asks="source")
        return from_settings.open_source(self.settings, rules).read(silent)

    def _read_positions_source(self) -> SourceData | None:
        if self.settings.other_source() is None:
            return None
        rules = self.rules.value(asks="positions-source")
        return from_settings.open_positions_source(self.settings, rules).read(silent)

    def _count_due(self) -> int:
        data = self.source.value(asks="contacts")
        return len(gather_people(data, self.rules.value(asks="contacts")).wanted)

    def _look_at_state(self) -> State:
        database = from_settings.open_state(self.settings)
        try:
            if not database.exists():
                return State(database.place, there=False)
            return State(database.place, True, last_holder(database), PauseSwitch(database).reason())
        finally:
            database.close()

    def _look_into_books(self) -> Books:
        if not self.state.value(asks="interrupted").there:
            return Books()
        from reconciler.runs.workflows import given_up, unfinished  # noqa: PLC0415 - DBOS costs 0.5 s

        database = from_settings.open_state(self.settings)
        try:
            return Books(unfinished(database), heard(database), given_up(database))
        finally:
            database.close()

    # --- Intercom: one connection for all, so one thread ------------------------------------------------------------

    def _ask_intercom(self) -> None:
        facts: tuple[Fact[Any], ...] = (self.workspace, self.ahead, self.permissions, self.attributes, self.live)
        try:
            self._needing(("INTERCOM_ACCESS_TOKEN", "INTERCOM_BASE_URL"), ("intercom",), self._ask_all)()
        except Exception as error:  # noqa: BLE001 - raised again by `value`, to whichever check asks
            for fact in facts:
                fact.fail(error)

    def _ask_all(self) -> None:
        asyncio.run(self._ask_each())

    async def _ask_each(self) -> None:
        async with from_settings.open_checkup(self.settings) as checkup:
            await _settle(self.workspace, checkup.workspace)
            ahead = checkup.seconds_ahead()
            if ahead is not None:  # a refusal is dated, too
                self.ahead.settle(lambda: ahead)
            self._check_opened()
            if ahead is None:
                self.ahead.settle(lambda: None)
            await _settle(self.permissions, lambda: checkup.permissions(*self._jobs()))
            await asyncio.gather(
                _settle(self.attributes, lambda: self._check_attributes(checkup)),
                _settle(self.live, checkup.live_contacts),
            )

    def _jobs(self) -> tuple[Job, ...]:
        """A service that has no secret for its webhook is not in use."""
        return ("night", "service") if self.settings.intercom_client_secrets else ("night",)

    def _check_opened(self) -> None:
        """Raises NotLookedAt where there is no use in asking any more. A token may lack the scope for /me alone."""
        try:
            self.workspace.value(asks="token")
        except ScopeMissing:
            return
        except TargetError as error:
            raise NotLookedAt("token") from error

    async def _check_attributes(self, checkup: Checkup) -> tuple[AttributeProblem, ...]:
        return await checkup.attributes(from_settings.owned_attributes(self.rules.value(asks="attributes")))


async def _settle(fact: Fact[T], ask: Callable[[], Any]) -> None:
    """As `Fact.settle`, for an answer that is awaited."""
    try:
        answer = await ask()
    except Exception as error:  # noqa: BLE001 - raised again by `value`, to whichever check asks
        fact.fail(error)
    else:
        fact.settle(lambda: answer)


_PLANS = ("RECONCILER_PLANS", "AWS_")
