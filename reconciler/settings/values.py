"""The kinds of values that a variable may have: how each is read, and what is said of one that is malformed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

from reconciler.settings.addresses import is_safe, split_address
from reconciler.settings.secret import Secret
from reconciler.settings.table import BY_NAME

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


class Values:
    """The variables as written; each reader notes what is malformed and returns something of the right type."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: dict[str, str] = {}

    def exact(self, name: str) -> str | None:
        """As written, an empty value included: passwords may be empty, and may begin with a space."""
        # By way of the table, so that a variable it does not list cannot be read.
        return self._values.get(BY_NAME[name].name)

    def text(self, name: str) -> str | None:
        """Trimmed (a pasted value often ends in a line break), or the default; None where neither is there."""
        return (self.exact(name) or "").strip() or BY_NAME[name].default or None

    def starting_with(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """The variables whose names begin so, by name; those that are empty are left out."""
        return tuple((name, value) for name, value in sorted(self._values.items()) if name.startswith(prefix) and value)

    def shaped(self, name: str, pattern: str, wanted: str) -> str | None:
        """Text that as a whole fits `pattern`."""
        text = self.text(name)
        if text is None or re.fullmatch(pattern, text):
            return text
        self._wrong(name, wanted)
        return None

    def secret(self, name: str, pattern: str = r"[^\x00-\x1f]+", wanted: str = "one line of text") -> Secret | None:
        """As `shaped`, for a value that is shown to nobody."""
        return secret_of(self.shaped(name, pattern, wanted))

    def token(self, name: str) -> Secret | None:
        """One word of printable ASCII: it goes into an HTTP header."""
        return self.secret(name, r"[\x21-\x7e]+", "one word, without spaces or quotes around it")

    def tokens(self, name: str) -> tuple[Secret, ...]:
        """One token or two."""
        text = self.shaped(name, r"[\x21-\x7e]+(\s*,\s*[\x21-\x7e]+)*", "one word, or two with a comma between")
        return tuple(Secret(word) for part in (text or "").split(",") if (word := part.strip()))

    def number(self, name: str, *, most: int) -> int | None:
        """A whole number of at least 1."""
        text = self.text(name)
        if text is None:
            return None
        if re.fullmatch(r"[0-9]{1,9}", text) and 0 < int(text) <= most:
            return int(text)
        self._wrong(name, f"a whole number from 1 to {most}")
        return None

    def day(self, name: str) -> date | None:
        """A day of the calendar."""
        text = self.text(name)
        try:
            return None if text is None else date.fromisoformat(text)
        except ValueError:
            self._wrong(name, "a day as in 2026-11-24")
            return None

    def days(self, name: str, *, least: int) -> timedelta | None:
        """A number of days, written `400d`."""
        text = self.shaped(name, r"[1-9][0-9]{0,4}d", f"a number of days of at least {least}, e.g. 400d")
        if text is None or int(text[:-1]) >= least:
            return None if text is None else timedelta(days=int(text[:-1]))
        self._wrong(name, f"a number of days of at least {least}, e.g. 400d")
        return None

    def flag(self, name: str) -> bool:
        """Yes or no, in the usual words."""
        text = (self.text(name) or "").lower()
        if text not in _TRUE + _FALSE:
            self._wrong(name, "true or false")
        return text in _TRUE

    def address(self, name: str, *, bare: bool) -> str | None:
        """An https URL (http for this machine only); with `bare`, scheme, host and port and nothing else."""
        text = self.text(name)
        if text is None:
            return None
        parts = split_address(text)
        if parts is None or not is_safe(parts):
            self._wrong(name, "an https:// URL without user or password (http:// for this machine only)")
            return None
        if not bare:
            return text
        if parts.path.strip("/") or parts.query or parts.fragment:
            self._wrong(name, "a URL of scheme and host only, e.g. https://api.intercom.io")
            return None
        return f"{parts.scheme}://{parts.netloc}"

    def _wrong(self, name: str, wanted: str) -> None:
        self.problems[name] = f"{name} is malformed: wanted is {wanted}."


def secret_of(text: str | None) -> Secret | None:
    """A text as a secret, where there is one."""
    return None if text is None else Secret(text)
