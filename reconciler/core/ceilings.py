"""The numbers that no edit of rules/limits.yaml can go beyond (failure mode F4: a configuration that widens its scope).

Each stands in code so that raising it takes a review and a release, not an edit at night. The union has about 20,000
members and as many contacts; the reasons count with those.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CEILINGS: Mapping[str, int | float] = MappingProxyType(
    {
        # A source that lost a fifth of its members was read wrong, or the union has other worries than this program.
        "source.shrink_percent": 20,
        # Elections change who holds a position, hardly how many do; a fifth gone in one night is a mirror read wrong.
        "source.positions_shrink_percent": 20,
        "source.positions_shrink_floor": 100,
        # Half of the members without what they had the night before.
        "source.blank_percent": 50,
        # 1,000 rows: more than anybody corrects in a week, so that nobody would read the findings any more.
        "source.quarantine_percent": 5,
        # A week. An older copy than that says nothing of today.
        "source.stale_hours": 168,
        # An empty workspace has to be filled once, so all may be created; above the floor it takes a person's consent.
        "create.percent": 100,
        "create.floor": 1000,
        # A new attribute changes every contact once. An update can be taken back to the very values.
        "update.percent": 100,
        "update.floor": 2000,
        # A promotion cannot be taken back: a user never becomes a lead again.
        "promote.percent": 50,
        "promote.floor": 500,
        "promote.hard": 1000,
        # Never over 200 in one run (design §5): 200 is what two people can look through and restore in a morning.
        "archive.percent": 5,
        "archive.floor": 200,
        "archive.hard": 200,
        # Five of the largest runs: one each working day.
        "archive.per_week": 1000,
        # A merge removes a lead for good.
        "merge.percent": 5,
        "merge.floor": 100,
        "merge.hard": 100,
        "merge.per_week": 500,
        # Bringing back what was archived: five of the largest archives at once.
        "unarchive.percent": 20,
        "unarchive.floor": 1000,
        "unarchive.hard": 1000,
        # An empty table has to be filled once; above the floor it takes a person's consent.
        "create_position.percent": 100,
        "create_position.floor": 1000,
        # A spelling put right can be taken back to the very values.
        "update_position.percent": 100,
        "update_position.floor": 1000,
        # Positions of a member (target `positions`): elections change many, never most.
        "delete.percent": 20,
        "delete.floor": 200,
        "delete.hard": 1000,
        # After three days, a weekend, what a plan was decided on is no longer what stands in Intercom.
        "plan_lifetime_hours": 72,
        # A run of which every tenth action fails is not doing what its plan says; a hundred contacts in a state that
        # nobody planned are a day's work to look through.
        "error_budget.percent": 10,
        "error_budget.count": 100,
    }
)

REQUIRED = ("archive.hard", "merge.hard")
"""Limits that may not be left out: without a hard number these classes would have no end."""
