"""The single writes that actions are made of. Each knows how to send itself, and how to find out whether it happened.

Reading back is always by id (or, for a contact whose id we never learned, by external id), never by search, which
lags by minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never

from reconciler.core.diff import same
from reconciler.core.model import Scalar
from reconciler.errors import Merged, NotFound
from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.wire import WireContact

State: TypeAlias = Literal["wanted", "before", "other"]
"""A contact is as the step wants it · as it was before the step · neither."""

Fields: TypeAlias = Mapping[str, Scalar]

UNCHANGED = "nothing has changed"


@dataclass(frozen=True, slots=True)
class Sight:
    """What an answer or a read-back shows. says: for `other`, what was found instead, in ids and field names only."""

    state: State
    contact: str | None = None
    says: str = ""
    read_back: dict[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Create:
    """CreateContact. Without an answer only the external id can find the contact."""

    sends: Fields

    async def send(self, client: IntercomClient) -> Sight:
        """Do it."""
        return compare(await client.create(self.sends), wanted=self.sends)

    async def look(self, client: IntercomClient) -> Sight:
        """`wanted` if a user with our external id has everything we sent; never `before`: a second create could
        double it.
        """
        external_id = self.sends.get("external_id")
        if external_id is None:
            return Sight("other", says="it has no external_id to be found by")
        try:
            return compare(await client.find_by_external_id(str(external_id)), wanted=self.sends)
        except NotFound:
            return Sight("other", says="no contact has its external_id yet")


@dataclass(frozen=True, slots=True)
class Put:
    """UpdateContact. before: the values expected where it did not happen."""

    contact: str
    sends: Fields
    before: Fields

    async def send(self, client: IntercomClient) -> Sight:
        """Do it."""
        return compare(await client.update(self.contact, self.sends), wanted=self.sends)

    async def look(self, client: IntercomClient) -> Sight:
        """Compare the fields."""
        try:
            return compare(await client.get(self.contact), wanted=self.sends, before=self.before)
        except (NotFound, Merged):
            return Sight("other", says="the contact is archived, deleted or merged meanwhile")


@dataclass(frozen=True, slots=True)
class Archive:
    """ArchiveContact. before: the values expected of a contact that is still there."""

    contact: str
    before: Fields
    sends: Fields = field(default_factory=dict)

    async def send(self, client: IntercomClient) -> Sight:
        """Do it."""
        answer = await client.archive(self.contact)
        done = answer.id == self.contact and answer.archived is True
        return Sight("wanted") if done else Sight("other", says="the answer does not say that it is archived")

    async def look(self, client: IntercomClient) -> Sight:
        """An archived contact cannot be read (404)."""
        try:
            return compare(await client.get(self.contact), before=self.before)
        except NotFound:
            return Sight("wanted")
        except Merged as error:
            return Sight("other", says=f"the contact was merged into {error.into} meanwhile")


@dataclass(frozen=True, slots=True)
class Unarchive:
    """UnarchiveContact."""

    contact: str
    sends: Fields = field(default_factory=dict)

    async def send(self, client: IntercomClient) -> Sight:
        """Do it."""
        answer = await client.unarchive(self.contact)
        done = answer.id == self.contact and answer.archived is False
        return Sight("wanted") if done else Sight("other", says="the answer does not say that it is live again")

    async def look(self, client: IntercomClient) -> Sight:
        """A contact that can be read is live."""
        try:
            await client.get(self.contact)
        except NotFound:
            return Sight("before", says=UNCHANGED)
        return Sight("wanted")


@dataclass(frozen=True, slots=True)
class Merge:
    """MergeContact. before: the values expected of a lead that is still there."""

    lead: str
    into: str
    before: Fields
    sends: Fields = field(default_factory=dict)

    async def send(self, client: IntercomClient) -> Sight:
        """Do it."""
        answer = await client.merge(lead=self.lead, into=self.into)
        done = answer.id == self.into
        return Sight("wanted") if done else Sight("other", says="the answer shows another contact than the survivor")

    async def look(self, client: IntercomClient) -> Sight:
        """A merged lead is gone: 410, or 404 as the text of MergeContact still says. It counts only while the user is
        there.
        """
        try:
            return compare(await client.get(self.lead), before=self.before)
        except Merged as error:
            if error.into not in (None, self.into):
                return Sight("other", says=f"the lead was merged into {error.into} instead")
        except NotFound:
            pass
        try:
            await client.get(self.into)
        except (NotFound, Merged):
            return Sight("other", says=f"the lead is gone, and so is {self.into}")
        return Sight("wanted")


Step: TypeAlias = Create | Put | Archive | Unarchive | Merge
"""One write. `sends`: its fields · `send` does it, and its answer shows whether it took (`wanted`) or not (`other`) ·
`look` reads back after an answer was lost. Both raise TargetError.
"""


def needless(step: Step, found: WireContact) -> bool:
    """Whether a contact that was just read shows that the step has nothing left to do. What can be read is live."""
    match step:
        case Create() | Put():
            return not unlike(found, step.sends)
        case Unarchive():
            return True
        case Archive() | Merge():
            return False
        case _:
            assert_never(step)


def compare(found: WireContact, *, wanted: Fields | None = None, before: Fields | None = None) -> Sight:
    """A contact against what is wanted of it (None: nothing it could show) and what it was before."""
    read_back = {name: found.get(name) for name in wanted or before or {}}
    if wanted is not None and not unlike(found, wanted):
        return Sight("wanted", contact=found.id, read_back=read_back)
    if before is not None and not unlike(found, before):
        return Sight("before", contact=found.id, says=UNCHANGED, read_back=read_back)
    names = ", ".join(unlike(found, wanted if wanted is not None else before or {}))
    return Sight("other", contact=found.id, says=f"{names} read back otherwise", read_back=read_back)


def unlike(found: WireContact, fields: Fields) -> tuple[str, ...]:
    """The names of the fields that a contact does not have as given, in the order given."""
    return tuple(
        name for name, value in fields.items() if not same(name, _as_kept(name, found.get(name)), _as_kept(name, value))
    )


def _as_kept(name: str, value: Scalar) -> Scalar:
    """A value as Intercom keeps it: of a phone it strips blanks, brackets and dashes (help article 6311200)."""
    return value.translate(_STRIPPED) if name == "phone" and isinstance(value, str) else value


_STRIPPED = str.maketrans("", "", " ()-")
