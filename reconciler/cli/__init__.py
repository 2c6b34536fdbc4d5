"""`reconcile`: the commands (design §6). Each is one module of this package, imported when it is called.

Data goes to stdout, progress, logs and errors to stderr.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from traceback import extract_tb
from typing import NoReturn

import click

from reconciler import __version__
from reconciler.errors import ExitCode, ReconcilerError

COMMANDS: dict[str, tuple[str, str]] = {
    "plan": ("reconciler.cli.plan:command", "Compare both sides, store a plan and show it."),
    "apply": ("reconciler.cli.apply:command", "Carry out a plan, exactly as it is written."),
    "approve": ("reconciler.cli.approve:command", "Agree to what limits.yaml wants a person's consent for."),
    "show": ("reconciler.cli.show:command", "Show a stored plan in any format."),
    "link": ("reconciler.cli.link:command", "Print a link that shows a plan in a browser for a while."),
    "export": ("reconciler.cli.export:command", "Write a plan for a spreadsheet, or without personal data."),
    "diff": ("reconciler.cli.diff:command", "Compare two plans: new, resolved, persistent, flapping."),
    "history": ("reconciler.cli.history:command", "One line a run, with trends and a chart."),
    "timeline": ("reconciler.cli.timeline:command", "All that ever happened to a member or a contact."),
    "explain": ("reconciler.cli.explain:command", "Show why a member or contact is treated as it is."),
    "undo": ("reconciler.cli.undo:command", "Make a plan that takes back what was applied."),
    "rehearse": ("reconciler.cli.rehearse:command", "Apply a plan to a copy, and plan again."),
    "doctor": ("reconciler.cli.doctor:command", "Look at everything a person on call would."),
    "verify": ("reconciler.cli.verify:command", "Prove that no stored plan or outcome was touched."),
    "erase": ("reconciler.cli.erase:command", "Take personal data out of stored plans, for good."),
    "pause": ("reconciler.cli.pause:pause", "Stop all writing, at once."),
    "resume": ("reconciler.cli.pause:resume", "Allow writing again."),
    "serve": ("reconciler.cli.serve:command", "Serve the webhook that Intercom calls."),
    "events": ("reconciler.cli.events:command", "Show the queue of the web service, and what is parked."),
    "webhook": ("reconciler.cli.webhook:command", "Send the web service a signed test event."),
    "rules": ("reconciler.cli.rules:command", "Check the rule files, print their schemas, run their cases."),
    "simulate": ("reconciler.cli.simulate:command", "Serve a stand-in for Intercom."),
    "demo": ("reconciler.cli.demo:command", "A drifted workspace: plan, apply, plan again."),
}
"""Command → where it is (module:name), and what the list of commands says of it."""

_COLLECT_AFTER = 50_000
"""Objects made before the garbage collector looks for cycles: after every 700, as Python has it, the imports of one
command alone cost 0.05 s more, and no cycle of theirs is ever found.
"""

_FRAMES_SHOWN = 12
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_STREAMS = {"stdin": "r", "stdout": "w", "stderr": "w"}


class LazyGroup(click.Group):
    """A group that imports a command only when it is called, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is answered with the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean `reconcile {near[0]}`?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
def reconcile() -> None:
    """Keep the Intercom contacts of a union equal to what its members and positions say.

    Start with `reconcile demo`; then `reconcile plan`, read what it says, and `reconcile apply`.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave the process with its exit code (`ExitCode`)."""
    gc.set_threshold(_COLLECT_AFTER)
    for name, mode in _STREAMS.items():
        if getattr(sys, name) is None:  # closed by whoever started this: what is said there, nobody wants to hear
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open for as long as the process is
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for a terminal that is not UTF-8
    exit_code = run(arguments)
    gc.freeze()  # what is left goes with the process: as it ends, Python would walk all of it several times over
    sys.exit(exit_code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors of ours become a message with the next step."""
    try:
        result = reconcile.main(args=arguments, prog_name="reconcile", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.ERROR
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Nothing was written to Intercom.", err=True)
        return ExitCode.ERROR
    except ReconcilerError as error:
        show_error(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the text of a stranger's error may hold personal data
        show_error(_unforeseen(error))
        return ExitCode.ERROR
    return result if isinstance(result, int) else ExitCode.DONE


def _unforeseen(error: Exception) -> ReconcilerError:
    """An error that no command turned into one of ours. Where a file is written, whoever writes it does that, with the
    file's name: a disk that is full here is full under the output.
    """
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return ReconcilerError(
            f"the output could not be written: {error.strerror}",
            next_step="Make room where it goes, then run this again. After an apply, look at its outcome.",
        )
    return _our_fault(error)


def _our_fault(error: Exception) -> ReconcilerError:
    """An error that nobody foresaw: its kind and where it came from, never its text."""
    came_from = [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
    return ReconcilerError(
        "\n".join([f"the program itself failed, with {type(error).__name__}, at", *came_from[-_FRAMES_SHOWN:]]),
        next_step="Please report this, with the lines above: it is a bug. After an apply, look at its outcome.",
    )


def show_error(error: ReconcilerError) -> None:
    """What happened, and what to do about it, on stderr."""
    from reconciler.cli import terminal  # noqa: PLC0415 - rich is slow to import, for those who need it

    word = click.style("Error:", fg="red", bold=True) if terminal.in_colour(sys.stderr) else "Error:"
    click.echo(f"{word} {error.what}", err=True)
    if error.next_step:
        click.echo(f"Next: {error.next_step}", err=True)
