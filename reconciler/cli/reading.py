"""What every command says that reads back many records, where it could not read them all."""

from __future__ import annotations

import click

from reconciler.errors import ExitCode
from reconciler.runs.reading import Reading

_NAMED = 5


def warn_of(reading: Reading) -> int:
    """Say on stderr what was left out. Returns the exit code: 1 where a record is damaged, else 0."""
    if reading.of_another_release:
        click.echo(f"Left out, as of another release: {_listed(reading.of_another_release)}", err=True)
    if not reading.damaged:
        return ExitCode.DONE
    click.echo(f"Left out, as changed or cut after they were written: {_listed(reading.damaged)}", err=True)
    click.echo("Next: Restore them from a backup; without them this is not the whole story.", err=True)
    return ExitCode.ERROR


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
