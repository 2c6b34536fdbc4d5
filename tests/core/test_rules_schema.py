import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.core.rules.loader import FILES, parse_rules
from reconciler.core.rules.schema import DIALECT, schemas
from reconciler.core.rules.strict_yaml import parse, plain
from reconciler.errors import RulesError

RULES = Path(__file__).parents[2] / "rules"
DEFAULTS: dict[str, str] = {name: (RULES / name).read_text(encoding="utf-8") for name in FILES}
FREE_NAMES = ("positions.yaml", "member_types.yaml", "regions.yaml", "facilities.yaml", "mappings.yaml")


def tree(name: str) -> Any:
    """The values of a default file, as the loader reads them."""
    root = parse(DEFAULTS[name], file=name).root
    assert root is not None
    return plain(root)


def validator(name: str) -> Draft202012Validator:
    """The schema of one file, ready to use."""
    return Draft202012Validator(schemas()[name])


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every key in a tree."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from paths(inner, (*path, key))
    for number, inner in enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*path, number))


def changed(value: Any, path: tuple[Any, ...], *, key: str | None = None, to: Any = None) -> Any:
    """A copy of the tree where the key at `path` has another name, or another value."""
    value = copy.deepcopy(value)
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    if key is None:
        parent[path[-1]] = to
    else:
        parent[key] = parent.pop(path[-1])
    return value


@pytest.mark.parametrize("name", FILES)
def test_the_default_files_are_valid(name: str) -> None:
    """What the loader accepts by default an editor accepts too."""
    Draft202012Validator.check_schema(schemas()[name])
    assert schemas()[name]["$schema"] == DIALECT
    assert list(validator(name).iter_errors(tree(name))) == []


@pytest.mark.parametrize("name", [name for name in FILES if name not in FREE_NAMES])
def test_a_key_that_is_no_key_fails_in_both(name: str) -> None:
    """Schema and loader are made from the same types: a renamed key passes neither."""
    check = validator(name)
    for path in paths(tree(name)):
        # The name of a custom attribute is free at its end, so the letter goes in front.
        mutated = changed(tree(name), path, key=f"x{path[-1]}")
        assert not check.is_valid(mutated), f"{name}: {path}"
        with pytest.raises(RulesError):
            parse_rules({**DEFAULTS, name: _as_yaml(mutated)})


@pytest.mark.parametrize("name", [name for name in FILES if name != "mappings.yaml"])
def test_a_value_of_the_wrong_kind_fails_in_both(name: str) -> None:
    """`true` is the right value of no entry: neither a text nor a number nor a list."""
    check = validator(name)
    for path in paths(tree(name)):
        mutated = changed(tree(name), path, to=True)
        assert not check.is_valid(mutated), f"{name}: {path}"
        with pytest.raises(RulesError):
            parse_rules({**DEFAULTS, name: _as_yaml(mutated)})


WRONG: list[tuple[str, Any, str]] = [
    ("limits.yaml", {"archive": {"hard": 201}}, "over the ceiling"),
    ("limits.yaml", {"archive": {"percent": 1}}, "no hard number"),
    ("limits.yaml", {"merge": {"hard": None}}, "an emptied hard number"),
    ("limits.yaml", {"plan_lifetime_hours": 73}, "over the ceiling"),
    ("contacts.yaml", {"who": {"status": ["Active"]}, "fields": {}}, "no field"),
    ("contacts.yaml", {"who": {"status": ["Active"]}, "fields": {"custom_attributes.a.b": {"from": "email"}}}, "a dot"),
    ("member_types.yaml", {"Active": "Member"}, "no member type id"),
    ("positions.yaml", {"pres": ""}, "an empty name"),
    ("positions.yaml", {"pres": "x" * 256}, "a long name"),
    ("mappings.yaml", {"a1": 1.5}, "no member number"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG, ids=[row[2] for row in WRONG])
def test_what_else_the_schemas_know(name: str, value: Any, reason: str) -> None:
    """Ceilings, names of fields and lengths stand in the schemas as well, and the loader agrees."""
    assert not validator(name).is_valid(value), reason
    with pytest.raises(RulesError):
        parse_rules({**DEFAULTS, name: _as_yaml(value)})


def test_every_object_is_closed() -> None:
    """No object takes keys that nobody reads."""

    def objects(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if value.get("type") == "object":
                yield value
            for inner in value.values():
                yield from objects(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from objects(inner)

    for schema in schemas().values():
        for found in objects(schema):
            assert found["additionalProperties"] is not True
            if "properties" in found:
                assert found["additionalProperties"] is False


def test_every_type_is_described() -> None:
    """An editor shows what an entry is for."""
    for schema in schemas().values():
        assert schema.get("description") or schema["$ref"]
        for struct in schema.get("$defs", {}).values():
            assert struct["description"]


def _as_yaml(value: Any) -> str:
    """The tree in YAML's flow style, every text in quotes."""
    match value:
        case dict():
            return "{" + ", ".join(f"{_as_yaml(key)}: {_as_yaml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_as_yaml, value)) + "]"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
