"""Two parties that take turns: which of them makes the next call, or looks again, is decided by a list of choices.

A party is at work, at the door (it wants to make a call), asleep (it waits for what the other has claimed), or done.
Nobody is chosen while somebody is still at work, so the same choices give the same run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, Literal

import httpx

Where = Literal["at work", "at the door", "asleep", "done"]


class Party:
    """One of the two."""

    def __init__(self, turns: Turns, name: str) -> None:
        self.name = name
        self.where: Where = "at work"
        self._turns = turns
        self._go = asyncio.Event()

    async def wait(self, where: Where) -> None:
        """Stand there until chosen."""
        self.where = where
        self._go.clear()
        self._turns.moved.set()
        await self._go.wait()

    def go(self) -> None:
        """Be chosen."""
        self.where = "at work"
        self._go.set()

    async def sleep(self, _seconds: float) -> None:
        """For whoever waits for a claim: until chosen."""
        await self.wait("asleep")

    def through(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """A transport that makes each call when its party is chosen."""
        return _Door(self, inner)


class _Door(httpx.AsyncBaseTransport):
    def __init__(self, party: Party, inner: httpx.AsyncBaseTransport) -> None:
        self._party = party
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One call: before it, and never in the middle of another."""
        await self._party.wait("at the door")
        return await self._inner.handle_async_request(request)


class Turns:
    """The scheduler. choices: for each turn, the place of the party that has it among those that wait."""

    def __init__(self, choices: Iterable[int]) -> None:
        self.moved = asyncio.Event()
        self.taken: list[str] = []
        self._choices: Iterator[int] = iter(choices)
        self._parties: list[Party] = []

    def party(self, name: str) -> Party:
        """A new one."""
        party = Party(self, name)
        self._parties.append(party)
        return party

    async def play(self, **work: Coroutine[Any, Any, object]) -> dict[str, object]:
        """Let each party do its work to the end. One with several calls under way counts as one."""
        tasks = {name: asyncio.create_task(self._one(name, one)) for name, one in work.items()}
        while not all(task.done() for task in tasks.values()):
            await asyncio.wait_for(self._until_nobody_works(), 30)
            waiting = [party for party in self._parties if party.where in {"at the door", "asleep"}]
            if not waiting:
                break
            chosen = self._choose(waiting)
            self.taken.append(f"{chosen.name} {chosen.where}")
            chosen.go()
        return {name: await task for name, task in tasks.items()}

    def _choose(self, waiting: list[Party]) -> Party:
        choice = next(self._choices, None)
        if choice is not None:
            return waiting[choice % len(waiting)]
        # Once the choices are used up, whoever can go on does: one that is asleep would only look again.
        return next((party for party in waiting if party.where == "at the door"), waiting[0])

    async def _until_nobody_works(self) -> None:
        while any(party.where == "at work" for party in self._parties):
            self.moved.clear()
            await self.moved.wait()

    async def _one(self, name: str, work: Coroutine[Any, Any, object]) -> object:
        try:
            return await work
        finally:
            party = next(one for one in self._parties if one.name == name)
            party.where = "done"
            self.moved.set()
