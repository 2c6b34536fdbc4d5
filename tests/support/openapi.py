"""Intercom's published descriptions, where copies of them lie beside the repository, as JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

SHARED = Path(__file__).resolve().parents[3] / "shared"
FILES = {"2.16": "intercom-openapi-2.16.yaml", "Preview": "intercom-openapi-preview.yaml"}
REF = "#/components/schemas/"
ERROR = {"$ref": f"{REF}error"}

FORGOTTEN_NULLS: Mapping[str, tuple[str, ...]] = {"contact": ("email", "email_domain")}
"""Fields that the description forgets to call nullable: a contact need not have an e-mail."""


def description_of(version: str) -> Description:
    """One description, read once; skips the test, with a clear word, where there is no copy."""
    path = SHARED / FILES[version]
    if not path.exists():
        pytest.skip(f"no copy of Intercom's description of version {version} at ../shared/{path.name}")
    return _read(path)


@cache
def _read(path: Path) -> Description:
    return Description(yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


class Operation:
    """One operation of a description. bodies are checked against its schemas."""

    def __init__(self, described: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
        self._described = described
        self._schemas = schemas
        self.id = str(described.get("operationId", ""))

    def check_request(self, body: object) -> None:
        """Fails where it is not, also for a key that the description does not name, which Intercom would ignore."""
        schema = self._described["requestBody"]["content"]["application/json"]["schema"]
        self._validate(body, schema)
        unknown = _undeclared(body, schema, self._schemas)
        assert not unknown, f"{self.id} does not know {unknown}"

    @property
    def parameters(self) -> frozenset[str]:
        """The names of those in path, URL and headers."""
        return frozenset(str(parameter.get("name")) for parameter in self._described.get("parameters", ()))

    @property
    def takes_a_body(self) -> bool:
        """Whether it declares one."""
        return "requestBody" in self._described

    def check_answer(self, status: int, body: object) -> None:
        """Fails where it is not as described. A refusal that is not declared, as most are not, must be an `error`."""
        declared = self._described["responses"].get(str(status))
        if declared is None:
            assert status >= 400, f"{self.id} declares no {status}"
            self._validate(body, ERROR)
        else:
            self._validate(body, declared["content"]["application/json"]["schema"])

    def _validate(self, body: object, schema: Mapping[str, Any]) -> None:
        whole = {"components": {"schemas": self._schemas}, **_closed(schema)}
        errors = jsonschema.Draft202012Validator(whole).iter_errors(body)
        says = [f"{error.json_path}: {error.message[:200]}" for error in errors]
        assert not says, f"{self.id}: {'; '.join(says)}"


class Description:
    """paths, and what the schemas mean in JSON Schema."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        schemas = document["components"]["schemas"]
        self.schemas = {name: _closed(_with_nulls(name, schema)) for name, schema in schemas.items()}
        self._operations = [
            (method.upper(), template, Operation(described, self.schemas))
            for template, path in document["paths"].items()
            for method, described in path.items()
            if method in ("get", "put", "post", "delete")
        ]

    def operation(self, method: str, path: str) -> Operation:
        """The one that a call reaches: of several templates that fit, the one with the fewest parameters."""
        fitting = [
            (template.count("{"), operation)
            for verb, template, operation in self._operations
            if verb == method and re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)), path)
        ]
        assert fitting, f"{method} {path} is in no description"
        return min(fitting, key=lambda one: one[0])[1]


def _with_nulls(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = FORGOTTEN_NULLS.get(name, ())
    if not fields:
        return schema
    properties = {
        field: one | {"nullable": True} if field in fields else one for field, one in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def _closed(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema has it, all the way down; examples are not schemas, and go."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    plain = {key: _closed(one) for key, one in schema.items() if key not in ("nullable", "example", "discriminator")}
    if schema.get("nullable") is not True:
        return plain
    if isinstance(plain.get("type"), str):
        null = {"enum": [*plain["enum"], None]} if "enum" in plain else {}
        return plain | {"type": [plain["type"], "null"]} | null
    return {"anyOf": [{"type": "null"}, plain]}


def _undeclared(body: object, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """The keys of a body's own level that neither its schema nor any part of it names."""
    if not isinstance(body, Mapping):
        return []
    declared = _properties(schema, schemas)
    return sorted(set(body) - declared) if declared else []


def _properties(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> set[str]:
    if "$ref" in schema:
        return _properties(schemas[str(schema["$ref"]).removeprefix(REF)], schemas)
    parts = [part for kind in ("anyOf", "oneOf", "allOf") for part in schema.get(kind, ())]
    return set(schema.get("properties", ())).union(*(_properties(part, schemas) for part in parts))
