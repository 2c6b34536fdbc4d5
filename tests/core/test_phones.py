"""Phones: the short cut says what the library says, and what E.164 cannot hold is a problem with a reason."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from reconciler.core.phones import Phone, looks_e164, parse_phone

NORTH_AMERICA = ("US", "CA", "PR", "JM")


def by_the_library(text: str, region: str) -> str | None:
    """What phonenumbers alone makes of a text, by our rules: valid, without an extension, and of digits alone."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    if str(number.national_number) not in "".join(str(int(one)) for one in text if one.isdecimal()):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def digits(count: int) -> st.SearchStrategy[str]:
    """So many decimal digits."""
    return st.text("0123456789", min_size=count, max_size=count)


AREA = st.sampled_from(
    ["202", "617", "765", "212", "416", "604", "787", "876", "800", "888", "900", "555", "999", "211"]
)
EXCHANGE = st.sampled_from(["555", "465", "867", "234", "911", "011", "123", "200"])
GAP = st.sampled_from(["", " ", "-", ".", "  ", "/", "\u00a0", "\u2011", ") ", ")-"])


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """A number of the North American plan, valid or not, in one of the forms that people type."""
    area, exchange = draw(AREA | digits(3)), draw(EXCHANGE | digits(3))
    line = draw(digits(4) | digits(3) | digits(5))
    country = draw(st.sampled_from(["", "1", "+1", "+1 ", "1-", "001", "+", "011", "+44", "(1)"]))
    opening = draw(st.sampled_from(["", "(", " ("]))
    tail = draw(st.sampled_from(["", "", "", " ", " x12", " ext. 9", ";ext=5", " or 202 555 0100", "\n"]))
    return f"{country}{opening}{area}{draw(GAP)}{exchange}{draw(GAP)}{line}{tail}"


@given(st.lists(spellings(), min_size=60, max_size=60), st.sampled_from((*NORTH_AMERICA, "GB", "DE")))
def test_short_cut_equals_the_library(texts: list[str], region: str) -> None:
    """6,000 spellings a run: the pattern for North America may save time, and must never change an answer."""
    for text in texts:
        assert parse_phone(text, region).e164 == by_the_library(text, region), text


@given(st.text("0123456789+()-. x#extFACl/,;*\u0661\uff11\u2010", max_size=24), st.sampled_from(("US", "GB")))
@example("2025550123", "US")
def test_any_text_equals_the_library(text: str, region: str) -> None:
    """Nothing that can stand in a column named phone gets another answer than the library's, nor an exception."""
    assert parse_phone(text, region).e164 == by_the_library(text, region)


@given(spellings(), st.sampled_from(NORTH_AMERICA))
def test_e164_is_a_fixed_point(text: str, region: str) -> None:
    """What was put in form once stays as it is, so that a second night finds nothing to do."""
    e164 = parse_phone(text, region).e164
    if e164 is not None:
        assert looks_e164(e164)
        assert parse_phone(e164, region) == Phone(e164)


@pytest.mark.parametrize(
    ("text", "region", "e164", "reason"),
    [
        ("(617) 555-0123", "US", "+16175550123", "the usual American form"),
        ("617.555.0123", "US", "+16175550123", "dots"),
        ("1-617-555-0123", "US", "+16175550123", "the trunk digit is the country code"),
        ("+1 617 555 0123", "GB", "+16175550123", "a country code beats the region"),
        ("416-555-0123", "US", "+14165550123", "Toronto shares country code 1"),
        ("800 555 0199", "US", "+18005550199", "toll free, which the short cut leaves to the library"),
        ("Tel: (617) 555-0123 h", "US", "+16175550123", "words before it, and letters that nobody could dial"),
        ("343 15 555 1212", "AR", "+5493435551212", "digits that the library puts in another order"),
        ("020 7946 0018", "GB", "+442079460018", "London, dialled at home"),
        ("+49 30 123456", "US", "+4930123456", "Berlin, from anywhere"),
        ("0049 30 123456", "DE", "+4930123456", "00 is the way out of Germany"),
    ],
)
def test_valid_numbers(text: str, region: str, e164: str, reason: str) -> None:
    """Every spelling of a number in use becomes its one E.164 form."""
    assert parse_phone(text, region) == Phone(e164), reason


@pytest.mark.parametrize(
    ("text", "problem", "reason"),
    [
        ("617-555-0123 x12", "extension", "dropping the extension would lose what was known"),
        ("617-555-0123;ext=7", "extension", "the same, as RFC 3966 writes it"),
        ("123-456-7890", "no number in use", "no area code begins with 1"),
        ("617-055-0123", "no number in use", "no exchange begins with 0"),
        ("555-0123", "no number in use", "seven digits are no number outside their own area"),
        ("617-555-0123 / 617-555-0199", "too long", "two numbers in one field are neither"),
        ("n/a", "no number in it", "words"),
        ("765-4657 FAX", "letters", "a local number and a word are no number in Indiana"),
        ("Bob 267-5550 (Ann!)", "letters", "nor are a number and a name one in Philadelphia"),
        ("617-555-0123 home", "letters", "the word may be left out by a person, not by a program"),
        ("1-800-FLOWERS", "letters", "the same form, and nobody's own phone"),
        ("", "no number in it", "nothing"),
        ("+999 555 0123", "unknown country code", "a country that is none"),
        ("1" * 40, "too long", "longer than any number"),
        ("none 🙂", "no number in it", "emoji are text"),
    ],
)
def test_problems(text: str, problem: str, reason: str) -> None:
    """What is no number has no E.164 form, and a reason that a person can act on."""
    phone = parse_phone(text, "US")
    assert phone.e164 is None, reason
    assert problem in (phone.problem or ""), reason
