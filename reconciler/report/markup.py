"""Markdown that stays inert and fits into one comment: what the reports of plans and comparisons share.

Values stand in code spans, in which Markdown, HTML, links and mentions are dead (CommonMark 0.31.2, section 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from reconciler.report.facts import visible

MOST = 65_535
"""Characters of one comment or job summary on GitHub. Counted here in bytes of UTF-8, which are never fewer."""

# The longest a thing may be in characters, each of which takes six bytes at the most. Together these keep everything
# but the lists under 60,000 bytes, so that the counts fit whatever a plan holds.
_VALUE = 160
_CELL = 72
_PROSE = 200

_ALIVE_IN_CODE = re.compile(r"[<>&`|]")
_PUNCTUATION = re.compile(r"^[-+=]|[\\`*_\[\]!|~]")
_ALIVE = re.compile(r"[@#]|://|www\.", re.IGNORECASE)


def share(lists: Sequence[tuple[str, Iterable[str], int]], *, room: int) -> str:
    """Lists, each a title, its entries and how many these are, in `room` bytes: each says how many it leaves out.

    Each gets an equal share of what room is left; what one does not need goes to the next.
    """
    parts: list[str] = []
    for index, (title, entries, total) in enumerate(lists):
        part = _listed(title, entries, total=total, room=room // (len(lists) - index))
        parts.append(part)
        room -= len(part.encode())
    return "".join(parts)


def _listed(title: str, entries: Iterable[str], *, total: int, room: int) -> str:
    room -= len(title.encode()) + len(left_out(total, "more", mark="- ").encode()) + 1
    taken = list(_fitting(entries, room=room))
    more = left_out(total - len(taken), "more", mark="- ")
    return f"{title}{''.join(taken)}{more}\n" if room >= 0 else ""


def _fitting(entries: Iterable[str], *, room: int) -> Iterable[str]:
    for entry in entries:
        room -= len(entry.encode())
        if room < 0:
            return
        yield entry


def code(text: str, most: int = _CELL) -> str:
    r"""A code span. What could end it, or look like HTML, is written as `\u003c`."""
    cut = _cut(visible(text), most)
    inert = _ALIVE_IN_CODE.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)
    return f"`{inert or ' '}`"


def value(text: str) -> str:
    """The value of a field, as a code span."""
    return code(text, _VALUE)


def prose(text: str) -> str:
    """A sentence, in which words that could become a link or a mention stand in code spans."""
    words = _cut(visible(text), _PROSE).split(" ")
    return " ".join(code(word) if _ALIVE.search(word) else _escaped(word) for word in words)


def _escaped(word: str) -> str:
    return _PUNCTUATION.sub(r"\\\g<0>", word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table under its title; the title alone where there are no rows. Cells are Markdown already."""
    if not rows:
        return f"### {title}\n\n"
    lines = [columns, ("---",) * len(columns), *rows]
    return f"### {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def left_out(count: int, noun: str, *, mark: str) -> str:
    """The line that says how many more there are; nothing where there are none."""
    return f"{mark}… and {count} {noun}\n" if count > 0 else ""
