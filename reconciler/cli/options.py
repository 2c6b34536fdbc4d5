"""Options that several commands share, and what they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from reconciler.controller import PlanRequest
from reconciler.core.actions import KINDS
from reconciler.core.findings import RULE_IDS
from reconciler.core.guards import GUARD_CLASSES, Accepted
from reconciler.core.model import Target
from reconciler.core.planner import Scope

_CLASSES = (*KINDS, *GUARD_CLASSES)
"""What --accept may name."""

FORMATS = ("text", "markdown", "html", "json")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the planning options of a command line say."""

    request: PlanRequest
    mappings: Path | None
    narrowed: bool
    """Whether any of them was given, but for the target."""
    named_target: Target | None
    """What is reconciled, where it was said."""

    @property
    def target(self) -> Target:
        """What is reconciled."""
        return self.named_target or "contacts"


def planning_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that narrow a plan; it gets them as one argument, `asked`."""

    @wraps(command)
    def with_asked(
        *,
        target: Target | None,
        only: tuple[str, ...],
        exclude: tuple[str, ...],
        rules: tuple[str, ...],
        limit: int | None,
        mappings: Path | None,
        accept: tuple[str, ...],
        reason: str,
        **others: Any,
    ) -> Any:
        if target == "positions" and (rules or mappings):
            raise click.UsageError("--rule and --mappings are about contacts; --target positions knows neither.")
        request = PlanRequest(
            scope=Scope(only=frozenset(only), exclude=frozenset(exclude), limit=limit),
            rules=rules,
            accepted=_accepted(accept, reason.strip()),
        )
        narrowed = any((only, exclude, rules, limit, mappings, accept, reason))
        return command(asked=Asked(request, mappings, narrowed, target), **others)

    for option in reversed(_PLANNING):
        with_asked = option(with_asked)
    return with_asked


def accepted_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --accept and --reason; it gets them as one argument, `accepted`."""

    @wraps(command)
    def with_accepted(*, accept: tuple[str, ...], reason: str, **others: Any) -> Any:
        return command(accepted=_accepted(accept, reason.strip()), **others)

    for option in reversed(_ACCEPTING):
        with_accepted = option(with_accepted)
    return with_accepted


_ACCEPTING = (
    click.option(
        "--accept",
        multiple=True,
        metavar="CLASS=N",
        help="Accept N actions of a class over its limit, or the number N that a source guard names. Needs --reason.",
    ),
    click.option("--reason", default="", metavar="TEXT", help="Why --accept is right; recorded in the plan."),
)

_PLANNING = (
    click.option(
        "--target",
        type=click.Choice(["contacts", "positions"]),
        help="What is reconciled: the contacts in Intercom (as a rule), or the positions table in Supabase.",
    ),
    click.option("--only", multiple=True, metavar="MEMBER", help="Only this member; may be given again."),
    click.option("--exclude", multiple=True, metavar="MEMBER", help="Not this member; may be given again."),
    click.option("--rule", "rules", multiple=True, type=click.Choice(RULE_IDS), metavar="ID", help="Only this rule."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N actions."),
    click.option(
        "--mappings",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help='A JSON list of {"contact_id", "member_number"}, decided by a person.',
    ),
    *_ACCEPTING,
)


def _accepted(pairs: tuple[str, ...], reason: str) -> Accepted:
    if not pairs:
        return Accepted()
    if not reason:
        raise click.UsageError("--accept needs --reason TEXT: the plan records why.")
    numbers: dict[str, int] = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        if name not in _CLASSES or not number.isascii() or not number.isdigit():
            raise click.UsageError(f"--accept {pair}: wanted is CLASS=N, where CLASS is one of {', '.join(_CLASSES)}.")
        numbers[name] = int(number)
    return Accepted(numbers, reason)
