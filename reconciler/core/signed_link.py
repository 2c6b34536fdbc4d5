"""Links that open one stored plan to whoever has them, for a while.

The signature is HMAC-SHA256 over the path and the second at which the link expires. Its key is made from the token of
the service's own endpoints, so that a new token ends all links.
"""

from __future__ import annotations

import hmac
import re

_PURPOSE = b"reconciler.plan-link/1"
_EXPIRES = re.compile(r"[1-9][0-9]{0,11}")


def path_of(plan_id: str) -> str:
    """Where the service shows a plan. An id of a plan holds nothing that an address would have to quote."""
    return f"/plans/{plan_id}"


def query_of(path: str, *, token: str, expires: int) -> str:
    """What comes after the `?`. expires: unix seconds."""
    return f"expires={expires}&signature={_signature(path, token=token, expires=expires)}"


def is_good(path: str, *, token: str, expires: str, signature: str, now: float) -> bool:
    """Whether a link was signed for this path and has not expired; compared in constant time."""
    if not _EXPIRES.fullmatch(expires):
        return False
    wanted = _signature(path, token=token, expires=int(expires))
    return hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "surrogatepass")) and now < int(expires)


def _signature(path: str, *, token: str, expires: int) -> str:
    key = hmac.digest(token.encode(), _PURPOSE, "sha256")
    return hmac.new(key, f"{path}\n{expires}".encode(), "sha256").hexdigest()
