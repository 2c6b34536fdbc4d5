"""What a person at a terminal of 80 columns sees; stdout and stderr are two terminals, to be looked at one by one."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from reconciler.errors import ExitCode
from tests.cli.support import COLUMNS, Place, ended, in_terminal

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_MOVE = re.compile(r"\x1b\[[0-9;?]*[A-HJKfhlsu]")
_COUNTS = re.compile(r"Plan: \d+ to ")


def test_plan_at_a_terminal(place: Place) -> None:
    """Colours and bars where a person looks: no line is wider than the terminal, and the bars are on stderr alone."""
    done = in_terminal(place, "plan")
    assert done.code == ExitCode.DONE, str(done)
    assert _STYLE.search(done.out)
    assert not _MOVE.search(done.out)
    wide = [line for line in _STYLE.sub("", done.out).splitlines() if cell_len(line) > COLUMNS]
    assert [line for line in wide if not _COUNTS.match(line)] == []
    assert "contacts" in done.err
    assert "━" in done.err
    assert _MOVE.search(done.err)
    assert "━" not in done.out


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=lambda one: next(iter(one)))
def test_no_colours_where_none_are_wanted(environ: dict[str, str], place: Place) -> None:
    """NO_COLOR (https://no-color.org) and a terminal that has none are obeyed, and nothing else is different."""
    done = in_terminal(place, "plan", environ=environ)
    assert done.code == ExitCode.DONE
    assert "\x1b" not in done.out
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", done.err)


@pytest.mark.parametrize(("environ", "first"), [({}, "\x1b[31m\x1b[1mError:\x1b[0m"), ({"NO_COLOR": "1"}, "Error:")])
def test_an_error_obeys_too(environ: dict[str, str], first: str, place: Place) -> None:
    """What is red without NO_COLOR says the same words with it."""
    done = in_terminal(place, "show", "nothing", environ=environ)
    assert done.code == ExitCode.ERROR
    assert done.err.startswith(f"{first} there is no plan nothing")


def test_yes_applies(own_place: Place) -> None:
    """The plan is shown, the question asked, and `yes` is the answer that applies it."""
    done = in_terminal(own_place, "apply", answer="yes\n")
    assert done.code == ExitCode.DONE, str(done)
    assert _STYLE.sub("", done.out).startswith("Plan ")
    assert "Only `yes` is accepted" in done.err
    assert "Applied: 8 done." in _STYLE.sub("", done.out)
    assert done.out.endswith("❌ Failed: 0\n")


@pytest.mark.parametrize("answer", ["y\n", "\n", "yes please\n"], ids=repr)
def test_every_other_answer_writes_nothing(answer: str, place: Place) -> None:
    """The plan stays, for whoever wants to apply it later."""
    done = in_terminal(place, "apply", answer=answer)
    assert done.code == ExitCode.DONE
    assert "Nothing was written. The plan is stored." in done.err
    assert place.newest().actions


@pytest.mark.parametrize("answer", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_at_the_question_writes_nothing(answer: str, place: Place) -> None:
    """Ctrl-C and the end of input are no yes; no traceback."""
    done = in_terminal(place, "apply", answer=answer)
    assert done.code == ExitCode.ERROR
    assert "Interrupted. Nothing was written to Intercom." in done.err
    assert "Traceback" not in done.err


def test_leaving_after_an_earlier_run_was_ended(slow_place: Place) -> None:
    """What a killed apply had left was written by this one, so Ctrl-C at the question must not deny it."""
    made = slow_place.plan()
    process = slow_place.start("apply", made.id)
    slow_place.wait_for_effects(1, process)
    process.kill()
    ended(process)
    slow_place.new_members(61)
    done = in_terminal(slow_place, "apply", answer="\x03")
    assert done.code == ExitCode.PARTIAL, str(done)
    assert "had been interrupted; it was brought to its end" in done.err
    assert "Interrupted. Nothing more was written" in done.err
    assert len(slow_place.effects()) == len(made.actions)


def test_nothing_is_asked_where_there_is_nothing_to_do(place: Place) -> None:
    """A question whose answer changes nothing wears out the ones that matter."""
    done = in_terminal(place, "apply", "--only", "100101")
    assert done.code == ExitCode.DONE
    assert "No changes." in done.out
    assert "yes" not in done.err
