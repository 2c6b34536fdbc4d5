"""Odd rows without a database: text written so that people can read it, and rows as a source hands them over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from reconciler.core.model import SourceData
from reconciler.sources import rows as of

_CHARACTER = re.compile(r"<U\+([0-9A-F]{4,6})>")
_REPEATED = re.compile(r"<(\d+) x (.+?)>(?!>)")


def spelt_out(text: str) -> str:
    """`<U+0000>` as that character and `<300 x A>` as 300 of them; what is repeated may be such a character."""
    text = _REPEATED.sub(lambda found: int(found[1]) * _CHARACTER.sub(_character, found[2]), text)
    return _CHARACTER.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def whole(row: Mapping[str, Any]) -> dict[str, Any]:
    """A member's row, with everything dull that it does not say."""
    dull = {
        "first_name": "Ann",
        "last_name": "Lee",
        "email": f"m{row['number']}@example.org",
        "status": "Active",
        "member_type_id": 6,
        "region": "NEA",
        "facility": "ZNY",
    }
    return dull | {name: spelt_out(value) if isinstance(value, str) else value for name, value in row.items()}


def read(members: Iterable[Mapping[str, Any]], positions: Iterable[Iterable[str]] = ()) -> SourceData:
    """What a source makes of these rows, in the words of rules/sources.yaml."""
    return of.source_data(
        "sqlite",
        of.Members(tuple([of.text_of(row.get(field)) for field in of.MEMBER_FIELDS]) for row in members),
        of.entries_by_number(tuple(of.text_of(value) for value in row) for row in positions),
    )


PIECES = st.sampled_from(
    [
        *("a", "Lee", "100", "0100", "1e5", " ", "\u00a0", ".", "+x", "@x.org", "ext. 45", "+1 212 555 2368"),
        *("\0", "\n", "\r\n", "\t", "\x1b[31m", "\x7f", "\x85", "\ud800", "\udfff", "\udcff"),
        *("\u200b", "\u202e", "\u2066", "\ufeff", "\u00ad", "e\u0301", "\u00e9", "\u0130", "\u00df", "\u0301" * 9),
        *("\U0001f469\u200d\U0001f680", "\u05d0", "\uff11", "\ue000", "\U0010ffff", "L" * 300),
        *("0000-00-00", "1969-12-31", "2026-11-23T01:00:00", "9999-12-31T23:59:59-14:00"),
    ]
)
TEXTS = st.lists(PIECES, max_size=3).map("".join)
VALUES = st.none() | TEXTS
ROWS = st.fixed_dictionaries(
    {"number": st.sampled_from(["100", "200", "300"]) | TEXTS},
    optional={
        **dict.fromkeys(("first_name", "last_name", "phone", "region", "facility", "updated_at"), VALUES),
        "email": VALUES | st.sampled_from(["both@x.org", "Both@X.org", "m100@example.org"]),
        "status": st.sampled_from(["Active", "Retired", "Resigned"]) | TEXTS,
        "member_type_id": st.sampled_from([6, 9, "6", None]),
    },
)
"""Rows of members, made of every oddity of failure modes E1 to E10."""
POSITIONS = st.tuples(st.sampled_from(["100", "200"]) | TEXTS, st.sampled_from(["pres", "odd"]) | TEXTS)
