"""In which order the workers of pytest-xdist run the tests: whoever finishes must not wait for one long test.

`--dist worksteal` gives each worker one part of the list, as even as can be, and lets those who are done take from the
ends of the others' parts. So each part begins with a share of the longest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")

LONGEST = (
    "test_one_apply_settles_a_world",
    "test_undo_restores_what_it_promises",
    "test_half_a_night_leaves_no_trap",
    "test_an_instance_that_was_taken_for_dead",
    "test_two_instances_share_a_queue",
    "test_terminated_in_the_middle_of_what_does_not_end",
    "test_killed_in_the_middle_of_a_flood",
    "test_killed_at_random_with_the_state_kept",
    "test_killed_at_random_with_the_disk_wiped",
)
"""Test functions of 5 to 70 seconds, the longest first (`pytest --durations`)."""


def longest_first(items: Sequence[Item], *, parts: int, function: Callable[[Item], str]) -> list[Item]:
    """The same items, so that each of the parts begins with its share of the longest. function: that of an item."""
    long = sorted((item for item in items if function(item) in LONGEST), key=lambda item: LONGEST.index(function(item)))
    rest = (item for item in items if function(item) not in LONGEST)
    ordered: list[Item] = []
    for part in range(parts):
        size = (len(items) - len(ordered)) // (parts - part)
        share = long[part::parts]
        ordered += share + list(islice(rest, max(0, size - len(share))))
    return ordered + list(rest)
