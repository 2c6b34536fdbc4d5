"""One change to a setting, to be decided again."""

from __future__ import annotations

import msgspec

from reconciler.core.explain.again import Setting
from reconciler.core.rules.lines import RuleLine


class Trial(msgspec.Struct, frozen=True):
    """A change in words, after "if", and the setting with it made."""

    change: str
    setting: Setting
    line: RuleLine | None = None
