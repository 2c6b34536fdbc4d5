"""Answers and errors: which of ours each of theirs becomes, and what its text may hold."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import (
    Conflict,
    Merged,
    NotFound,
    NotRestorable,
    RateLimited,
    Refused,
    ScopeMissing,
    TargetError,
    Unauthorized,
    Unreachable,
)
from reconciler.targets.intercom.answers import Answer, error_of, safe_text
from tests.targets.support import CANARIES, html, refusal

LINK = '</contacts/c9>; rel="canonical"'


def error_for(response: httpx.Response, *sent: str) -> TargetError:
    """Our error for their answer."""
    heard = Answer(
        call="PUT /contacts/c1", status=response.status_code, headers=response.headers, body=response.content
    )
    return error_of(heard, sent)


TABLE = [
    (refusal(401, "unauthorized", "Access Token Invalid"), Unauthorized, "unauthorized", "a wrong token"),
    (refusal(403, "forbidden", "You do not have the required scope"), ScopeMissing, "forbidden", "a missing scope"),
    (refusal(403, "api_plan_restricted", "Active subscription needed."), ScopeMissing, "api_plan_restricted", "a plan"),
    (
        refusal(401, "token_unauthorized", "Not authorized to access resource"),
        ScopeMissing,
        "token_unauthorized",
        "401",
    ),
    (refusal(404, "not_found", "User Not Found"), NotFound, "not_found", "not there, or archived"),
    (refusal(410, "contact_merged", "merged", link=LINK), Merged, "contact_merged", "merged"),
    (refusal(409, "conflict", "third text"), Conflict, "conflict", "identifiers held by another"),
    (refusal(400, "not_restorable", "blocked"), NotRestorable, "not_restorable", "told by its code, not its text"),
    (refusal(422, "not_restorable", "blocked"), NotRestorable, "not_restorable", "whatever the status"),
    (refusal(429, "rate_limit_exceeded"), RateLimited, "rate_limit_exceeded", "over the limit"),
    (refusal(400, "parameter_invalid", "bad"), Refused, "parameter_invalid", "a value it does not take"),
    (refusal(422, "unprocessable_entity"), Refused, "unprocessable_entity", "no text at all"),
    (refusal(400, "<b>jane.canary@example.org</b>"), Refused, "unknown", "a code that is none"),
    (html(401), Unauthorized, "http_401", "a gateway that refuses the token: nothing was done"),
    (html(429), RateLimited, "http_429", "a gateway that throttles: nothing was done"),
]


@pytest.mark.parametrize(("response", "kind", "code", "reason"), TABLE, ids=[row[3] for row in TABLE])
def test_each_refusal_has_its_error(response: httpx.Response, kind: type[Refused], code: str, reason: str) -> None:
    """The callers decide by class and code, so these are the contract."""
    error = error_for(response)
    assert type(error) is kind, reason
    assert isinstance(error, Refused)
    assert (error.code, error.status) == (code, response.status_code)


SCOPES = [
    ("You do not have the required scope (read_conversations) to access this resource", "read_conversations", "as is"),
    ("Requires the `read_write_articles_scope` OAuth scope.", "read_write_articles_scope", "in another sentence"),
    ("scope write_users missing for +17654657031", "write_users", "where the text itself may not be shown"),
    ("You may not do this", None, "not named"),
    ("user jane_canary may not do this", None, "a name is no scope"),
    ("no read_" + "x" * 60, None, "too long for one"),
    ("file canary/read_users_9 is bad", None, "part of something else"),
    ("name Jane read_users is bad", None, "what we sent ourselves"),
]


@pytest.mark.parametrize(("message", "scope", "reason"), SCOPES, ids=[row[2] for row in SCOPES])
def test_a_missing_scope_is_named(message: str, scope: str | None, reason: str) -> None:
    """Whoever reads it has to know which box to tick in Intercom's Developer Hub."""
    error = error_for(refusal(403, "forbidden", message), "Jane read_users")
    assert isinstance(error, ScopeMissing)
    said = f"The token lacks the scope {scope}."
    assert (said in error.what) if scope else ("lacks" not in error.what), reason
    assert "7654657031" not in error.what


STRANGE = [
    (html(404), "a proxy's 404 does not mean that the contact is archived"),
    (html(403), "a firewall's 403 says nothing about the token"),
    (html(409), "a proxy's 409 names no contact"),
    (refusal(500, "server_error"), "a 500 may come after the effect"),
    (html(502), "a gateway does not know either"),
    (refusal(503, "service_unavailable"), "nor does a 503"),
    (httpx.Response(302, headers={"location": "https://evil.test"}), "redirects are not followed"),
    (httpx.Response(404, headers={"content-type": "application/json"}, content=b"{}"), "JSON, but no error list"),
    (httpx.Response(404, headers={"content-type": "application/json"}, content=b'{"err'), "torn"),
]


@pytest.mark.parametrize(("response", "reason"), STRANGE, ids=[row[1] for row in STRANGE])
def test_what_is_not_intercoms_own_answer_says_nothing(response: httpx.Response, reason: str) -> None:
    """For a write the outcome is then unknown, and must be read back before anything is sent again."""
    error = error_for(response)
    assert isinstance(error, Unreachable), reason
    assert error.sent


def test_a_merged_contact_names_its_survivor() -> None:
    """The Link header of ShowContact's 410; an odd one names nobody."""
    error = error_for(refusal(410, "contact_merged", link=LINK))
    assert isinstance(error, Merged)
    assert error.into == "c9"
    other = error_for(refusal(410, "contact_merged", link="<https://evil.test/contacts/c9>"))
    assert isinstance(other, Merged)
    assert other.into is None


def test_errors_carry_the_request_id() -> None:
    """Intercom's support asks for it; in the body, or else in the header."""
    error = error_for(refusal(400, "parameter_invalid"))
    assert isinstance(error, Refused)
    assert error.request_id == "req-1"
    bare = error_for(html(401))
    assert isinstance(bare, Refused)
    assert bare.request_id is None


TEXTS = [
    ("Contact Not Found", (), "Contact Not Found", "holds nothing of anybody"),
    ("A contact matching those details already exists with id=5ba682d23d7cf92bef87bfd4", (), None, "an id may stay"),
    ("email jane.canary@example.org is taken", (), "", "an e-mail"),
    ("jane\uff20example.org", (), "", "an at sign of another width"),
    ("phone +17654657031 is invalid", (), "", "a phone"),
    ("phone (765) 465-7031 is invalid", (), "", "a phone with blanks and dashes"),
    ("phone 1.2.3.4.5 is invalid", (), "", "five digits with dots"),
    ("Exceeded rate limit of 1667 in 10_seconds", (), None, "four digits are no phone"),
    ("external_id 12345 is taken", (), "", "a member number is not needed either"),
    ("name Jane Canary is too long", ("Jane Canary",), "", "a value that was sent"),
    ("name JANE CANARY is too long", ("Jane Canary",), "", "in other letters"),
    ("region NEA unknown", ("NEA",), None, "too short to tell anybody by"),
    ("two\nlines\tof text", (), "two lines of text", "one line, so that a log stays one"),
    (None, (), "", "no text"),
]


@pytest.mark.parametrize(("message", "sent", "shown", "reason"), TEXTS, ids=[row[3] for row in TEXTS])
def test_intercoms_texts_are_shown_only_when_harmless(
    message: str | None, sent: tuple[str, ...], shown: str | None, reason: str
) -> None:
    """Its texts may repeat the value they complain about."""
    assert safe_text(message, sent) == (message if shown is None else shown), reason


@given(st.text(max_size=400))
def test_a_shown_text_holds_no_address_and_no_number(text: str) -> None:
    """Whatever Intercom writes: no at sign, no five digits in a row, no second line, at most 200 characters."""
    shown = safe_text(text)
    assert "@" not in shown
    assert len(shown) <= 200
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"\d{5}", re.sub(r"\bid=\w+", "", shown))


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 429, 500])
def test_no_error_repeats_personal_data(canary: str, status: int) -> None:
    """Design §4.13, even where Intercom itself repeats it."""
    response = refusal(status, "parameter_invalid", f"the value {canary} is no good", link=canary)
    error = error_for(response, "Jane Canary", "canary-token-5e1f")
    assert canary not in f"{error} {error.next_step} {error!r}"
