"""Intercom contacts as a target.

`target` (the two faces) over `snapshot` (read all) and `execute` with `steps` (write one), over `client` (operations)
and `caller` (how each is called) with `pace` and `flow` (rate), `retry`, `answers` (errors), `transport` (connection)
and `wire` (bodies).
"""

from reconciler.targets.intercom.client import IntercomClient
from reconciler.targets.intercom.retry import Patience
from reconciler.targets.intercom.target import IntercomReader, IntercomTarget

__all__ = ["IntercomClient", "IntercomReader", "IntercomTarget", "Patience"]
