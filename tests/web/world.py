"""What the tests of the web service share: a secret, bodies as Intercom sends them, and a handler that keeps count."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from reconciler.settings import Secret
from reconciler.web.signature import sign

APP = "abc123"
SECRET = Secret("canary-secret-77aa")
API_TOKEN = Secret("canary-api-token-11bb")
WEBHOOK = "/api/intercom/webhook"
CREATED, REPLIED, TAGGED = (
    "conversation.user.created",
    "conversation.user.replied",
    "conversation_part.tag.created",
)


def conversation(identity: str = "123", *, contact: str | None = "c1", **more: Any) -> dict[str, Any]:
    """An item: a conversation as Intercom 2.16 writes it, cut to what matters, with personal data in it."""
    contacts = [{"type": "contact", "id": contact, "external_id": "12345"}] if contact is not None else []
    return {
        "type": "conversation",
        "id": identity,
        "source": {"type": "email", "body": "<p>My name is Canary Bird</p>", "author": {"type": "admin", "id": "9"}},
        "contacts": {"type": "contact.list", "contacts": contacts},
        "links": {"conversation_web": "http://169.254.169.254/latest/meta-data"},
        **more,
    }


def part(conversation_id: str = "123", **more: Any) -> dict[str, Any]:
    """An item: a part that names its conversation."""
    return {"type": "conversation_part", "id": "77", "conversation": {"id": conversation_id}, **more}


def notification(topic: str, item: Any, *, identity: str | None = "notif_1", **more: Any) -> dict[str, Any]:
    """The envelope."""
    return {
        "type": "notification_event",
        "id": identity,
        "topic": topic,
        "app_id": APP,
        "created_at": int(time.time()),
        "delivery_attempts": 1,
        "data": {"type": "notification_event_data", "item": item},
        **more,
    }


def encoded(value: Any) -> bytes:
    """As bytes."""
    return json.dumps(value).encode()


def signed(body: bytes, secret: Secret = SECRET) -> dict[str, str]:
    """The headers of a body that Intercom signed."""
    return {"X-Hub-Signature": sign(body, secret).decode(), "Content-Type": "application/json"}


def message(number: int, *, contact: str | None = None, topic: str = REPLIED) -> bytes:
    """The body of one message, of a contact of its own where nothing else is said."""
    item = conversation(str(number), contact=contact or f"contact{number}")
    return encoded(notification(topic, item, identity=f"notif_{number}"))


def until(holds: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
