"""Keyed tokens in place of personal data, and the finding of personal data in sentences.

A token is a function of the key and the text alone, so the same value has the same token in every plan, field and
sentence; without the key nobody can find the value by trying names and numbers. It begins with a bracket, so that no
spreadsheet takes it for a formula, and holds no `@`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from unicodedata import normalize

_HEX = 16
"""Hex digits of a token: 64 bits, so that among a million values two are alike once in forty million cases."""

_EMAIL = re.compile(r"[^\s<>\"'(),;:\[\]]+@[^\s<>\"'(),;:\[\]]+")
_PHONE = re.compile(
    r"(?<!\w)(?:\+\d[\d ().\-/]{5,20}\d|\(?\d{3}\)?[ .\-]{0,2}\d{3}[ .\-]\d{4}|\d{10,15})(?!\w)",
)
_ITEM = re.compile(r"(?<!\w)[acdfmnpu]-[0-9a-f]{12}(?!\w)")
"""The id of an action or finding (actions.py, world.py)."""

_ID = re.compile(
    r"[0-9]{1,9}|[A-Za-z]{1,3}[-_]?[0-9]{1,9}"
    r"|(?:duplicate-)?(?=[^0-9]*[0-9])(?=[^A-Fa-f]*[A-Fa-f])[0-9A-Fa-f\-]{8,64}"
)
"""What a member number or an id of Intercom looks like: digits, fewer than a phone has, with a short prefix at most; or
hex, as Intercom's own ids and UUIDs are. A user name from an old web site (`zoequimby2`) is none of them.
"""

_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,63}(?:\.[^@]{1,190})?")
"""What a rule, a field or a column may be called; behind the dot, what a workspace calls its attributes."""

_ATOM = re.compile(r"\w+|\W", re.DOTALL)
_LETTERS = 2
"""A name of fewer letters and digits cannot be told from the letters of a sentence."""
_DIGITS = 5
"""A number of fewer digits cannot be told from the counts in a sentence."""


def is_id(text: str) -> bool:
    """Whether a text can stand as it is where an id is expected: it is a number of the union's, or Intercom's."""
    return _ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether a text can stand as it is where a rule or a field is expected."""
    return _NAME.fullmatch(text) is not None


class Tokens:
    """Makes tokens under one key, at least 16 bytes that only those know who may look behind a token."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._made: dict[str, str] = {}

    def value(self, text: str) -> str:
        """The token of a value, which says what kind of value it looks like."""
        found = self._made.get(text)
        if found is None:
            kind = "email" if "@" in text else "phone" if _PHONE.fullmatch(text.strip()) else "text"
            found = self._made[text] = f"[{kind} {self._digest('value', text)[:_HEX]}]"
        return found

    def id(self, text: str) -> str:
        """An id that may be shown, or the token of one that looks like something else."""
        return text if is_id(text) else self.value(text)

    def name(self, text: str) -> str:
        """The name of a rule or field, or the token of what looks like something else."""
        return text if is_name(text) else self.value(text)

    def item(self, item_id: str) -> str:
        """The id of an action or finding under the key: as it is, it is a hash of the values, which could be tried."""
        head, dash, _ = item_id.partition("-")
        kept = head + dash if len(head) == 1 and head.isalpha() and dash else ""
        return f"{kept}{self._digest('item', item_id)[:12]}"

    def digest(self, sha256: str) -> str:
        """A digest under the key, of the same length."""
        return self._digest("digest", sha256)

    def _digest(self, what: str, text: str) -> str:
        said = f"reconciler.redact/1 {what} {text}".encode(errors="surrogatepass")
        return hmac.digest(self._key, said, "sha256").hex()


class Known:
    """The personal values of one plan, to be found in its sentences: whole, whatever their case; names word by word."""

    def __init__(self, values: Iterable[str], names: Iterable[str] = ()) -> None:
        self._whole: set[str] = set()
        self._lengths: dict[str, set[int]] = {}
        self._words: set[str] = set()
        for value in values:
            for form in {value, value.strip(), normalize("NFC", value), normalize("NFD", value)}:
                if _can_be_told(form):
                    self._add(form)
        self._words.update(word for name in names for word in name.split() if _letters(word) >= _LETTERS)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where they stand."""
        atoms = list(_ATOM.finditer(text))
        folded = [atom[0].casefold() for atom in atoms]
        for place, first in enumerate(folded):
            for length in self._lengths.get(first, ()):
                part = folded[place : place + length]
                if len(part) == length and "".join(part) in self._whole:
                    yield atoms[place].start(), atoms[place + length - 1].end()
        for word in re.finditer(r"\S+", text):
            for bare in (word[0], word[0].strip(".,;:!?()\"'")):
                if bare in self._words:
                    start = word.start() + word[0].index(bare)
                    yield start, start + len(bare)

    def _add(self, value: str) -> None:
        folded = [atom.casefold() for atom in _ATOM.findall(value)]
        self._whole.add("".join(folded))
        self._lengths.setdefault(folded[0], set()).add(len(folded))


def _letters(text: str) -> int:
    return sum(char.isalpha() for char in text)


def _can_be_told(text: str) -> bool:
    digits = sum(char.isdigit() for char in text)
    return digits >= _DIGITS if not _letters(text) else _letters(text) + digits >= _LETTERS


def without_personal_data(text: str, known: Known, tokens: Tokens) -> str:
    """The sentence with tokens for the known values in it, and for whatever looks like an e-mail or a phone."""
    found = [match.span() for pattern in (_EMAIL, _PHONE) for match in pattern.finditer(text)]
    written: list[str] = []
    at = 0
    for start, end in _merged([*found, *known.spans(text)]):
        written += [_without_items(text[at:start], tokens), tokens.value(text[start:end])]
        at = end
    return "".join([*written, _without_items(text[at:], tokens)])


def _without_items(text: str, tokens: Tokens) -> str:
    return _ITEM.sub(lambda item: tokens.item(item[0]), text)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that overlap as one: a part of a value left over would say too much."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
