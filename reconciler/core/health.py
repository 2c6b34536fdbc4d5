"""What `reconcile doctor` says of one thing: green, amber or red, in a sentence, with the next step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

FORMAT = "reconciler.health/1"

Status: TypeAlias = Literal["green", "amber", "red"]
"""`green`: as it should be · `amber`: a person should look, but the night still runs · `red`: the night cannot run, did
not, or must not be believed.
"""

_RANK: tuple[Status, ...] = ("green", "amber", "red")


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the doctor's report. Neither text holds a secret, a name, an e-mail or a phone."""

    id: str
    """What was looked at, e.g. `token`: stable, for scripts."""
    status: Status
    says: str
    """What was found, in one sentence."""
    next_step: str = ""
    """What a person does about it; blank only where green."""


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything the doctor found, in the order of its checks. at: UTC, ISO 8601 to the second."""

    format: str = FORMAT
    at: str
    status: Status
    """The worst of them."""
    checks: tuple[Check, ...]


def health(checks: Iterable[Check], *, at: str) -> Health:
    """All checks as one report."""
    found = tuple(checks)
    return Health(at=at, status=worst(check.status for check in found), checks=found)


def worst(statuses: Iterable[Status]) -> Status:
    """The gravest of them; green where there is none."""
    return max(statuses, key=_RANK.index, default="green")


def green(check: str, says: str) -> Check:
    """All is well."""
    return Check(check, "green", says)


def amber(check: str, says: str, next_step: str) -> Check:
    """A person should look."""
    return Check(check, "amber", says, next_step)


def red(check: str, says: str, next_step: str) -> Check:
    """A person must act."""
    return Check(check, "red", says, next_step)
