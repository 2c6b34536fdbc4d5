"""What a slip of the keyboard looks like to a YAML parser, said so that whoever made it finds it.

The parser says what it expected, and where it noticed; a person wants to know what to write, and where it began. What
is not listed here is said in the parser's own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

NO_COLON = "a key without ': ', a colon and a space, behind it"

_WORDS: Mapping[str, str] = {
    "did not find expected key": (
        "does not fit the lines before it: it is indented otherwise, or a quote or bracket is one too many"
    ),
    "did not find expected '-' indicator": "each item of a list begins with '- ', and all are indented alike",
    "found unknown escape character": "a backslash in a text in double quotes; write it in single quotes",
    "could not find expected ':'": NO_COLON,
    "did not find expected node content": "a value is missing; put a comma or a bracket that is a text in quotes",
    "block sequence entries are not allowed in this context": "a list cannot begin here: begin it in the next line",
}
"""What libyaml says (its parser.c and scanner.c) → what is most likely wrong."""

_MISPLACED = ("mapping values are not allowed in this context", "did not find expected <document start>")
"""What libyaml says of a line that may not stand where it does."""

_NOT_CLOSED: Mapping[str, str] = {
    "while parsing a flow sequence": "the list that begins here is not closed with ], or lacks a comma",
    "while parsing a flow mapping": (
        "the map that begins here is not closed with }, or lacks a comma; put a text with braces in quotes"
    ),
    "while scanning a quoted scalar": "the quote that begins here is not closed",
}
"""What libyaml was about → what is wrong where that began."""

_COLON = re.compile(r":(?:\s|$)")


def in_words(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """The line to look at (0 where nobody knows), counted from 1, and what is wrong there."""
    problem, context = error.problem or "", error.context or ""
    begun, noticed = error.context_mark, error.problem_mark
    if begun is not None and context in _NOT_CLOSED and problem not in _WORDS:
        return begun.line + 1, _NOT_CLOSED[context]
    if problem in _MISPLACED and noticed is not None:
        return _of_this_line_or_the_one_before(noticed.line, _lines(text))
    # A key without its colon is noticed in the line after it.
    mark = begun if context == "while scanning a simple key" and begun is not None else noticed
    line = 0 if mark is None else mark.line + 1
    if problem == "found character that cannot start any token" and noticed is not None:
        # By line and column: the index counts otherwise where lines end in two characters.
        return line, _unfit_beginning(_lines(text)[noticed.line][noticed.column : noticed.column + 1])
    return line, _WORDS.get(problem, f"{problem} {context}".strip())


def _of_this_line_or_the_one_before(place: int, lines: list[str]) -> tuple[int, str]:
    """The line and what is wrong there, for a line that may not stand where it does. `place` is counted from 0."""
    if len(_COLON.findall(lines[place])) > 1:
        return place + 1, "a second colon in one line; put a text with a colon in quotes"
    before = [number for number in range(place) if lines[number].strip() and not lines[number].lstrip().startswith("#")]
    if before and not _COLON.search(lines[before[-1]]):
        return before[-1] + 1, NO_COLON
    return place + 1, "indented otherwise than the lines before it"


def _unfit_beginning(character: str) -> str:
    if character == "\t":
        return "a tab; indent with spaces"
    return f"no text begins with {character!r} unless it is in quotes"


def _lines(text: str) -> list[str]:
    """The lines as the parser counts them, and one more, where it may stop."""
    return [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]
