"""The order in which keys come, in one walk through a table and in the next."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.supabase.pages import Moved, Order
from tests.support.campaign import NIGHTLY

KEYS = st.lists(st.sampled_from("abcdef"), max_size=8)


def noted(order: Order, keys: list[str]) -> list[str]:
    """The keys, as far as none came again."""
    came: list[str] = []
    with suppress(Moved):
        for key in keys:
            order.note(key)
            came.append(key)
    return came


def without_repetition(keys: list[str]) -> list[str]:
    """The keys up to the first that was there before."""
    for at, key in enumerate(keys):
        if key in keys[:at]:
            return keys[:at]
    return keys


@given(KEYS.map(lambda keys: list(dict.fromkeys(keys))), KEYS)
@example(list("abcdef"), list("abxb"))  # it leaves the earlier one, then has a key from before that
@example(list("abcdef"), list("abxdx"))  # and one from after it
@example(list("abc"), list("abca"))  # it goes on where the earlier one ends
@settings(max_examples=5_000 if NIGHTLY else 200)
def test_a_key_that_comes_again_is_seen_whatever_came_in_the_walk_before(earlier: list[str], keys: list[str]) -> None:
    """That walk saves the next one its own keys, and changes nothing else."""
    first = Order()
    assert noted(first, earlier) == earlier
    assert noted(Order(first), keys) == noted(Order(), keys) == without_repetition(keys)
    assert list(first.keys) == earlier


def test_keys_that_come_as_before_are_not_kept_again() -> None:
    """They are as many as members."""
    first = Order()
    for key in "abc":
        first.note(key)
    second = Order(first)
    for key in "abc":
        second.note(key)
    assert (len(first.keys), len(second.keys)) == (3, 0)
