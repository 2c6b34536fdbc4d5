"""Why a plan does with one member or contact what it does: pure, from the plan alone.

What the plan says is shown as it stands there (`explain_plan`). What it was decided on (`core/seen.py`) is decided
again: that shows how each value came about, and which single changes would have flipped the decision. Where this comes
to something else than the plan, the explanation says so, and trusts the plan.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reconciler.core.actions import KINDS, Action
from reconciler.core.explain.again import rules_of, setting_of
from reconciler.core.explain.explanation import ContactStory, Deed, Explanation, FieldStory, Flip
from reconciler.core.explain.fields import fields_of, rows_of
from reconciler.core.explain.flips import flips_of, signature
from reconciler.core.explain.from_plan import Subject, reason_of, told_by
from reconciler.core.explain.matches import contacts_of, survivor_of
from reconciler.core.guards import Accepted
from reconciler.core.limits import check_limits
from reconciler.core.model import Finding
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Plan
from reconciler.core.planner import Decision
from reconciler.core.rules import Limits
from reconciler.core.rules.lines import RuleBook
from reconciler.core.seen import Seen
from reconciler.core.world import World
from reconciler.errors import RulesError


def explain(plan: Plan, subject: Subject, *, run: RunOutcome | None = None) -> Explanation:
    """The explanation. `run` is what became of the plan, where it was applied."""
    seen = _group_of(plan, subject)
    book = RuleBook(plan.basis.files if plan.basis is not None else {})
    if plan.basis is None or seen is None:
        note = "The plan kept nothing of what this was decided on, so only what it says itself is shown."
        return msgspec.structs.replace(told_by(plan, subject, book, run), notes=(note,))
    try:
        rules = rules_of(plan.basis)
    except RulesError:
        note = "The rules of the plan are of a form that this release does not read; only what it says itself is shown."
        return msgspec.structs.replace(told_by(plan, subject, book, run), notes=(note,))
    setting = setting_of(plan, seen, rules)
    world, decision = setting.world(), setting.decide()
    subject = _with_owner(world, subject)
    told = told_by(plan, subject, book, run)
    number = subject.member if subject.member in world.people.by_number else None
    flips, tried = flips_of(setting, book, member=subject.member, contact=subject.contact)
    told = msgspec.structs.replace(
        told,
        review=(*told.review, *(reason_of(one, book) for one in _of_many(plan, world, decision, number))),
        rows=rows_of(world, number) if number is not None else (),
        contacts=contacts_of(world, book, number),
        flips=(*_lifted(plan, told.deeds, rules.limits, book), *flips),
        flips_tried=tried,
        notes=tuple(_notes(plan, subject, decision)),
    )
    return msgspec.structs.replace(
        told,
        fields=_fields(world, book, subject, told, plan.actions) if number is not None else (),
        against=tuple(_against(world, subject, told)),
    )


def _group_of(plan: Plan, subject: Subject) -> Seen | None:
    """The group that the subject is in. A number that no row has any more is in that of the contacts it stands on."""
    about = [one.contact for one in plan.actions if subject.has(one)]
    about += [one.contact for one in plan.findings if subject.concerns(one)]
    names = [subject.contact] if subject.contact is not None else [subject.member, *about]
    held = (one for name in names if name is not None for one in plan.seen if one.holds(name))
    return next(held, None)


def _of_many(plan: Plan, world: World, decision: Decision, number: str | None) -> Iterator[Finding]:
    """The findings of the plan that name nobody and are about this member among others, as of an unknown code."""
    rows = {f"{world.source.name} {row.row}" for row in world.people.by_number.get(number or "", ())}
    mine = {
        (one.rule, one.says.partition(";")[0])
        for one in decision.findings
        if one.member is None and one.contact is None and any(line.origin in rows for line in one.evidence)
    }
    for one in plan.findings:
        if one.member is None and one.contact is None and (one.rule, one.says.partition(";")[0]) in mine:
            yield one


def _with_owner(world: World, subject: Subject) -> Subject:
    """The subject with the member that its contact is tied to, where no action or finding names one."""
    if subject.member is not None:
        return subject
    tied = world.matches.tied.items()
    owners = (number for number, matches in tied if any(one.contact.id == subject.contact for one in matches))
    return msgspec.structs.replace(subject, member=next(owners, None))


def _fields(
    world: World, book: RuleBook, subject: Subject, told: Explanation, actions: tuple[Action, ...]
) -> tuple[FieldStory, ...]:
    """Of the contact that the member keeps or gets; a contact that is not kept has no field that is written."""
    number = subject.member or ""
    if number not in world.people.wanted:
        return ()
    survivor = survivor_of(world, number)
    kept = survivor.contact if survivor is not None else None
    if (subject.contact is not None and (kept is None or kept.id != subject.contact)) or (
        kept is None and not any(deed.do == "create" for deed in told.deeds)
    ):
        return ()
    rules = ", ".join(dict.fromkeys(one.rule for one in told.review))
    why_not = f"differs, and is left as it is: {rules or 'the rule for it does not act'}"
    mine = tuple(action for action in actions if subject.has(action))
    return fields_of(world, book, number, contact=kept, actions=mine, why_not=why_not)


def _against(world: World, subject: Subject, told: Explanation) -> Iterator[str]:
    """What could have been done, and was not."""
    does: set[tuple[str, str | None]] = {(deed.do, deed.contact) for deed in told.deeds}
    for story in told.contacts:
        if subject.contact in {None, story.contact} and (text := _left_alone(story, does)) is not None:
            yield text
    if subject.contact is None and subject.member is not None and ("create", None) not in does:
        yield f"no new contact is made: {_why_none_made(world, subject.member)}"


def _left_alone(story: ContactStory, does: set[tuple[str, str | None]]) -> str | None:
    match story.standing:
        case "duplicate" if not {("archive", story.contact), ("merge", story.contact)} & does:
            return f"contact {story.contact} is not archived, though {story.says}"
        case "in dispute":
            return f"contact {story.contact} is not touched: {story.says}"
        case "kept" if story.role == "lead" and ("promote", story.contact) not in does:
            return f"contact {story.contact} stays a lead"
        case _:
            return None


def _why_none_made(world: World, number: str) -> str:
    people, matches = world.people, world.matches
    kept = survivor_of(world, number)
    if len(people.by_number.get(number, ())) > 1:
        return f"member {number} is in the source {len(people.by_number[number])} times"
    if number not in people.wanted:
        return _why_not_wanted(world, number)
    if kept is not None:
        return f"{kept.contact.id} is member {number} by {kept.by}"
    if number in matches.claimed:
        return f"{' and '.join(one.contact.id for one in matches.claimed[number])} may be member {number} already"
    if number in people.sharing:
        return f"member {number} shares an e-mail with another member"
    return "the rule for it does not act, or another contact holds what it should have"


def _why_not_wanted(world: World, number: str) -> str:
    if number in world.people.unsure:
        return f"a row of member {number} is quarantined, and nobody can say what was meant"
    who = world.rules.contacts.who
    needed = f", with {' and '.join(who.require)}" if who.require else ""
    return f"only {' or '.join(who.status)} members{needed}, should be one"


def _lifted(plan: Plan, deeds: tuple[Deed, ...], limits: Limits, book: RuleBook) -> Iterator[Flip]:
    """What would let a held class through: the same check of limits, with a person's word for it."""
    counts = {do: sum(1 for action in plan.actions if action.do == do) for do in KINDS}
    for do in dict.fromkeys(deed.do for deed in deeds if deed.held is not None):
        word = Accepted({do: counts[do]}, "tried")
        checks = check_limits(counts, live=plan.inputs.actual.count or 0, limits=limits, accepted=word)
        if any(check.limit == do and check.ok and check.accepted is not None for check in checks):
            text = f"a person said --accept {do}={counts[do]} --reason TEXT when planning"
            yield Flip("person", text, f"{do} is not held", book.find("limits.yaml", do))


def _notes(plan: Plan, subject: Subject, decision: Decision) -> Iterator[str]:
    """Where deciding again does not come to what the plan says, and what may be why."""
    planned = Decision((), tuple(action for action in plan.actions if subject.has(action)), 0)
    if signature(planned, subject.member, subject.contact) == signature(decision, subject.member, subject.contact):
        return
    basis = plan.basis
    if basis is not None and subject.member is not None and not _in_scope(subject.member, basis.only, basis.exclude):
        yield "The member was not in the plan's scope (--only, --exclude)."
    elif basis is not None and basis.limit is not None and not planned.actions:
        yield f"The plan was cut to {basis.limit} actions (--limit), and this is not among them."
    else:
        yield "Decided again, this comes to something else than the plan: the plan is what counts."


def _in_scope(number: str, only: tuple[str, ...], exclude: tuple[str, ...]) -> bool:
    return number not in exclude and (not only or number in only)
