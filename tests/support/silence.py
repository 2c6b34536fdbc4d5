"""Nothing personal is said: what no log line, error or metric of any test may hold (design §4.13).

Every test is watched, whatever it is about (tests/conftest.py): each text of an error of ours as it is made, each log
record, and all that a test left on its outputs without looking at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]*[A-Za-z0-9-]\.[A-Za-z]{2,}")
PHONE = re.compile(r"\+1[2-9]\d{9}\b|\([2-9]\d{2}\) ?\d{3}-\d{4}")
NAMES = re.compile(r"\b(Grace|Lindqvist|Abara|Okafor|Nia Number)\b")
"""Of the members of the demo, and of those that tests make by the hundred."""
SECRETS = re.compile(r"canary-token-5e1f|hush-hush")

NOBODY = re.compile(r"nobody@example\.invalid|@duplicate\.invalid|USER:PASSWORD@HOST")
"""Addresses that belong to nobody."""


def personal_in(text: str) -> Iterator[str]:
    """What stands in a text that may not."""
    for pattern in (EMAIL, PHONE, NAMES, SECRETS):
        for found in pattern.finditer(text):
            if not NOBODY.search(text[max(0, found.start() - 1) : found.end() + 1]):
                yield found[0]
