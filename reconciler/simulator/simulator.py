"""The stand-in itself: a world, how it behaves, and what it remembers of the calls it got.

`Simulator` has no HTTP in it: `app.py` serves it, `server.py` puts it on a port. Time, sleep and chance are
arguments, so the same calls with the same seed and the same clock give the same bytes.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from reconciler.simulator import conversations, seed
from reconciler.simulator.bulk import Jobs
from reconciler.simulator.faults import Fault, Phase, drawer
from reconciler.simulator.labels import note_dict
from reconciler.simulator.queries import Searcher
from reconciler.simulator.records import STATES, Contact
from reconciler.simulator.window import RateWindow
from reconciler.simulator.wire import attribute_dict, contact_dict, conversation_attribute_dict, encode, tag_dict
from reconciler.simulator.world import ADMIN, Workspace, World

VERSION = "2.16"
"""The Intercom-Version that is simulated; every other is refused, but for the paths that only Preview has."""

PREVIEW = "Preview"
"""The Intercom-Version that those paths want."""


class SimulatedReset(ConnectionResetError):
    """A reset or a timeout, in-process, unless `Simulator` was given other exceptions to raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the stand-in behaves.

    token: the bearer token it wants; None accepts any caller.
    limit, window: calls allowed per so many seconds.  neighbour: calls per window that other apps eat, evenly.
    latency: seconds every call takes, and the most that chance adds to them.  lag: seconds search is behind writes.
    faults: probability of each.  hold: seconds a timeout holds the connection before it is aborted.
    unblock_endpoint: serve POST /contacts/{id}/unblock, which Intercom does not.  blocked_as_archived: a duplicate of a
    blocked person is refused like one of an archived one, with the id (no source says which of the two comes first).
    bulk_seconds: from the moment a bulk update is accepted until it runs.
    deletion_hold: seconds a deleted contact keeps its identifiers (about 7 days, from a single unofficial source).
    max_calls: calls the log keeps.  max_body: bytes.
    """

    token: str | None = None
    workspace: Workspace = field(default_factory=Workspace)
    limit: int = 1667
    window: float = 10.0
    neighbour: int = 0
    latency: tuple[float, float] = (0.0, 0.0)
    lag: float = 0.0
    faults: Mapping[Fault, float] = field(default_factory=dict)
    hold: float = 30.0
    random_seed: int = 0
    unblock_endpoint: bool = False
    blocked_as_archived: bool = False
    bulk_seconds: float = 2.0
    deletion_hold: float = 7 * 86_400.0
    max_calls: int = 1_000_000
    max_body: int = 1_048_576

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated, by name."""
        if self.window <= 0:
            raise ValueError(f"window is {self.window:g} seconds, but must be more than 0")
        for name in ("limit", "neighbour", "lag", "hold", "bulk_seconds", "deletion_hold", "max_calls", "max_body"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name):g}, but must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as a fault hook sees it.

    number: from 1.  time: unix seconds at arrival.  status: what will be answered; None before the effect.
    """

    number: int
    time: float
    method: str
    path: str
    query: str
    body: bytes
    status: int | None = None


class LoggedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as the log keeps it: no token, no body.

    status: what was decided, even if a fault kept it from the caller.  effect: whether the world changed.  id: the
    contact or conversation concerned, if any.  fault: what was done to the answer.
    """

    number: int
    time: float
    method: str
    path: str
    status: int
    effect: bool
    id: str | None
    fault: str | None


Hook = Callable[[Call, Phase], Fault | None]
Failure = Callable[[str], Exception]


class Simulator:
    """A workspace that answers.

    clock: unix seconds.  sleep: awaited with seconds, for latency and timeouts.
    reset_error, timeout_error: made with a message and raised when a connection is to break but there is no socket to
    break, that is under `httpx.ASGITransport`, which passes them on as they are: tests that want what a socket would
    give set `httpx.ReadError` and `httpx.ReadTimeout`.

    hook: asked at each call, before and after the effect, and goes before chance. The fault it returns strikes at its
    own moment: an after-fault returned before the effect waits for it.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        reset_error: Failure = SimulatedReset,
        timeout_error: Failure = SimulatedReset,
    ) -> None:
        self.options = options = Options() if options is None else options
        self.clock = clock
        self.sleep = sleep
        self.reset_error = reset_error
        self.timeout_error = timeout_error
        self.hook: Hook | None = None
        self.world = World(
            options.workspace,
            clock=clock,
            seed=options.random_seed,
            lag=options.lag,
            deletion_hold=options.deletion_hold,
            blocked_as_archived=options.blocked_as_archived,
        )
        self.search = Searcher(self.world)
        self.jobs = Jobs(self.world, seconds=options.bulk_seconds)
        self.window = RateWindow(limit=options.limit, window=options.window, neighbour=options.neighbour)
        self._draw = drawer(options.faults, options.random_seed)
        self._jitter = random.Random(f"{options.random_seed}:latency")  # noqa: S311  (chance, not a secret)
        self._calls: deque[LoggedCall] = deque(maxlen=options.max_calls)
        self._numbered = 0
        self._logged = 0

    def seed(self, lines: Iterable[bytes | str]) -> int:
        """Load JSON lines (see `seed.py` for their shape). The number of contacts added; SeedError names a wrong
        line.
        """
        return seed.load(self.world, lines)

    def dump_seed(self) -> Iterator[bytes]:
        """Lines that rebuild this world in another simulator of the same options."""
        return seed.dump(self.world)

    # --- one call -----------------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """The number of the call that has just arrived, from 1."""
        self._numbered += 1
        return self._numbered

    def request_id(self, number: int) -> str:
        """The same uuid for the same seed and call."""
        return str(uuid.UUID(hex=self.world.token("request", number)[:32], version=4))

    def latency(self) -> float:
        """Seconds the next call takes."""
        base, jitter = self.options.latency
        return base + jitter * self._jitter.random() if jitter else base

    def fault(self, call: Call, phase: Phase) -> Fault | None:
        """What the hook, or chance before the effect, wants to go wrong with this call."""
        chance = self._draw() if phase == "before" else None
        asked = None if self.hook is None else self.hook(call, phase)
        if asked is None:
            return chance
        if phase == "after" and asked.phase == "before":
            raise ValueError(f"the hook asked for {asked.value} after the effect of call {call.number}: too late")
        return asked

    def log(self, call: LoggedCall) -> None:
        """Keep a call, dropping the oldest when the log is full."""
        self._logged += 1
        self._calls.append(call)

    # --- what happened ------------------------------------------------------------------------------------------------

    @property
    def calls(self) -> tuple[LoggedCall, ...]:
        """The calls logged so far, oldest first, in the order in which they were answered."""
        return tuple(self._calls)

    def calls_json(self) -> bytes:
        """GET /_simulator/calls. dropped: how many fell out of the bounded log."""
        dropped = self._logged - len(self._calls)
        return encode({"calls": tuple(self._calls), "total": self._logged, "dropped": dropped})

    def state_json(self) -> bytes:
        """GET /_simulator/state: the whole world, contacts by state, everything sorted by id; equal worlds give equal
        bytes.
        """
        self.jobs.run_due()
        world = self.world
        by_state: dict[str, list[Contact]] = {state: [] for state in STATES}
        for contact in world.people:
            by_state[contact.state].append(contact)
        state: dict[str, object] = {
            name: [self._full(one) for one in sorted(contacts, key=lambda one: one.id)]
            for name, contacts in by_state.items()
        }
        state["conversations"] = [
            conversations.body(world, one, with_parts=True) | {"_archived": one.archived}
            for one in sorted(world.conversations.values(), key=lambda one: one.id)
        ]
        state["tags"] = [tag_dict(one) for one in sorted(world.tags.values(), key=lambda one: one.id)]
        state["notes"] = [note_dict(world, one) for one in sorted(world.notes.values(), key=lambda one: one.id)]
        attributes = sorted(world.attributes.values(), key=lambda one: one.id)
        state["data_attributes"] = [attribute_dict(one, ADMIN.id) for one in attributes]
        attached = sorted(world.conversation_attributes.values(), key=lambda one: one.id)
        state["conversation_attributes"] = [conversation_attribute_dict(one, ADMIN.id) for one in attached]
        return encode(state)

    def _full(self, contact: Contact) -> dict[str, object]:
        """A contact with what its body leaves out."""
        return contact_dict(contact, self.world.workspace.id) | {
            "_tags": contact.tags,
            "_notes": contact.notes,
            "_merged_into": contact.merged_into,
            "_merged_at": contact.merged_at,
            "_deleted_at": contact.deleted_at,
        }
