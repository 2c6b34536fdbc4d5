"""A signed test event, as Intercom would send it: for whoever wants to see the service at work."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import httpx
import msgspec

from reconciler.errors import ReconcilerError
from reconciler.settings import Secret
from reconciler.web.events import TAG_TOPIC, TOPICS
from reconciler.web.signature import HEADER, sign

SENDABLE = (*TOPICS, "ping")

SECONDS = 10.0

_NEXT = {
    401: "The service was started with another INTERCOM_CLIENT_SECRET.",
    404: "Is this the service? Its address ends in /api/intercom/webhook.",
    503: "See `/api/ready` of the service: its queue is full, or a database does not answer.",
}


def notification_of(
    topic: str, *, identity: str, app: str, now: int, contact: str, conversation: str, tag: str | None
) -> bytes:
    """The body. identity: of the notification. app: the workspace's id. now: unix seconds."""
    item: dict[str, object] = {"type": "ping", "message": "something something interzen"}
    if topic != "ping":
        item = {
            "type": "conversation",
            "id": conversation,
            "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": contact}] if contact else []},
        }
    if topic == TAG_TOPIC and tag is not None:
        item["tags_added"] = {"type": "tag.list", "tags": [{"type": "tag", "id": tag}]}
    return msgspec.json.encode(
        {
            "type": "notification_event",
            "id": identity if topic != "ping" else None,
            "topic": topic,
            "app_id": app,
            "created_at": now,
            "delivery_attempts": 1,
            "data": {"type": "notification_event_data", "item": item},
        }
    )


def send(body: bytes, *, url: str, secret: Secret) -> str:
    """Send a signed body to a service of ours; returns what it answered. Raises ReconcilerError for all but 200."""
    check_address(url)
    headers = {HEADER: sign(body, secret).decode("ascii"), "content-type": "application/json"}
    try:
        with httpx.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            answer = client.post(url, content=body, headers=headers)
    except httpx.HTTPError as error:
        raise ReconcilerError(
            f"nothing answered: {type(error).__name__}", next_step="Start it with `reconcile serve`, or name its --url."
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise ReconcilerError(
            f"the service answered {answer.status_code}",
            next_step=_NEXT.get(answer.status_code, "See the service's log."),
        )
    return answer.text[:200]


def check_address(url: str) -> None:
    """Raises ReconcilerError for an address that a signed event must not go to in the clear."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_here = host == "localhost" or (bool(host) and _is_loopback(host))
    except ValueError:
        parts, host, is_here = urlsplit(""), "", False
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_here)):
        raise ReconcilerError(
            "the address must begin with https://, or with http:// on this machine",
            next_step="Name another --url, e.g. http://127.0.0.1:8080/api/intercom/webhook.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
