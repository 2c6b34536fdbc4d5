"""What can be told of a Supabase key by looking at it."""

from __future__ import annotations

import base64
import binascii

import msgspec

SET_THE_KEY = (
    "Set SUPABASE_KEY to the service key of this project (Project Settings, API Keys: secret or service_role)."
)


class _Claims(msgspec.Struct):
    role: str = ""


def is_service_key(key: str) -> bool:
    """Whether a key surely sees all rows, whatever the policies say.

    `sb_secret_…` and, of the older keys (JWTs), the one whose role is `service_role`; `sb_publishable_…` and `anon` do
    not (Supabase documentation, "Understanding API keys"). Of any other nothing is known.
    """
    if key.startswith("sb_secret_"):
        return True
    claims = key.split(".")[1:2]
    try:
        decoded = base64.urlsafe_b64decode("".join(claims) + "==")
        return msgspec.json.decode(decoded, type=_Claims).role == "service_role"
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return False
