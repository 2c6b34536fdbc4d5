"""Text as it is compared."""

from __future__ import annotations

from dataclasses import dataclass
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.text import clean, fold_email, fold_name


@dataclass(frozen=True, slots=True)
class Pair:
    one: str
    other: str
    same: bool
    reason: str


EMAILS = [
    Pair(" Ann@Example.ORG\n", "ann@example.org", True, "case and space around say nothing"),
    Pair("rene\u0301e@x.org", "ren\u00e9e@x.org", True, "two spellings of the same letters"),
    Pair("renée@x.org", "renee@x.org", False, "an accent makes another address"),
    Pair("ann+union@x.org", "ann@x.org", False, "plus tags belong to the address"),
    Pair("a.nn@x.org", "ann@x.org", False, "dots belong to the address"),
    Pair("straße@x.org", "strasse@x.org", False, "casefold would make them one"),
    Pair("\u0130nci@x.org", "inci@x.org", False, "İ lowers to i and a dot above"),
    Pair("\u212aim@x.org", "kim@x.org", True, "NFC makes the Kelvin sign a K"),
    Pair("😀@x.org", "😁@x.org", False, "MariaDB's usual collation calls them equal"),
]

NAMES = [
    Pair("Ann  Marie\tLee", "ann marie lee", True, "runs of white space are one"),
    Pair("STRASSE", "Straße", True, "a full case fold"),
    Pair("Rene\u0301e", "Ren\u00e9e", True, "two spellings of the same letters"),
    Pair("Renée", "Renee", False, "accents stay"),
    Pair("Annmarie", "Ann Marie", False, "white space is not dropped"),
]


@pytest.mark.parametrize("case", EMAILS, ids=lambda case: case.reason)
def test_emails_are_the_same_only_where_their_spelling_says_nothing(case: Pair) -> None:
    """Two addresses that fold into one would let one member take another's contact."""
    assert case.same == (fold_email(case.one) == fold_email(case.other))


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.reason)
def test_names_confirm_whatever_their_case_and_spacing(case: Pair) -> None:
    """A name only confirms what an identifier says, so it is folded further than an e-mail."""
    assert case.same == (fold_name(case.one) == fold_name(case.other))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (None, None),
        ("", None),
        (" \t\n\u00a0\u3000", None),
        (" Rene\u0301e  Lee ", "Ren\u00e9e  Lee"),
        ("0123", "0123"),
        ("a\0b\u202e", "a\0b\u202e"),
    ],
)
def test_cleaning_trims_and_composes_and_nothing_else(text: str | None, cleaned: str | None) -> None:
    """What is odd inside a value is for the rules to judge; cleaning it away would hide it."""
    assert cleaned == clean(text)


@given(st.text())
def test_doing_it_twice_is_doing_it_once(text: str) -> None:
    """A key made of a key is the same key, whatever Unicode holds."""
    assert fold_email(fold_email(text)) == fold_email(text)
    assert fold_name(fold_name(text)) == fold_name(text)
    assert clean(clean(text)) == clean(text)


@given(st.text())
def test_cleaning_changes_no_key(text: str) -> None:
    """An e-mail from the source (cleaned) and one from Intercom (as it is) meet under the same key."""
    assert fold_email(clean(text) or "") == fold_email(text)
    assert fold_name(clean(text) or "") == fold_name(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_the_short_way_of_ascii_is_the_long_one(text: str) -> None:
    """Text that needs no normal form comes out as if it had been put through one."""
    folded = normalize("NFC", normalize("NFC", text).strip().lower())
    assert fold_email(text) == folded
    assert clean(text) == (normalize("NFC", text).strip() or None)
    assert fold_name(text) == normalize("NFC", " ".join(normalize("NFD", text).casefold().split()))
