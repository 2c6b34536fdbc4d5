"""To decide again, from what a plan kept: the same for a group of members and contacts as on the day."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reconciler.core.history import NO_HISTORY, History
from reconciler.core.model import Contact, SourceData
from reconciler.core.plan import Plan
from reconciler.core.planner import Decision, Scope, decide
from reconciler.core.rules import Findings, Rules
from reconciler.core.rules.loader import parse_rules
from reconciler.core.seen import Basis, Seen
from reconciler.core.snapshot import index
from reconciler.core.world import World, build_world


class Setting(msgspec.Struct, frozen=True):
    """All that a decision about a group rests on; what would flip it is one of these values with one thing changed."""

    rules: Rules
    source: SourceData
    contacts: tuple[Contact, ...]
    open_conversations: Mapping[str, int]
    history: History = NO_HISTORY

    def world(self) -> World:
        """Both sides, matched."""
        world = build_world(self.source, index(self.contacts), self.rules)
        return msgspec.structs.replace(world, open_conversations=self.open_conversations)

    def decide(self) -> Decision:
        """What the rules make of it."""
        return decide(self.world(), Scope(), self.history)


def rules_of(basis: Basis) -> Rules:
    """The rules as they stood. Raises RulesError where this release reads such files no longer."""
    rules = parse_rules(basis.files)
    names = zip(Findings.__struct_fields__, Findings.__struct_encode_fields__, strict=True)
    off = {
        field: msgspec.structs.replace(getattr(rules.findings, field), then="off")
        for field, rule in names
        if rule in basis.off
    }
    return msgspec.structs.replace(rules, findings=msgspec.structs.replace(rules.findings, **off))


def setting_of(plan: Plan, seen: Seen, rules: Rules) -> Setting:
    """The setting of one group of a plan."""
    return Setting(
        rules=msgspec.structs.replace(rules, mappings=seen.mappings),
        source=SourceData(
            plan.inputs.members.source or "source", seen.members, seen.positions, quarantined=seen.quarantined
        ),
        contacts=seen.contacts,
        open_conversations=seen.open_conversations,
        history=History(flips=seen.flips),
    )
