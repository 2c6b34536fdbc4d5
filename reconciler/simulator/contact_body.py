"""Reading the body of a create or an update: which fields there are, of what type, and what Intercom makes of them.

The fields and their nullability are those of create_contact_request and update_contact_request in the description.
Decided here: keys that are not in it (tags, companies ...) are ignored, and the wording of refusals that no stored
source shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.simulator import errors
from reconciler.simulator.records import MAX_NUMBER, Attribute, Scalar
from reconciler.simulator.world import World

MAX_TEXT = 255
"""Characters a string attribute may have."""
_PUNCTUATION = str.maketrans("", "", " \t\u00a0()-")


@dataclass(frozen=True, slots=True)
class Changes:
    """fields: new values of a Contact's own fields.  custom_attributes: values by name, None to clear."""

    fields: dict[str, Any]
    custom_attributes: dict[str, Scalar]


def read_changes(world: World, body: dict[str, object]) -> Changes:
    """What a body asks for, or the 400 that names what is wrong with it."""
    readers: dict[str, Callable[[str, object], object]] = {
        "email": _identifier,
        "external_id": _identifier,
        "name": _text,
        "avatar": _text,
        "phone": lambda name, value: normal_phone(_text(name, value)),
        "signed_up_at": _moment,
        "last_seen_at": _moment,
        "role": _role,
        "owner_id": lambda _, value: _owner(world, value),
        "unsubscribed_from_emails": _flag,
        "email_verified": _flag,
    }
    fields = {name: read(name, body[name]) for name, read in readers.items() if name in body}
    fields.pop("email_verified", None)  # Accepted, never shown.
    return Changes(fields, read_custom_attributes(world, body.get("custom_attributes")))


def normal_phone(phone: str | None) -> str | None:
    """Spaces, brackets and hyphens go (intercom.com/help/en/articles/6311200); nothing else is checked."""
    return None if phone is None else phone.translate(_PUNCTUATION) or None


def read_custom_attributes(world: World, value: object) -> dict[str, Scalar]:
    """Attributes must exist beforehand, and values fit their type (developers.intercom.com, create-contact 2.3)."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.invalid("custom_attributes must be an object")
    checked: dict[str, Scalar] = {}
    for name, one in value.items():
        attribute = world.attributes_by_name.get(name)
        if attribute is None or attribute.archived:
            raise errors.invalid(f"Custom attribute '{name}' does not exist")
        checked[name] = _attribute_value(attribute, one)
    return checked


def _attribute_value(attribute: Attribute, value: object) -> Scalar:
    """A value of the attribute's type. Values outside an options list are not refused (description pull requests 457,
    466).
    """
    if value is None:
        return None
    if isinstance(value, (list, dict)) or not isinstance(value, (str, int, float, bool)):
        raise errors.invalid(f"Custom attribute '{attribute.name}': not of type Numeric, String or Boolean")
    kind = attribute.data_type
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER
    fits = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": number and isinstance(value, int),
        "date": number and isinstance(value, int),
        "float": number,
    }[kind]
    if not fits:
        raise errors.invalid(f"Custom attribute '{attribute.name}' must be of type {kind}")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise errors.invalid(f"Custom attribute '{attribute.name}' is too long (maximum is {MAX_TEXT} characters)")
    return value


def _identifier(name: str, value: object) -> str:
    """Neither is not declared nullable, on create or on update."""
    if not isinstance(value, str) or not value.strip():
        raise errors.invalid(f"{name} must be a string that is not blank")
    return value


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise errors.invalid(f"{name} must be a string")
    return value


def _moment(name: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise errors.invalid(f"{name} must be a unix timestamp in seconds")
    return value


def _flag(name: str, value: object) -> bool:
    """Null counts as no."""
    if value is not None and not isinstance(value, bool):
        raise errors.invalid(f"{name} must be a boolean")
    return bool(value)


def _role(_: str, value: object) -> str:
    if value not in ("user", "lead"):
        raise errors.invalid("role must be user or lead")
    return str(value)


def _owner(world: World, value: object) -> str | None:
    """owner_id is a string since 2.16; a number is still understood."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)) or str(value) not in world.admins:
        raise errors.invalid("The owner specified is not a member of the workspace")
    return str(value)
