"""From what came back over HTTP to a value, or to one of our errors.

Two rules. First, only a body that is Intercom's own counts: HTML with status 200, a torn body, a 404 of some proxy
say nothing about the contact, so they are `Unreachable` (for a write: outcome unknown), never success and never "not
there". Second, Intercom's texts may repeat the values they complain about, so a text is shown only where it can hold
nobody's personal data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypedDict, TypeVar
from urllib.parse import quote

import msgspec

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
from reconciler.targets.intercom import wire

T = TypeVar("T")

_MAX_TEXT = 200
_SHORTEST_TELLING_VALUE = 5
_CODE = re.compile(r"[a-z0-9_.-]{1,64}", re.IGNORECASE)
_NAMED_ID = re.compile(r"\bid=\w+")
_DIGITS_AS_IN_PHONES = re.compile(r"\d(?:[\s().+/-]*\d){4,}")
_SCOPE = re.compile(r"(?<!\w)(?:read|write|list|create|update|delete|export|manage|gather)(?:_[a-z]{2,24}){1,5}(?!\w)")
"""A scope as Intercom's texts name it: `You do not have the required scope (read_conversations) …` (the 403 examples of
its description).
"""
_CANONICAL = re.compile(r"</contacts/(\w+)>\s*;\s*rel=\"?canonical\"?")


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response. call: what was asked, fit to be shown. headers: names in lower case."""

    call: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether it says of itself that it is JSON."""
        kind = self.headers.get("content-type", "")
        return kind.partition(";")[0].strip().lower() == "application/json"


def segment(identifier: str) -> str:
    """An id from data as exactly one segment of a URL path.

    Raises Unreachable (nothing sent) for what cannot be one: URL libraries take `.` and `..` away together with the
    segment before them, percent-encoded or not, and an empty one names the list instead of a member of it.
    """
    try:
        quoted = quote(identifier, safe="")
    except UnicodeEncodeError as error:
        raise _no_segment() from error
    if quoted in ("", ".", ".."):
        raise _no_segment()
    return quoted


def _no_segment() -> Unreachable:
    return Unreachable(
        "An id that is blank, `.`, `..` or no valid text cannot stand in a URL; nothing was sent.",
        next_step="Correct the id where it comes from: the plan, rules/mappings.yaml, or the member's number.",
        sent=False,
    )


def safe_text(message: str | None, sent: Sequence[str] = ()) -> str:
    """Intercom's own text, cut to 200 characters; "" where it might hold an e-mail, a phone, or one of the values
    `sent`.

    Ids in the form `id=…` may stay. Any other five digits in a row, also across the blanks, dots and dashes of phone
    numbers, hide the whole text, as does a sent value of five characters or more.
    """
    if not message:
        return ""
    rest = unicodedata.normalize("NFKC", _NAMED_ID.sub("", message))
    folded = rest.casefold()
    telling = any(len(value) >= _SHORTEST_TELLING_VALUE and value.casefold() in folded for value in sent)
    if telling or "@" in rest or _DIGITS_AS_IN_PHONES.search(rest):
        return ""
    return " ".join(message.split())[:_MAX_TEXT]


def check_version(answer: Answer, *, write: bool, version: str = wire.VERSION) -> None:
    """Raises where Intercom answers in another version than the one asked for: its fields may mean something else."""
    spoken = answer.headers.get("intercom-version", version)
    if spoken == version:
        return
    what = f"Intercom answered {answer.call} in version {safe_text(spoken) or 'unknown'}, not {version}."
    step = "Check INTERCOM_BASE_URL, then whether Intercom still serves this version."
    raise Unreachable(what, next_step=step) if write else TargetError(what, next_step=step)


def value_of(answer: Answer, decoder: msgspec.json.Decoder[T]) -> T:
    """The body of a 2xx answer. Raises Unreachable for anything that is not the JSON expected of it."""
    if not answer.is_json:
        raise _strange(answer, "its body is not JSON")
    try:
        return decoder.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _strange(answer, "its body is torn, or lacks a required field") from error


def error_of(answer: Answer, sent: Sequence[str] = ()) -> TargetError:
    """The error that an answer other than 2xx stands for. `sent`: texts of the request's body, never to be repeated."""
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _strange(answer, "the server failed")
    reason = _reason(answer)
    if reason is None and answer.status not in _TELLING_WITHOUT_BODY:
        return _strange(answer, "its body is no error list of Intercom's")
    errors = reason.errors if reason else ()
    entry = errors[0] if errors else wire.ErrorEntry(code=f"http_{answer.status}")
    request_id = (reason.request_id if reason else None) or answer.headers.get("x-request-id")
    return _refused(answer, entry, request_id, sent)


_TELLING_WITHOUT_BODY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
"""Refusals that gateways give too, where believing them is the careful choice: nothing was done, and nothing more is
sent.
"""


def _reason(answer: Answer) -> wire.ErrorList | None:
    if not answer.is_json:
        return None
    try:
        return wire.ERRORS.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None  # the caller tells by the status alone what that means


def _strange(answer: Answer, why: str) -> Unreachable:
    return Unreachable(
        f"No usable answer to {answer.call}: status {answer.status}, {why}.",
        next_step="If it lasts, check INTERCOM_BASE_URL and https://www.intercomstatus.com, then run again.",
    )


class _Known(TypedDict):
    status: int
    code: str
    request_id: str | None


def _refused(answer: Answer, entry: wire.ErrorEntry, request_id: str | None, sent: Sequence[str]) -> Refused:
    code = entry.code if _CODE.fullmatch(entry.code) else "unknown"
    text = safe_text(entry.message, sent)
    what = f"Intercom refused {answer.call}: {answer.status} {code}{f' ({text})' if text else ''}."
    known = _Known(status=answer.status, code=code, request_id=request_id)
    if answer.status == HTTPStatus.FORBIDDEN or code == "token_unauthorized":
        return _may_not(what, entry, known, sent)
    if code == "not_restorable":
        return NotRestorable(what, next_step=_UNBLOCK, **known)
    if answer.status == HTTPStatus.CONFLICT:
        contact_id, archived = wire.parse_conflict(entry.message)
        return Conflict(what, contact_id=contact_id, archived=archived, **known)
    if answer.status == HTTPStatus.GONE:
        return Merged(what, into=_canonical(answer.headers), **known)
    kind, next_step = _BY_STATUS.get(answer.status, (Refused, _OTHER))
    return kind(what, next_step=next_step, **known)


def _may_not(what: str, entry: wire.ErrorEntry, known: _Known, sent: Sequence[str]) -> ScopeMissing:
    """The token is good, but not for this: a 403, or 401 `token_unauthorized` ("Not authorized to access resource",
    developers.intercom.com/docs/references/rest-api/errors/error-codes).
    """
    if known["code"] == "api_plan_restricted":
        return ScopeMissing(what, next_step=_PLAN, **known)
    scope = _scope(entry.message, sent)
    missing = f" The token lacks the scope {scope}." if scope else ""
    return ScopeMissing(f"{what}{missing}", next_step=_PERMISSION, **known)


def _scope(message: str | None, sent: Sequence[str]) -> str | None:
    """The scope that a text names, also where the rest of it may not be shown; None for what we sent ourselves."""
    found = _SCOPE.search(message or "")
    return found[0] if found and not any(found[0] in value for value in sent) else None


def not_sent(ended: Refused, call: str) -> Refused:
    """The error for a call that is not sent, as Intercom has answered with `ended` before: of the same kind."""
    what = f"{call} was not sent, because of an answer before. {ended.what}"
    known = _Known(status=ended.status, code=ended.code, request_id=ended.request_id)
    kind = ScopeMissing if isinstance(ended, ScopeMissing) else Unauthorized
    return kind(what, next_step=ended.next_step, **known)


def _canonical(headers: Mapping[str, str]) -> str | None:
    """The contact that a merged one lives on in: the Link header of ShowContact's 410."""
    found = _CANONICAL.search(headers.get("link", ""))
    return found[1] if found else None


_OTHER = "Correct what the code names, then plan again; Intercom's support can look up the request id."
_UNBLOCK = "No call can unblock a person: in Intercom, Settings > Blocked people > Unblock, then plan again."
_PERMISSION = "Give the token this permission in Intercom's Developer Hub (your app, Authentication), then run again."
_PLAN = "The workspace's subscription does not include this: ask whoever manages it at Intercom."
_BY_STATUS: Mapping[int, tuple[type[Refused], str]] = {
    HTTPStatus.UNAUTHORIZED: (
        Unauthorized,
        "Check INTERCOM_ACCESS_TOKEN: revoked, of another workspace, or of another region than INTERCOM_BASE_URL.",
    ),
    HTTPStatus.NOT_FOUND: (NotFound, "The contact is archived or deleted, which look the same: plan again."),
    HTTPStatus.TOO_MANY_REQUESTS: (
        RateLimited,
        "Other apps use up the workspace's limit: run again later, or lower INTERCOM_RATE_LIMIT to leave them room.",
    ),
}
