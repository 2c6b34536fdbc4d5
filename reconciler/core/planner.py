"""From a world to a plan. The rules answer case by case; here their answers become one action per contact."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from reconciler.core.actions import Action
from reconciler.core.assembly import Context, Decision, Scope, assemble, finished, inputs_of, timestamp
from reconciler.core.census import census_of
from reconciler.core.diff import UPDATE_ATTRIBUTES, as_text
from reconciler.core.drafts import Draft, actions_of, drafts_of, drafts_of_case
from reconciler.core.findings import JUDGES, RULE_IDS, SURVEYS, quarantined_row
from reconciler.core.findings.archive_duplicates import choose
from reconciler.core.findings.orphan_contact import orphans
from reconciler.core.findings.replace_uuid_external_id import unconfirmed
from reconciler.core.foresight import contradiction
from reconciler.core.guards import judge as judge_source
from reconciler.core.history import NO_HISTORY, REMEMBERED, History
from reconciler.core.identifiers import give_up, settle, with_undo_known
from reconciler.core.match import Match, Matcher
from reconciler.core.model import DesiredContact, Evidence, Finding
from reconciler.core.plan import Digest, Plan
from reconciler.core.rules import Findings, Rules
from reconciler.core.snapshot import digest
from reconciler.core.witness import basis_of, seen_of
from reconciler.core.world import Case, Ruling, World, case_of, ruling

__all__ = [
    "Context",
    "Decision",
    "Scope",
    "archive_candidates",
    "decide",
    "finished",
    "make_plan",
    "timestamp",
    "with_rules_only",
]
"""Also the words of core/assembly.py that whoever plans contacts needs."""


def with_rules_only(rules: Rules, ids: Iterable[str]) -> Rules:
    """The rules with every finding rule switched off that is not among `ids` (`--rule`)."""
    wanted = set(ids)
    off = {
        name: msgspec.structs.replace(getattr(rules.findings, name), then="off")
        for name, rule in zip(Findings.__struct_fields__, Findings.__struct_encode_fields__, strict=True)
        if rule not in wanted
    }
    return msgspec.structs.replace(rules, findings=msgspec.structs.replace(rules.findings, **off))


def archive_candidates(world: World) -> tuple[str, ...]:
    """Ids of the contacts that a rule may want to archive: whoever gathers asks about their open conversations."""
    found: set[str] = set()
    duplicates = world.rules.findings.archive_duplicates
    if duplicates.then in {"archive", "merge-leads"} and duplicates.unless == "open_conversation":
        for number in world.people.wanted:
            matches = _contacts_of(world, number)
            if len(matches) > 1:
                found.update(match.contact.id for match in choose(matches, number, duplicates.keep)[1])
    orphan = world.rules.findings.orphan_contact
    if orphan.then == "archive" and orphan.unless == "open_conversation":
        found.update(contact.id for contact in orphans(world))
    return tuple(sorted(found))


def decide(world: World, scope: Scope, history: History = NO_HISTORY) -> Decision:
    """Ask every rule about every member, and put what they ask into actions. Pure and linear.

    A contact whose fields were written back and forth lately is left alone, and so is all else of its member.
    """
    rulings: list[Ruling] = []
    drafts: list[Draft] = []
    unchanged = 0
    matcher = Matcher(world.people, world.rules)
    for number, desired in world.people.wanted.items():
        if not scope.covers(number):
            continue
        case = _case(world, number, desired)
        if case is None:
            continue
        if _needs_nothing(case):
            unchanged += 1
            continue
        answers = [answer for judge in JUDGES for answer in judge(case)]
        rulings.extend(answers)
        if unconfirmed(case):
            continue
        wanted = drafts_of_case(case, answers)
        against = contradiction(world, wanted, matcher) or _frozen(wanted, history)
        rulings.extend([] if against is None else [against])
        drafts.extend(wanted if against is None else [])
    for survey in SURVEYS:
        for answer in survey(world):
            if scope.covers_any(answer.about):
                rulings.append(answer)
                wanted = drafts_of(answer.finding.member, [answer], matches={})
                against = _frozen(wanted, history)
                rulings.extend([] if against is None else [against])
                drafts.extend(wanted if against is None else [])
    give_up(world, drafts)
    drafts, held_up = settle(drafts, world.snapshot, against=lambda draft: contradiction(world, [draft], matcher))
    actions = with_undo_known(actions_of(_cut(drafts, scope.limit)), world.snapshot)
    return Decision(_findings([*rulings, *held_up], actions), actions, unchanged)


def _frozen(drafts: Iterable[Draft], history: History) -> Ruling | None:
    """The ruling against the first action on a contact that is written back and forth; None for none (B20)."""
    for draft in drafts:
        named = (draft.contact.id if draft.contact is not None else None, draft.into)
        for contact in (one for one in named if one is not None):
            if fields := history.frozen(contact):
                flipped = ", ".join(f"field {field} flipped {count} times" for field, count in fields.items())
                return ruling(
                    UPDATE_ATTRIBUTES,
                    "review",
                    f"{flipped} in {REMEMBERED.days} days: frozen, until rules or systems agree",
                    contact=contact,
                    member=draft.member,
                    evidence=tuple(
                        Evidence(f"intercom contacts/{contact}", field, draft.contact.get(field))
                        for field in fields
                        if draft.contact is not None and draft.contact.id == contact
                    ),
                )
    return None


def _contacts_of(world: World, number: str) -> tuple[Match, ...]:
    """The contacts of a member that may be touched. Of members who share an e-mail: those that a person mapped."""
    matches = world.matches.tied.get(number, ())
    if number in world.people.sharing:
        return tuple(match for match in matches if match.by == "mapping")
    return matches


def _case(world: World, number: str, desired: DesiredContact) -> Case | None:
    """The member's case, or None where a person has to look first."""
    if len(world.people.by_number[number]) > 1:
        return None
    matches = _contacts_of(world, number)
    if not matches:
        return None if number in world.people.sharing else case_of(world, desired, None, ())
    if len(matches) == 1:
        return case_of(world, desired, matches[0], ())
    survivor, duplicates = choose(matches, number, world.rules.findings.archive_duplicates.keep)
    return case_of(world, desired, survivor, duplicates)


def _needs_nothing(case: Case) -> bool:
    return (
        case.survivor is not None
        and not case.duplicates
        and not case.changes
        and case.phone_problem is None
        and not any(oddity.kind == "phone" for oddity in case.desired.oddities)
    )


def _cut(drafts: list[Draft], limit: int | None) -> list[Draft]:
    """At most `limit` drafts, and none whose predecessor is left out."""
    if limit is None or len(drafts) <= limit:
        return drafts
    kept: list[Draft] = []
    groups: dict[str, list[Draft]] = {}
    for place, draft in enumerate(drafts):
        groups.setdefault(draft.member or f"#{place}", []).append(draft)
    for group in groups.values():
        known = [*kept, *group]
        if len(known) <= limit and all(before in known for draft in group for before in draft.after):
            kept = known
    return kept


def _findings(rulings: list[Ruling], actions: tuple[Action, ...]) -> tuple[Finding, ...]:
    """All findings, ordered by rule; one that no action mends after all is for a person."""
    mended = {one.finding for action in actions for one in action.because}
    rank = {rule: place for place, rule in enumerate(RULE_IDS)}
    found = {answer.finding.id: answer.finding for answer in rulings}
    ordered = sorted(found.values(), key=lambda one: (rank[one.rule], one.member or "", one.contact or "", one.id))
    return tuple(
        msgspec.structs.replace(one, severity="review") if one.severity == "fixable" and one.id not in mended else one
        for one in ordered
    )


def make_plan(world: World, scope: Scope, context: Context) -> Plan:
    """The plan for a world: refused where the source cannot be believed, else decided and held against the limits."""
    verdict = judge_source(
        world.source,
        last_good=context.last_good,
        limits=world.rules.limits,
        accepted=context.accepted,
        now=context.read_at,
        shown=_showing_positions(world) if context.last_good is None and not world.source.positions else 0,
    )
    decision = _only_quarantined(world, scope) if verdict.refused else decide(world, scope, context.history)
    contacts, is_whole = world.snapshot.contacts, context.live is None
    read = Digest(
        sha256=digest(contacts), count=len(contacts) if is_whole else None, read_at=timestamp(context.read_at)
    )
    return assemble(
        decision,
        context,
        verdict=verdict,
        live=len(contacts) if context.live is None else context.live,
        limits=world.rules.limits,
        inputs=inputs_of(world.source, world.rules, contacts=read, is_whole=is_whole),
        basis=basis_of(world.rules, only=scope.only, exclude=scope.exclude, limit=scope.limit),
        census=census_of(world),
        seen=seen_of(
            world,
            history=context.history,
            actions=decision.actions,
            findings=decision.findings,
            also=() if verdict.refused else (*scope.only, *context.also),
        ),
    )


def _showing_positions(world: World) -> int:
    """How many contacts show positions that would be cleared if the source had none."""
    fields = world.rules.contacts.fields.items()
    cleared = [path for path, rule in fields if rule.from_ == "positions" and rule.on_blank == "clear"]
    if not cleared or world.rules.findings.missing_positions.then != "clear":
        return 0
    return sum(any(as_text(contact.get(path)) is not None for path in cleared) for contact in world.snapshot.contacts)


def _only_quarantined(world: World, scope: Scope) -> Decision:
    """Nothing decided, and yet the rows named that somebody has to correct: they may be why the plan is refused."""
    rulings = [answer for answer in quarantined_row.survey(world) if scope.covers_any(answer.about)]
    return Decision(_findings(rulings, ()), (), 0)
