"""Command lines that stand in the runbook and in `.do/app.yaml`, held against the commands that there are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from reconciler.cli import reconcile


def check_command_line(words: Sequence[str]) -> None:
    """Parse a command line as the program would, without running it. Raises click.UsageError where it is wrong."""
    rest = list(words)
    # With its settings: a command keeps the help option that it was first asked for.
    context = click.Context(reconcile, info_name="reconcile", **reconcile.context_settings)
    command: click.Command = reconcile
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        context = found.make_context(name, rest, parent=context, resilient_parsing=False)
        if isinstance(found, click.Group):
            rest = [*context._protected_args, *context.args]
        command = found
