"""Whether Intercom signed a body: HMAC-SHA1 with the app's client secret, over the bytes as they came.

The header is `X-Hub-Signature: sha1=` and 40 hexadecimal digits in lower case
(https://developers.intercom.com/docs/webhooks/webhook-notifications). SHA-1 is Intercom's choice; as a keyed hash it
has no practical forgery. The signature has no time in it, so replays are met by the id and the time of the body.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from reconciler.settings import Secret

HEADER = "x-hub-signature"


def sign(body: bytes, secret: Secret) -> bytes:
    """The value of the header for this body."""
    return b"sha1=" + hmac.digest(secret.reveal().encode(), body, "sha1").hex().encode("ascii")


def is_signed(body: bytes, *, headers: Sequence[bytes], secrets: Sequence[Secret]) -> bool:
    """Whether there is exactly one signature, and one of the secrets made it for this body.

    headers: the values of every such header, as they came. Compared in constant time, as bytes: text that is not ASCII
    is one more wrong signature. Every secret is tried, so the time does not tell which of two is in use.
    """
    if len(headers) != 1:
        return False
    matches = [hmac.compare_digest(headers[0], sign(body, secret)) for secret in secrets]
    return any(matches)
