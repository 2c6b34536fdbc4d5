"""JSON Schemas of the rule files, for editors and for `reconcile rules schema`.

Made from the same types and tables that the loader reads by, so they cannot disagree; every object is closed. Two
things stay with the loader, because JSON Schema has no words for them: what depends on another value of the file, and
the lines.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from reconciler.core.ceilings import CEILINGS, REQUIRED
from reconciler.core.model import ATTRIBUTE_PREFIX
from reconciler.core.rules.checks import COLUMNS, MAX_ATTRIBUTE_NAME, OPTIONAL_COLUMNS, SQL_NAME, STANDARD_FIELDS
from reconciler.core.rules.loader import FILES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DESCRIPTIONS = {
    "positions.yaml": "Position code → name, in the order in which names are joined.",
    "member_types.yaml": "Status and member type id, e.g. `Active, 6` → name.",
    "regions.yaml": "Region code → name. Where the file is absent or empty, any code is taken for one.",
    "facilities.yaml": "Facility code → name. Where the file is absent or empty, any code is taken for one.",
    "mappings.yaml": "Contact id → member number, decided by a person.",
}


def schemas() -> dict[str, dict[str, Any]]:
    """One JSON Schema (draft 2020-12) for each rule file, by file name."""
    return {name: _schema(name) for name in FILES}


def _schema(name: str) -> dict[str, Any]:
    schema = {"$schema": DIALECT, "title": f"rules/{name}", **msgspec.json.schema(FILES[name])}
    if name in _DESCRIPTIONS:
        schema["description"] = _DESCRIPTIONS[name]
    match name:
        case "sources.yaml":
            _close_columns(schema)
        case "contacts.yaml":
            _close_fields(schema)
        case "limits.yaml":
            _add_ceilings(schema)
        case "member_types.yaml":
            schema["propertyNames"] = {"pattern": r"\S\s*,\s*\S"}
        case _:
            pass
    return schema


def _close_columns(schema: dict[str, Any]) -> None:
    """Each table names exactly its columns, and those that it may name."""
    for shape, tables in COLUMNS.items():
        properties = schema["$defs"][f"{shape.capitalize()}Shape"]["properties"]
        for table, fields in tables.items():
            known = (*fields, *OPTIONAL_COLUMNS.get((shape, table), ()))
            columns = {
                "properties": {field: {"type": "string", "pattern": f"^{SQL_NAME.pattern}$"} for field in known},
                "required": list(fields),
                "additionalProperties": False,
            }
            properties[table] = {"allOf": [properties[table]], "properties": {"columns": columns}}


def _close_fields(schema: dict[str, Any]) -> None:
    """A field is one of the standard ones or a custom attribute."""
    attribute = rf"{re.escape(ATTRIBUTE_PREFIX)}[^.$]{{1,{MAX_ATTRIBUTE_NAME}}}"
    fields = schema["$defs"]["Contacts"]["properties"]["fields"]
    fields["propertyNames"] = {"pattern": f"^(?:{'|'.join(STANDARD_FIELDS)}|{attribute})$"}
    fields["minProperties"] = 1


def _add_ceilings(schema: dict[str, Any]) -> None:
    """The numbers of core/ceilings.py; a class is one type, so its ceilings are added where it is used."""
    properties = schema["$defs"]["Limits"]["properties"]
    for name, ceiling in CEILINGS.items():
        part, _, field = name.partition(".")
        if field:
            properties[part].setdefault("properties", {})[field] = {"maximum": ceiling}
        else:
            properties[part]["maximum"] = ceiling
    for name in REQUIRED:
        part, _, field = name.partition(".")
        properties[part].setdefault("required", []).append(field)
        properties[part]["properties"][field]["type"] = "integer"
