"""What would flip a decision: single changes, each tried by deciding again, those nearest to a person first.

Nothing here knows the rules: a change is made to a copy of the setting, and the same code decides that decided the
plan. `flip_source`, `flip_contacts` and `flip_rules` only say which changes are worth trying.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

from reconciler.core.explain.again import Setting
from reconciler.core.explain.explanation import Flip, Side
from reconciler.core.explain.flip_contacts import (
    changes_of_contact,
    changes_of_holders,
    changes_of_mappings,
    changes_of_past,
)
from reconciler.core.explain.flip_rules import changes_of_rules
from reconciler.core.explain.flip_source import changes_of_others, changes_of_positions, changes_of_row
from reconciler.core.explain.matches import survivor_of
from reconciler.core.explain.trial import Trial
from reconciler.core.planner import Decision
from reconciler.core.rules.lines import RuleBook

MOST_A_SIDE = 3
MOST_TRIED = 400
FEWEST_TRIED = 40
WORK = 12_000
"""Members that are decided about in all: of a group of hundreds who share one e-mail, fewer changes are tried."""

SIDES: tuple[Side, ...] = ("source", "intercom", "person", "rules")

Signature: TypeAlias = tuple[tuple[str, str], ...]


def flips_of(
    setting: Setting, book: RuleBook, *, member: str | None, contact: str | None
) -> tuple[tuple[Flip, ...], int]:
    """The changes that flip what is done with this member (or this one contact), and how many were tried.

    At most MOST_A_SIDE of each side, and the sides by turns: the source, Intercom, a person's decision, the rules.
    """
    now = signature(setting.decide(), member, contact)
    most = max(FEWEST_TRIED, min(MOST_TRIED, WORK // max(len(setting.source.members), 1)))
    waiting = _trials(setting, book, member, contact)
    found: dict[Side, list[Flip]] = {side: [] for side in SIDES}
    tried = 0
    while waiting and tried < most:
        for side in tuple(waiting):
            trial = next(waiting[side], None)
            if trial is None or len(found[side]) == MOST_A_SIDE:
                del waiting[side]
                continue
            tried += 1
            then = signature(trial.setting.decide(), member, contact)
            if then != now:
                found[side].append(Flip(side, trial.change, shown(then), trial.line))
    return tuple(flip for side in SIDES for flip in found[side]), tried


def signature(decision: Decision, member: str | None, contact: str | None) -> Signature:
    """What is done, without the values: kind and contact of each action."""
    return tuple(
        sorted(
            (action.do, action.contact or "")
            for action in decision.actions
            if (contact in {action.contact, action.into} if contact is not None else action.member == member)
        )
    )


def shown(what: Signature) -> str:
    """`archive contact c4, update contact c1`."""
    words = (f"{do} contact {who}" if who else f"{do} a contact" for do, who in what)
    return ", ".join(words) or "nothing is done"


def _trials(setting: Setting, book: RuleBook, member: str | None, contact: str | None) -> dict[Side, Iterator[Trial]]:
    world = setting.world()
    rows = tuple(row for row in setting.source.members if row.number == member)
    kept = survivor_of(world, member) if member is not None else None
    near = (*world.matches.tied.get(member or "", ()), *world.matches.claimed.get(member or "", ()))
    mine = {match.contact.id for match in near} if contact is None else {contact}
    # The contact that is kept comes last: what the others are about is what a person asks.
    contacts = sorted(
        (one for one in setting.contacts if one.id in mine),
        key=lambda one: (kept is not None and one is kept.contact, one.id),
    )
    return {
        "source": chain(
            *(changes_of_row(setting, row, contacts) for row in rows),
            changes_of_positions(setting, member),
            changes_of_others(setting, rows),
        ),
        "intercom": chain(
            *(
                changes_of_contact(setting, one, rows, kept=kept is not None and one is kept.contact)
                for one in contacts
            ),
            changes_of_holders(setting, contacts, rows),
        ),
        "person": chain(changes_of_mappings(setting, member, contacts), changes_of_past(setting, contacts)),
        "rules": changes_of_rules(setting, book, rows),
    }
