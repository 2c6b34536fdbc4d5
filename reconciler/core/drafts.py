"""Actions in the making: what the rules ask of one contact, put together, and then sealed into actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from reconciler.core.actions import Action, Because, Do, undo_class, with_id
from reconciler.core.match import Match
from reconciler.core.model import Contact, Finding, Scalar
from reconciler.core.world import Ask, Case, Ruling, may_merge, with_fields

IDENTIFIERS = ("external_id", "email")
"""What Intercom keeps unique among users."""

RELEASED_DOMAIN = "duplicate.invalid"
"""Never delivered: `.invalid` is reserved (RFC 2606). Null is not declared for e-mail or external_id in
update_contact_request (description 2.16), so a value given up is replaced, not blanked."""


class Draft:
    """An action in the making."""

    __slots__ = ("after", "because", "contact", "do", "expect", "expect_into", "into", "member", "set")

    def __init__(self, do: Do, contact: Contact | None, member: str | None) -> None:
        self.do: Do = do
        self.contact = contact
        self.member = member
        self.into: str | None = None
        self.expect: dict[str, Scalar] = {}
        self.expect_into: dict[str, Scalar] = {}
        self.set: dict[str, Scalar] = {}
        self.because: list[Because] = []
        self.after: list[Draft] = []

    def release(self, field: str) -> None:
        """Have the contact give up an identifier, so that another can take it."""
        if self.contact is not None:
            self.expect[field] = self.contact.get(field)
            self.set[field] = released(field, self.contact.id)

    def archives_user(self) -> bool:
        """Whether this takes away a user."""
        return self.do == "archive" and self.contact is not None and self.contact.role == "user"

    def written(self) -> Contact:
        """The contact as this would leave it."""
        return with_fields(self.contact or Contact(id="", role="user"), self.set)


def released(field: str, contact_id: str) -> str:
    """What a contact has in place of an identifier that it gave up."""
    return f"duplicate-{contact_id}" if field == "external_id" else f"duplicate-{contact_id}@{RELEASED_DOMAIN}"


def drafts_of_case(case: Case, answers: list[Ruling]) -> list[Draft]:
    """The actions of one member, in the order in which they must run (design §4.5)."""
    matches = {match.contact.id: match for match in (case.survivor, *case.duplicates) if match is not None}
    drafts = drafts_of(case.member.number, answers, matches=matches)
    survivor = case.survivor
    if survivor is None:
        return drafts
    for draft in drafts:
        if draft.do == "merge":
            draft.expect_into = {"external_id": survivor.contact.external_id}
    own = next((draft for draft in drafts if draft.contact is survivor.contact), None)
    others = [draft for draft in drafts if draft is not own]
    if own is not None and survivor.contact.role == "lead" and own.do != "promote":
        own = None  # a lead that is not promoted is not ours yet
    if own is None:
        return others
    merges_later = [draft for draft in others if draft.do == "merge" and not _may_merge_now(draft, survivor.contact)]
    before = [draft for draft in others if draft not in merges_later]
    own.after.extend(before)
    for merge in merges_later:
        merge.after.append(own)
    return [*before, own, *merges_later]


def _may_merge_now(draft: Draft, survivor: Contact) -> bool:
    return draft.contact is not None and may_merge(draft.contact, survivor)


def drafts_of(member: str | None, answers: Iterable[Ruling], *, matches: Mapping[str, Match]) -> list[Draft]:
    """One draft for each contact that anything is asked of, in the order in which it is first asked."""
    drafts: dict[str | None, Draft] = {}
    for answer in answers:
        for ask in answer.asks:
            key = ask.contact.id if ask.contact is not None else None
            draft = drafts.get(key)
            if draft is None:
                draft = drafts[key] = Draft(ask.do, ask.contact, member)
                draft.expect = _identity(ask, matches)
            _add(draft, ask, answer.finding)
    return list(drafts.values())


def _add(draft: Draft, ask: Ask, finding: Finding) -> None:
    if ask.do == "promote":
        draft.do = "promote"
    draft.into = ask.into
    reason = Because(finding.rule, finding.id, ask.field if ask.do != "create" else None)
    if reason not in draft.because:
        draft.because.append(reason)
    if ask.field is not None:
        draft.set[ask.field] = ask.value
        if ask.contact is not None:
            draft.expect[ask.field] = ask.contact.get(ask.field)


def _identity(ask: Ask, matches: Mapping[str, Match]) -> dict[str, Scalar]:
    """The values that say who a contact is: where they change, the decision no longer stands.

    What cannot be seen any more once it is done stands on all of them, everything else on those that tied it.
    """
    if ask.contact is None:
        return {}
    match = matches.get(ask.contact.id)
    ties = {} if match is None else {tie.by: tie.value for tie in match.ties if tie.by != "mapping"}
    fields = ("role",) if ties and ask.do not in {"archive", "merge"} else ("role", *IDENTIFIERS)
    return {field: ask.contact.get(field) for field in fields} | ties


def actions_of(drafts: list[Draft]) -> tuple[Action, ...]:
    """The drafts as actions, in the same order."""
    made = {id(draft): _action(draft) for draft in drafts}
    return tuple(
        msgspec.structs.replace(
            made[id(draft)], after=tuple(dict.fromkeys(made[id(before)].id for before in draft.after))
        )
        for draft in drafts
    )


def _action(draft: Draft) -> Action:
    return with_id(
        Action(
            id="",
            do=draft.do,
            contact=draft.contact.id if draft.contact is not None else None,
            into=draft.into,
            member=draft.member,
            expect=draft.expect,
            expect_into=draft.expect_into,
            set=draft.set,
            because=tuple(draft.because),
            undo=undo_class(draft.do, draft.expect, draft.set),
        )
    )
