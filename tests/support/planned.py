"""Command lines that stand in the runbook and in `.do/app.yaml` before they exist.

Each is skipped by its name as long as it is not there, and held like any other from the moment it is: nothing has to be
changed here then, and what is left here may go.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from reconciler.cli import COMMANDS, reconcile

COMMANDS_TO_COME = ("serve", "webhook", "events")

VALUES_TO_COME = (("apply", "--target", "positions"),)
"""Command, option, value."""


def not_there_yet(words: Sequence[str]) -> str | None:
    """Why a command line (without `reconcile`) cannot be right yet; None where it must be."""
    if words[0] in COMMANDS_TO_COME and words[0] not in COMMANDS:
        return f"reconcile {words[0]} is not there yet"
    for name, option, value in VALUES_TO_COME:
        if words[0] == name and option in words and value in words and not _takes(name, option, value):
            return f"reconcile {name} {option} {value} is not there yet"
    return None


def _takes(name: str, option: str, value: str) -> bool:
    """Whether a command has the option, and the option that value among its choices."""
    command = reconcile.get_command(click.Context(reconcile), name)
    found = [one for one in command.params if option in one.opts] if command is not None else []
    return any(isinstance(one.type, click.Choice) and value in one.type.choices for one in found)


def check_command_line(words: Sequence[str]) -> None:
    """Parse a command line as the program would, without running it. Raises click.UsageError where it is wrong."""
    rest = list(words)
    context = click.Context(reconcile, info_name="reconcile")
    command: click.Command = reconcile
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        context = found.make_context(name, rest, parent=context, resilient_parsing=False)
        if isinstance(found, click.Group):
            rest = [*context._protected_args, *context.args]
        command = found
