"""Data attributes: they must exist before a contact can carry them, and never change name or type."""

from __future__ import annotations

import unicodedata
from typing import Literal

from msgspec.structs import replace

from reconciler.simulator import errors
from reconciler.simulator.records import Attribute, DataType
from reconciler.simulator.world import World

MAX_ATTRIBUTES = 250
"""Custom attributes of a workspace that are not archived (intercom.com/help/en/articles/179)."""

STORED_AS: dict[str, DataType] = {
    "string": "string",
    "integer": "integer",
    "float": "float",
    "boolean": "boolean",
    "date": "date",
    "datetime": "date",
    "options": "string",
}
"""What create_data_attribute_request accepts, and the data_type a data_attribute then shows."""

STANDARD = (
    *(("id", "string", False), ("external_id", "string", True), ("role", "string", True), ("name", "string", True)),
    *(
        ("email", "string", True),
        ("phone", "string", True),
        ("owner_id", "string", True),
        ("created_at", "date", False),
    ),
    *(("updated_at", "date", False), ("signed_up_at", "date", True), ("last_seen_at", "date", True)),
    ("unsubscribed_from_emails", "boolean", True),
)
"""(name, data_type, writable through the API) of standard contact attributes; a selection."""

Model = Literal["contact", "company"]


def create(world: World, body: dict[str, object]) -> Attribute:
    """createDataAttribute, with its documented refusals."""
    name, model, kind = body.get("name"), body.get("model"), body.get("data_type")
    if model not in ("contact", "company"):
        raise errors.invalid("The Data Attribute model field must be either contact or company")
    if not isinstance(kind, str) or kind not in STORED_AS:
        raise errors.invalid("Data Type isn't an option")
    if not isinstance(name, str) or not _valid_name(name):
        message = (
            "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens"
        )
        raise errors.invalid(message)
    _refuse_taken(world, name, model)
    if sum(not one.archived for one in world.attributes.values()) >= MAX_ATTRIBUTES:
        raise errors.ApiError(
            400, "custom_data_limit_reached", f"You can have at most {MAX_ATTRIBUTES} custom attributes"
        )
    now = world.now()
    attribute = Attribute(
        id=world.new_attribute_id(),
        name=name,
        model=model,
        data_type=STORED_AS[kind],
        description=_description(body.get("description", "")),
        options=_options(body.get("options")) if "options" in body else (),
        messenger_writable=body.get("messenger_writable") is True,
        created_at=now,
        updated_at=now,
    )
    world.put_attribute(attribute)
    return attribute


def _refuse_taken(world: World, name: str, model: Model) -> None:
    """Contacts and companies share one space of names."""
    says = {"contact": "people", "company": "company"}
    for one in world.attributes.values():
        if one.name == name:
            raise errors.invalid(
                f"You already have '{name}' in your {says[one.model]} data. "
                f"To save this as new {says[model]} data, use a different name."
            )


def _valid_name(name: str) -> bool:
    """Spaces and underscores are allowed as well: the description's own examples and every real workspace have them."""
    allowed = all(char.isalnum() or char in "-_ " or unicodedata.category(char) == "Sc" for char in name)
    return allowed and bool(name.strip())


def _description(value: object) -> str:
    if not isinstance(value, str):
        raise errors.invalid("Description isn't a string")
    return value


def _options(value: object) -> tuple[str, ...]:
    """Options come as [{"value": "1-10"}] or, as they are shown, as plain strings."""
    if not isinstance(value, list):
        raise errors.invalid("Options isn't an array")
    texts = [one.get("value") if isinstance(one, dict) else one for one in value]
    if not all(isinstance(one, str) for one in texts):
        raise errors.invalid("Options isn't an array")
    return tuple(str(one) for one in texts)


def update(world: World, attribute_id: str, body: dict[str, object]) -> Attribute:
    """updateDataAttribute: never name or type, which are ignored."""
    attribute = world.attributes.get(int(attribute_id)) if attribute_id.isdecimal() and len(attribute_id) < 16 else None
    if attribute is None:
        raise errors.ApiError(404, "field_not_found", "We couldn't find that data attribute to update")
    archived = body.get("archived", attribute.archived)
    if not isinstance(archived, bool):
        raise errors.invalid("Archived isn't a boolean")
    if archived and not attribute.archived and attribute.dependants:
        message = "The Data Attribute you are trying to archive has a dependant object"
        raise errors.ApiError(422, "data_invalid", message)
    after = replace(
        attribute,
        archived=archived,
        description=_description(body.get("description", attribute.description)),
        options=_options(body["options"]) if "options" in body else attribute.options,
        messenger_writable=bool(body.get("messenger_writable", attribute.messenger_writable)),
        updated_at=world.now(),
    )
    world.put_attribute(after)
    return after


def listed(world: World, *, model: str | None, archived: bool) -> list[Attribute]:
    """The custom attributes of a model, or of both; archived ones only when asked for (lisDataAttributes)."""
    if model == "conversation":
        message = "model=conversation is no longer supported. Use GET /conversations/attributes instead"
        raise errors.ApiError(422, "parameter_invalid", message)
    if model not in (None, "contact", "company"):
        raise errors.invalid("The Data Attribute model field must be either contact or company")
    wanted = (one for one in world.attributes.values() if model in (None, one.model) and (archived or not one.archived))
    return sorted(wanted, key=lambda one: one.id)
