"""The page of a plan, `ID.html` beside its record: for whoever opens the place itself, in a browser.

It is a copy, and in no place of the chain: it may be missing, nothing is decided by it, and `reconcile verify` neither
minds nor proves it. What it must never do is outlive what was taken out of its record (runs/retention.py).
"""

from __future__ import annotations

import re

from reconciler.core import erasure
from reconciler.runs.ledger import PLAN_ID
from reconciler.runs.objects import Objects

PAGE = re.compile(rf"{PLAN_ID}\.html")


def put(objects: Objects, plan_id: str, html: bytes) -> str | None:
    """Store the page of a plan in the place of an earlier one, and return its name.

    None where no page may be: the plan is not stored, or values were taken out of it. That is asked last, so that of a
    page and an erasure at the same time either this or the erasure removes the page.
    """
    name = f"{plan_id}.html"
    objects.replace(name, html)
    record = objects.find(f"{plan_id}.json")
    if record is None or erasure.is_erased(record):
        objects.remove(name)
        return None
    return name


def remove(objects: Objects, *, record: str) -> None:
    """Remove the page of the plan that a record (a plan, an outcome, an approval) belongs to. There need not be one."""
    objects.remove(f"{record.partition('.')[0]}.html")


def remove_old(objects: Objects, *, before: str) -> None:
    """Remove the pages of all plans whose ids are of an earlier time: `20261123T023000Z`."""
    for name in objects.names():
        if PAGE.fullmatch(name) and name < before:
            objects.remove(name)
