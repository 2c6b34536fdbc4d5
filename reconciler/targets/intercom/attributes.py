"""Our custom attributes in Intercom: they must exist before a contact can carry them (CreateContact: "You can only
write to custom data attributes that already exist").

One that somebody deleted, archived or retyped would make thousands of actions fail one by one. So the attributes are
read once for all, and actions that write one which will not take it are held, with what to do about it. An attribute
that goes away in the middle of a run is found out by the first write that Intercom refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

import msgspec

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import ATTRIBUTE_PREFIX
from reconciler.errors import TargetError
from reconciler.targets.intercom.account import Account
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.wire import DataAttribute

Ailment: TypeAlias = Literal["missing", "archived", "mistyped", "read-only"]

DATA_TYPE = "string"
"""All that we write is text."""

TAKES_TEXT = (DATA_TYPE, "options")
"""A list attribute is created as `options` and shown as `string`; values outside its list are taken as well (pull
request 466 of the description's repository).
"""

PAGE = "Settings > Data > People"
"""Where attributes are kept in Intercom's own pages."""


@dataclass(frozen=True, slots=True)
class AttributeProblem:
    """Why one of our attributes cannot be written. name: without `custom_attributes.`."""

    name: str
    ailment: Ailment
    data_type: str = ""

    def __str__(self) -> str:
        match self.ailment:
            case "missing":
                return f"Intercom has no attribute {self.name}; create it: {PAGE}, as text."
            case "archived":
                return f"Attribute {self.name} is archived in Intercom; bring it back: {PAGE}."
            case "mistyped":
                return (
                    f"Attribute {self.name} is of type {self.data_type} in Intercom, not text, and a type can never be "
                    f"changed; create it under another name: {PAGE}, and name that in rules/contacts.yaml."
                )
            case "read-only":
                return f"Attribute {self.name} may not be written through the API; open it: {PAGE}."
            case _:
                assert_never(self.ailment)


async def check_attributes(client: IntercomClient, owned: Iterable[str]) -> tuple[AttributeProblem, ...]:
    """What is wrong with the `owned` attributes (names without `custom_attributes.`), by name. One call."""
    known = {attribute.name: attribute for attribute in await client.data_attributes() if attribute.custom}
    found = (_problem(name, known.get(name)) for name in sorted(owned))
    return tuple(problem for problem in found if problem is not None)


def _problem(name: str, attribute: DataAttribute | None) -> AttributeProblem | None:
    if attribute is None:
        return AttributeProblem(name, "missing")
    if attribute.archived:
        return AttributeProblem(name, "archived")
    if attribute.data_type not in TAKES_TEXT:
        return AttributeProblem(name, "mistyped", attribute.data_type)
    return None if attribute.api_writable else AttributeProblem(name, "read-only")


async def create_missing(client: IntercomClient, problems: Iterable[AttributeProblem]) -> tuple[str, ...]:
    """Create those that are missing, as text, and return their names; what a person did to the others stays.

    Raises Refused where Intercom does not take a name, as when companies have an attribute of that name.
    """
    missing = tuple(problem.name for problem in problems if problem.ailment == "missing")
    for name in missing:
        await client.create_data_attribute(name, data_type=DATA_TYPE)
    return missing


class AttributeGate:
    """What is known of the attributes in this run. owned: names without `custom_attributes.`."""

    def __init__(self, client: IntercomClient, owned: frozenset[str]) -> None:
        self._client = client
        self._owned = owned
        self._problems: dict[str, AttributeProblem] = {}

    async def check(self, client: IntercomClient | None = None) -> tuple[AttributeProblem, ...]:
        """Ask Intercom, through this client or its own. Raises TargetError."""
        problems = await check_attributes(client or self._client, self._owned)
        self._problems = {problem.name: problem for problem in problems}
        return problems

    def hold(self, action: Action) -> Outcome | None:
        """The outcome of an action that would write an attribute with a problem; None for every other."""
        problem = self._in_the_way(action)
        if problem is None:
            return None
        return Account(action=action, contact=action.contact).close("held", str(problem))

    async def explain(self, action: Action, outcome: Outcome) -> Outcome:
        """Look at the attributes again where Intercom refused a value: held where they are the reason, else as it was.

        Only for actions that are one write; of any other a part is done, and `failed` says so.
        """
        refused = outcome.outcome == "failed" and outcome.code == "parameter_invalid"
        if not refused or action.do not in ("create", "update", "promote") or not _written(action) & self._owned:
            return outcome
        if self._in_the_way(action) is None:
            with suppress(TargetError):  # the refusal stands, whatever this one is
                await self.check()
        problem = self._in_the_way(action)
        if problem is None:
            return outcome
        return msgspec.structs.replace(outcome, outcome="held", says=str(problem), sent={})

    def _in_the_way(self, action: Action) -> AttributeProblem | None:
        ailing = sorted(_written(action) & self._problems.keys())
        return self._problems[ailing[0]] if ailing else None


def _written(action: Action) -> set[str]:
    return {path.removeprefix(ATTRIBUTE_PREFIX) for path in action.set if path.startswith(ATTRIBUTE_PREFIX)}
