"""Where a rule is written: file, line and the text of that line."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from reconciler.core.rules.shape import Key, Place
from reconciler.core.rules.strict_yaml import Node, parse

_COMMENT = re.compile(r"(?:^|\s)#")


class RuleLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A line of a rule file."""

    file: str
    line: int
    """Counted from 1; 0 where the file was not kept."""
    text: str = ""
    """What stands there, without the comment behind it."""

    @property
    def where(self) -> str:
        """`findings.yaml:12`."""
        return f"{self.file}:{self.line}" if self.line else self.file


class RuleBook:
    """The rule files of a plan, to look lines up in."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._roots: dict[str, Node | None] = {}

    def find(self, file: str, *path: Key) -> RuleLine:
        """The line of what stands under this path; where it is not written, that of its nearest parent.

        An entry that is missing as a whole (its default holds) has no line.
        """
        if file not in self._files:
            return RuleLine(file, 0)
        if file not in self._roots:
            self._roots[file] = parse(self._files[file], file=file).root
        root = self._roots[file]
        if root is None or (path and isinstance(root.value, dict) and path[0] not in root.value):
            return RuleLine(file, 0)
        line = Place(file, root, (), []).at(*path).node.line
        return RuleLine(file, line, _without_comment(self._files[file].split("\n")[line - 1]))


def _without_comment(text: str) -> str:
    """The line up to the first # that begins a comment: one after white space, and not within quotes."""
    for match in _COMMENT.finditer(text):
        before = text[: match.start()]
        if before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
            return before.strip()
    return text.strip()
