"""Identifiers in the way of each other: who holds the e-mail or external id that an action is about to give out.

Among users Intercom keeps external ids and e-mails unique, live and archived together (409 `conflict`, facts §2).
So a duplicate that is archived gives up first what its survivor takes (design §4.5); a holder that changes it in
the same plan goes first; and where the holder stays, the action goes without the identifier, or not at all.

Worked out in rounds: what one round holds up may keep what another action counted on, so the next round looks again,
until nothing is held up. Every round but the last takes something away, and nearly every plan needs one or two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import msgspec

from reconciler.core.actions import Action
from reconciler.core.diff import as_compared, as_text, same
from reconciler.core.drafts import IDENTIFIERS, Draft
from reconciler.core.model import Contact, Evidence, Scalar
from reconciler.core.snapshot import Snapshot
from reconciler.core.text import fold_email
from reconciler.core.world import Ruling, World, may_merge, ruling


def give_up(world: World, drafts: list[Draft]) -> None:
    """Have archived users give up what belongs to a member. Changes the drafts.

    An archived user keeps its identifiers from everybody for ever. Nothing of this plan may take them, and another
    user may even have them already: the rule that will take them may only be switched on tomorrow, the member be out
    of scope tonight, or another contact be the one to keep by then.
    """
    for draft in drafts:
        if draft.contact is None or not draft.archives_user():
            continue
        for field in IDENTIFIERS:
            value = as_text(draft.contact.get(field))
            if value is not None and _belongs_to_a_member(world, field, value):
                draft.release(field)


def _belongs_to_a_member(world: World, field: str, value: str) -> bool:
    """Whether a member's contact should have this identifier."""
    numbers = (value,) if field == "external_id" else world.people.by_email.get(fold_email(value), ())
    return any(number in world.people.wanted for number in numbers)


def with_undo_known(actions: tuple[Action, ...], snapshot: Snapshot) -> tuple[Action, ...]:
    """Updates and archives that cannot be taken back whole say so: another user keeps, or gets for good, an identifier
    that the contact had. Intercom would refuse to have it twice, however it came about the first time.
    """
    while True:
        known = _one_round_of_undo(actions, snapshot)
        if known == actions:
            return actions
        actions = known


def _one_round_of_undo(actions: tuple[Action, ...], snapshot: Snapshot) -> tuple[Action, ...]:
    givers = {action.contact: action for action in actions if action.undo == "exact"}
    takers = {
        (field, as_compared(field, value)): action
        for action in actions
        for field, value in _taken(action, snapshot.by_id.get(action.contact or ""))
    }

    def comes_back(contact: Contact, field: str) -> bool:
        value = contact.get(field)
        compared = as_compared(field, value)
        if compared is None:
            return True
        taker = takers.get((field, compared))  # an undo compares as `same` does, Intercom to the letter
        if taker is not None and taker.undo != "exact":
            return False
        own = None if taker is None else taker.contact
        return all(one.id in {contact.id, own} for one in _holders(field, str(value), snapshot))

    def whole(action: Action) -> bool:
        contact = snapshot.by_id.get(action.contact or "")
        if contact is None or contact.role != "user" or action.contact not in givers:
            return True
        fields = IDENTIFIERS if action.do == "archive" else [field for field in IDENTIFIERS if field in action.set]
        return all(comes_back(contact, field) for field in fields)

    return tuple(action if whole(action) else msgspec.structs.replace(action, undo="partial") for action in actions)


def _holders(field: str, value: str, snapshot: Snapshot) -> tuple[Contact, ...]:
    """The users that hold it. Leads are exempt (bulk_create_contacts_request of the Preview description)."""
    held = snapshot.by_external_id if field == "external_id" else snapshot.by_email
    return tuple(contact for contact in held.get(_key(field, value), ()) if contact.role == "user")


def settle(
    drafts: list[Draft], snapshot: Snapshot, *, against: Callable[[Draft], Ruling | None]
) -> tuple[list[Draft], list[Ruling]]:
    """Give out identifiers in an order that Intercom accepts; report what cannot be given out.

    Changes the drafts; returns those that remain, and a ruling for each one held up. against: what speaks against a
    draft that goes without its e-mail, which may have been what told its member from another; then nothing is done to
    that member.
    """
    rulings: list[Ruling] = []
    while True:
        attempt = _Round(drafts, snapshot)
        held_up = attempt.held_up()
        if not held_up:
            attempt.carry_out()
            return drafts, rulings
        rulings.extend(_held_up(one) for one in held_up)
        drafts = _without(drafts, held_up)
        for one in held_up:
            contradicted = against(one.draft) if one.draft in drafts else None
            if contradicted is not None:
                rulings.append(contradicted)
                drafts = [draft for draft in drafts if draft.member != one.draft.member]


class _HeldUp(msgspec.Struct, frozen=True):
    """A draft that cannot have an identifier."""

    draft: Draft
    field: str
    why: str
    holder: Contact | None = None
    entirely: bool = True
    """Whether nothing of the draft may be written, or only the identifier not."""


class _Round:
    """One attempt to give out all identifiers. Changes nothing until it is carried out."""

    def __init__(self, drafts: list[Draft], snapshot: Snapshot) -> None:
        self._drafts = drafts
        self._snapshot = snapshot
        self._by_contact = {draft.contact.id: draft for draft in drafts if draft.contact is not None}
        self._given: dict[tuple[str, str], Draft] = {}
        self._waits: dict[int, list[tuple[str, Draft]]] = {}
        """By `id` of a draft: what it takes, and the draft of the holder that must let go before."""
        self._releases: list[tuple[Draft, str]] = []

    def held_up(self) -> list[_HeldUp]:
        """The drafts that cannot have what they take, given what the others do; rings only where nothing else is."""
        found = (
            self._obstacle(draft, field, value)
            for draft in self._drafts
            for field, value in _taken(draft, draft.contact)
        )
        return [one for one in found if one is not None] or self._ring()

    def carry_out(self) -> None:
        """Write the order, and what archived contacts give up, into the drafts."""
        for draft in self._drafts:
            draft.after.extend(other for _, other in self._waits.get(id(draft), ()))
        for draft, field in self._releases:
            draft.release(field)

    def _obstacle(self, draft: Draft, field: str, value: str) -> _HeldUp | None:
        entirely = field != "email" or draft.do != "update"
        key = (field, _key(field, value))
        if (taker := self._given.setdefault(key, draft)) is not draft:
            return _HeldUp(draft, field, f"member {taker.member} gets it in this plan", entirely=entirely)
        for holder in _holders(field, value, self._snapshot):
            if draft.contact is not None and holder.id == draft.contact.id:
                continue
            other = self._by_contact.get(holder.id)
            if other is None or not self._lets_go(other, field, value):
                why = f"contact {holder.id} holds it and keeps it"
                return _HeldUp(draft, field, why, holder, entirely=entirely)
            self._waits.setdefault(id(draft), []).append((field, other))
        return None

    def _lets_go(self, other: Draft, field: str, value: str) -> bool:
        """Whether the draft of the holder frees the identifier: by an archive, or by another value."""
        if other.do == "archive":
            self._releases.append((other, field))
            return True
        return other.set.get(field) is not None and not same(field, other.set[field], value)

    def _ring(self) -> list[_HeldUp]:
        """Drafts that wait for each other in a circle: none can be the first, so all keep what the others need.

        Where it is only about e-mails, the rest of each goes on. Otherwise nothing does: one that moved on by half
        would free tomorrow what is held up tonight.
        """
        drafts = {id(draft): draft for draft in self._drafts}
        try:
            TopologicalSorter({key: [id(other) for _, other in waits] for key, waits in self._waits.items()}).prepare()
        except CycleError as error:
            before_and_after = list(pairwise(drafts[key] for key in error.args[1]))
        else:
            return []
        needs = [(after, self._needed(after, before)) for before, after in before_and_after]
        entirely = any(fields != {"email"} or draft.do != "update" for draft, fields in needs)
        why = (
            f"members {' and '.join(sorted(draft.member or '' for draft, _ in needs))} hold what each other should have"
        )
        return [_HeldUp(draft, max(fields), why, entirely=entirely) for draft, fields in needs]

    def _needed(self, draft: Draft, holder: Draft) -> set[str]:
        return {field for field, other in self._waits[id(draft)] if other is holder}


def _taken(change: Draft | Action, contact: Contact | None) -> Iterator[tuple[str, str]]:
    """The identifiers that must be free when this is done to the contact: those that it gets, and those that a lead
    keeps which becomes a user.
    """
    if change.do in {"archive", "merge"}:
        return
    for field in IDENTIFIERS:
        value: Scalar = change.set.get(field)
        if value is None and change.do == "promote" and contact is not None:
            value = contact.get(field)
        if value:
            yield field, str(value)


def _key(field: str, value: str) -> str:
    """External ids are told apart to the letter, blanks around them included; as the snapshot has them."""
    return value if field == "external_id" else fold_email(value)


def _held_up(one: _HeldUp) -> Ruling:
    holder = one.holder
    return ruling(
        "conflicting-identity",
        "review",
        f"cannot have its {one.field}: {one.why}",
        contact=one.draft.contact.id if one.draft.contact is not None else None,
        member=one.draft.member,
        evidence=()
        if holder is None
        else (Evidence(f"intercom contacts/{holder.id}", one.field, holder.get(one.field)),),
    )


def _without(drafts: list[Draft], held_up: list[_HeldUp]) -> list[Draft]:
    """The drafts that remain: an update may go on without its e-mail; others are dropped, with what awaits them.

    With the promotion of a lead go the archives of its member's users: one of them has to stay the member's.
    """
    dropped: set[int] = set()
    for one in held_up:
        if one.entirely:
            dropped.add(id(one.draft))
            if one.draft.do == "promote":
                dropped.update(id(before) for before in one.draft.after if before.archives_user())
        else:
            _forget(one.draft, one.field)
    dropped.update(id(draft) for draft in drafts if draft.do == "merge" and not _may_still_merge(draft, dropped))
    remaining = [draft for draft in drafts if id(draft) not in dropped and not _is_empty(draft)]
    for draft in remaining:
        draft.after = [before for before in draft.after if not _is_empty(before)]
    return remaining


def _is_empty(draft: Draft) -> bool:
    return not draft.set and draft.do not in {"archive", "merge"}


def _may_still_merge(merge: Draft, dropped: set[int]) -> bool:
    """Whether the user that a lead waits to be merged into will still be its duplicate, and still be a user."""
    return merge.contact is not None and all(
        id(before) not in dropped and may_merge(merge.contact, before.written()) for before in merge.after
    )


def _forget(draft: Draft, field: str) -> None:
    draft.set.pop(field, None)
    draft.because = [one for one in draft.because if one.field != field]
