"""Nothing personal is said: what no log line, error or metric of any test may hold (design §4.13).

Every test is watched, whatever it is about (tests/conftest.py): each text of an error of ours as it is made, each log
record, every metric of every service of this process, whether it is asked for or not, and all that a test left on its
outputs without looking at it. What other processes say, who starts them hands on by `overheard`.
"""

from __future__ import annotations

import csv
import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

DEMO = Path(__file__).parents[2] / "reconciler" / "cli" / "demo"

EMAIL = re.compile(r"[A-Za-z0-9._%+-]+(?:@|%40)[A-Za-z0-9.-]*[A-Za-z0-9-]\.[A-Za-z]{2,}")
PHONE = re.compile(r"(?:\+|%2B)1[2-9]\d{9}\b|\([2-9]\d{2}\) ?\d{3}-\d{4}")
_OF_THE_DEMO = sorted(
    {row["lastname"] for row in csv.DictReader((DEMO / "members.csv").read_text("utf-8").splitlines())}
)
NAMES = re.compile(rf"\b(Grace|{'|'.join(_OF_THE_DEMO)}|Nia Number|Ann Lee\w*|Renee Roy|Bob Ray|Jane Canary)\b")
"""Of the members of the demo, and of those that tests make."""
_SECRETS = (
    *("canary-token-5e1f", "canary-api-token-11bb", "canary-secret-77aa", "canary-key-of-redaction"),
    *("served-canary-token", "served-canary-secret", "end-to-end-token", "a-token-of-thirty-two-characters"),
    *("sb_publishable_test_5e1f", "sb_secret_test_5e1f", "hush-hush"),
)


def _in_base64(secret: str) -> Iterator[str]:
    """The part that is the same whatever stands around it, for each of the three places in a group it can begin at."""
    for before, unsure in enumerate((0, 2, 3)):
        whole = (before + len(secret)) * 8 // 6
        yield b64encode(bytes(before) + secret.encode()).decode()[unsure:whole]


SECRETS = re.compile("|".join(re.escape(form) for one in _SECRETS for form in (one, *_in_base64(one))))
"""As they are, and as they would stand in a header or a URL."""

NOBODY = re.compile(r"nobody(?:@|%40)example\.invalid|@duplicate\.invalid|USER:PASSWORD@HOST")
"""Addresses that belong to nobody."""


OVERHEARD = "reconciler.overheard"
"""The audit event of a text that another process said."""


def overheard(text: str) -> str:
    """Hand the log or the metrics of another process to the watch; returns the text."""
    sys.audit(OVERHEARD, text)
    return text


def personal_in(text: str) -> Iterator[str]:
    """What stands in a text that may not."""
    for pattern in (EMAIL, PHONE, NAMES, SECRETS):
        for found in pattern.finditer(text):
            if not NOBODY.search(text[max(0, found.start() - 1) : found.end() + 1]):
                yield found[0]
