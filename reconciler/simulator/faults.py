"""What can go wrong between a caller and Intercom, and how often.

A fault strikes before the effect (nothing was written) or after it (it was, and the caller cannot know). The second
kind is the one that makes duplicates, so most kinds have both forms.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Literal

Phase = Literal["before", "after"]


class Fault(StrEnum):
    """Every fault. Those ending in -after come once the effect has happened, the others instead of it."""

    RATE_LIMIT = "429"
    ERROR_BEFORE = "500-before"
    ERROR_AFTER = "500-after"
    RESET_BEFORE = "reset-before"
    """The connection is aborted without an answer."""
    RESET_AFTER = "reset-after"
    TIMEOUT_BEFORE = "timeout-before"
    """No answer for `Options.hold` seconds, then the connection is aborted."""
    TIMEOUT_AFTER = "timeout-after"
    TORN_BEFORE = "torn-before"
    """Status 200, and JSON that stops in the middle."""
    TORN_AFTER = "torn-after"
    HTML_BEFORE = "html-before"
    """Status 200, and a page of a proxy instead of JSON."""
    HTML_AFTER = "html-after"

    @property
    def phase(self) -> Phase:
        """When it strikes."""
        return "after" if self.value.endswith("-after") else "before"

    @property
    def kind(self) -> str:
        """Its name without the phase."""
        return self.value.removesuffix("-before").removesuffix("-after")


SHORTHANDS: Mapping[str, tuple[Fault, ...]] = {
    "500": (Fault.ERROR_BEFORE, Fault.ERROR_AFTER),
    "reset": (Fault.RESET_BEFORE, Fault.RESET_AFTER),
    "html": (Fault.HTML_BEFORE, Fault.HTML_AFTER),
    "torn": (Fault.TORN_AFTER,),
    "timeout": (Fault.TIMEOUT_AFTER,),
}
"""A bare name: its probability is shared out evenly among these."""


class FaultsError(ValueError):
    """A `--faults` text that cannot be read; the message says which part, and what would be right."""


def parse_faults(text: str) -> dict[Fault, float]:
    """Read `429=0.02,500-before=0.05,reset=0.02`: probabilities from 0 to 1, together at most 1. Empty text: no
    faults.
    """
    rates: dict[Fault, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        faults = _named(name)
        if not equals:
            raise FaultsError(f"fault {part!r} has no probability: write {name}=0.02")
        for fault in faults:
            if fault in rates:
                raise FaultsError(f"fault {fault.value!r} is given twice")
            rates[fault] = _probability(name, number) / len(faults)
    if sum(rates.values()) > 1 + 1e-9:
        raise FaultsError(f"the probabilities of all faults add up to {sum(rates.values()):g}, more than 1")
    return rates


def _named(name: str) -> tuple[Fault, ...]:
    if name in SHORTHANDS:
        return SHORTHANDS[name]
    try:
        return (Fault(name),)
    except ValueError:
        valid = ", ".join([*SHORTHANDS, *(fault.value for fault in Fault)])
        raise FaultsError(f"unknown fault {name!r}: valid kinds are {valid}") from None


def _probability(name: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise FaultsError(f"the probability of fault {name!r} is not a number: {number!r}") from None
    if not 0 <= value <= 1:
        raise FaultsError(f"the probability of fault {name!r} is {number}, not between 0 and 1")
    return value


def parse_latency(text: str) -> tuple[float, float]:
    """Read `0.05` or `0.05,0.02`: seconds every call takes, and the most that chance adds to them."""
    try:
        base, jitter = (float(piece) for piece in (text if "," in text else f"{text},0").split(","))
    except ValueError:
        raise FaultsError(f"latency {text!r} is not SECONDS or SECONDS,JITTER, for example 0.05,0.02") from None
    if not (0 <= base < float("inf") and 0 <= jitter < float("inf")):
        raise FaultsError(f"latency {text!r} must not be negative or endless")
    return base, jitter


def drawer(rates: Mapping[Fault, float], seed: int) -> Callable[[], Fault | None]:
    """A function that draws one fault, or mostly none, for each call; the same sequence for the same seed."""
    chance = random.Random(f"{seed}:faults")  # noqa: S311  (chance, not a secret)
    ordered = [(fault, rates[fault]) for fault in Fault if fault in rates]

    def draw() -> Fault | None:
        point = chance.random()
        for fault, rate in ordered:
            if point < rate:
                return fault
            point -= rate
        return None

    return draw if ordered else lambda: None
