from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler import __version__
from reconciler.cli import COMMANDS, reconcile
from reconciler.errors import ExitCode
from tests.cli.support import Place


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command by the words that call it, groups included."""
    context = click.Context(reconcile)
    for name in COMMANDS:
        command = reconcile.get_command(context, name)
        assert command is not None
        yield (name,), command
        if isinstance(command, click.Group):
            yield from (((name, inner), one) for inner, one in command.commands.items())


EVERY = tuple(every_command())


@pytest.mark.parametrize("words", [(), *(words for words, _ in EVERY)], ids=" ".join)
def test_help(words: tuple[str, ...], place: Place, snapshot: SnapshotAssertion) -> None:
    """Each command explains itself on stdout, at 80 columns, with every option."""
    place.set(COLUMNS="80")
    done = place.run(*words, "--help")
    assert done.code == ExitCode.DONE
    assert done.err == ""
    assert done.out == snapshot


def test_every_option_says_what_it_does() -> None:
    """An option without a text is one that nobody can use."""
    silent = [
        f"{' '.join(words)} {option.opts[0]}"
        for words, command in EVERY
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_list_of_commands_is_not_cut(place: Place) -> None:
    """A description that ends in dots has to be called to be read."""
    place.set(COLUMNS="80")
    for words in ((), ("rules",)):
        assert "..." not in place.run(*words, "--help").out.partition("Commands:")[2]


def test_version(place: Place) -> None:
    """One line, with the name and the number."""
    done = place.run("--version")
    assert (done.code, done.out, done.err) == (ExitCode.DONE, f"reconciler {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plam"], "Did you mean `reconcile plan`?"),
        (["appply", "x"], "Did you mean `reconcile apply`?"),
        (["xyzzy"], "There is no command 'xyzzy'."),
        (["plan", "--detailed-exitcodes"], "--detailed-exitcode"),
        (["plan", "--format", "xml"], "'text', 'markdown', 'html', 'json'"),
        (["plan", "--limit", "0"], "--limit"),
        (["plan", "--rule", "no-such-rule"], "'promote-lead'"),
        (["plan", "--accept", "create=5"], "--accept needs --reason TEXT"),
        (["plan", "--accept", "create", "--reason", "x"], "wanted is CLASS=N"),
        (["plan", "--accept", "creat=5", "--reason", "x"], "create, update, promote"),
        (["plan", "--accept", "create=-5", "--reason", "x"], "wanted is CLASS=N"),
        (["plan", "--mappings", "none.json"], "none.json"),
        (["plan", "--target", "companies"], "contacts"),
        (["plan", "extra"], "extra"),
        (["show"], "PLAN"),
        (["rules", "schema", "none.yaml"], "contacts.yaml"),
        (["rules", "chekc"], "check"),
        (["apply", "20261123T023000Z-8f3a1c5e", "--only", "100102"], "A plan is applied as it is"),
        (["apply", "--max-parallel", "0"], "--max-parallel"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(arguments: list[str], says: str, place: Place) -> None:
    """What cannot be meant is answered with 64, nothing on stdout and what is right; nothing is called."""
    before = len(place.simulator.calls)
    done = place.run(*arguments)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert says in done.err
    assert len(place.simulator.calls) == before
