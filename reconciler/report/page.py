"""Lines of text for a terminal: fitted to a width that is counted in cells, so wide characters are counted as two."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells, split_text

from reconciler.report.facts import visible

MIN_WIDTH = 20

_STYLES = {"loud": "1;31", "bold": "1", "good": "32", "care": "33", "dim": "2"}


class Page:
    """Lines collected from top to bottom: no text breaks out of its line, none but a `whole` one is over `width`."""

    def __init__(self, *, width: int, colour: bool) -> None:
        self.width = max(width, MIN_WIDTH)
        self._colour = colour
        self._lines: list[str] = []

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """One line; what does not fit is cut off with an ellipsis."""
        self._add(_fit(visible(text), self.width), style)

    def whole(self, text: str, *, style: str | None = None) -> None:
        """One line that scripts look for: never cut, so that only a terminal that is too narrow folds it."""
        self._add(visible(text), style)

    def fits(self, text: str) -> bool:
        """Whether `line` would show all of it."""
        return cell_len(visible(text)) <= self.width

    def prose(self, text: str, *, lead: str = "", hang: int | None = None, style: str | None = None) -> None:
        """A sentence over as many lines as it needs: `lead` opens the first, `hang` spaces each of the others."""
        following = " " * (cell_len(lead) if hang is None else hang)
        line, empty = lead, True
        for word in _words(visible(text), room=self.width - max(cell_len(lead), len(following))):
            if not empty and cell_len(line) + 1 + cell_len(word) > self.width:
                self._add(line, style)
                line, empty = following, True
            line += word if empty else f" {word}"
            empty = False
        self._add(line, style)

    def text(self) -> str:
        """All lines, each ended by a newline."""
        return "".join(f"{line}\n" for line in self._lines)

    def _add(self, line: str, style: str | None) -> None:
        self._lines.append(f"\x1b[{_STYLES[style]}m{line}\x1b[0m" if self._colour and style else line)


def _fit(text: str, width: int) -> str:
    """The text, or as much of it as fits into `width` cells with an ellipsis behind it."""
    if cell_len(text) <= width:
        return text
    return split_text(text, width - 1)[0].rstrip(" ") + "…"


def _words(text: str, *, room: int) -> list[str]:
    """The words of the text, those too long for a line in pieces."""
    return [piece for word in text.split(" ") if word for piece in chop_cells(word, room)]
