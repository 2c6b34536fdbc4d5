"""Write docs/reference: what the code itself says of its commands, settings, rules, exit codes and files.

`make docs` runs it; a test fails when a page is not as it would be written now.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import click

from reconciler import errors
from reconciler.cli import COMMANDS, reconcile
from reconciler.controller import read_rules
from reconciler.core import actions, model, plan
from reconciler.core import outcome as outcome_file
from reconciler.core.findings import RULE_IDS
from reconciler.core.rules_schema import schemas
from reconciler.errors import ExitCode
from reconciler.settings import SETTINGS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
MADE_BY = "Written by `make docs` from the code; change the code, not this page.\n"


def pages() -> dict[str, str]:
    """File name → text of every page."""
    return {
        "commands.md": _page("Commands", _commands()),
        "settings.md": _page("Settings", _settings()),
        "rules.md": _page("Rules", _rules()),
        "exit-codes.md": _page("Exit codes", _exit_codes()),
        "files.md": _page("Plan and outcome files", _files()),
    }


def _page(title: str, lines: Iterable[str]) -> str:
    return f"# {title}\n\n{MADE_BY}\n" + "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _commands() -> Iterator[str]:
    context = click.Context(reconcile, info_name="reconcile")
    for name in COMMANDS:
        command = reconcile.get_command(context, name)
        if command is not None:
            yield from _command(f"reconcile {name}", command)


def _command(name: str, command: click.Command) -> Iterator[str]:
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    yield f"## `{' '.join([name, *arguments])}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    options = [one for one in command.params if isinstance(one, click.Option)]
    if options:
        yield from _table(("option", "does"), (_option(one) for one in options))
        yield ""
    if isinstance(command, click.Group):
        for child, sub in command.commands.items():
            yield from _command(f"{name} {child}", sub)


def _option(option: click.Option) -> tuple[str, str]:
    record = option.get_help_record(click.Context(click.Command("x")))
    spelling, says = record if record is not None else (" ".join(option.opts), "")
    return f"`{spelling}`", says


def _settings() -> Iterator[str]:
    yield "Read from the environment, and from `.env` in the current folder where the environment says nothing.\n"
    rows = (
        (f"`{one.name}`", one.means, f"`{one.default}`" if one.default else "", "yes" if one.secret else "")
        for one in SETTINGS
    )
    yield from _table(("variable", "is", "default", "secret"), rows)


def _rules() -> Iterator[str]:
    rules = read_rules(ROOT / "rules")
    yield "## The rules of `findings.yaml`\n"
    rows = []
    for rule in RULE_IDS:
        module = import_module(f"reconciler.core.findings.{rule.replace('-', '_')}")
        setting = getattr(rules.findings, rule.replace("-", "_"))
        choices = get_type_hints(type(setting))["then"].__args__
        rows.append((f"`{rule}`", _summary(module), f"`{setting.then}`", " · ".join(f"`{one}`" for one in choices)))
    yield from _table(("rule", "says", "default", "choices of `then`"), rows)
    for file, schema in schemas().items():
        yield f"\n## `{file}`\n"
        yield from _table(("key", "type", "default"), _keys(schema, schema, ""))


def _summary(module: ModuleType) -> str:
    return inspect.cleandoc(module.__doc__ or "").split("\n\n")[0]


def _keys(schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    shape = _resolved(schema, root)
    for key, value in shape.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        inner = _resolved(value, root)
        if "properties" in inner:
            yield from _keys(inner, root, here)
        else:
            yield f"`{here}`", _type(value, root), f"`{value['default']}`" if "default" in value else ""
    extra = shape.get("additionalProperties")
    if isinstance(extra, dict):
        here = f"{path}.*" if path else "*"
        inner = _resolved(extra, root)
        if "properties" in inner:
            yield from _keys(inner, root, here)
        else:
            yield f"`{here}`", _type(extra, root), ""


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    return schema


def _type(schema: dict[str, Any], root: dict[str, Any]) -> str:
    shape = _resolved(schema, root)
    if "enum" in shape:
        return " · ".join(f"`{one}`" for one in shape["enum"])
    if "anyOf" in shape:
        return " or ".join(_type(one, root) for one in shape["anyOf"])
    if shape.get("type") == "array":
        items = shape.get("items")
        return "list of " + (_type(items, root) if isinstance(items, dict) else "values")
    bounds = [f"{word} {shape[key]:g}" for key, word in _BOUNDS if key in shape]
    return " ".join([str(shape.get("type", shape.get("title", "object"))), *bounds])


_BOUNDS = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))


def _exit_codes() -> Iterator[str]:
    docs = _attribute_docs(errors, "ExitCode")
    yield from _table(("code", "name", "means"), ((str(int(one)), f"`{one.name}`", docs[one.name]) for one in ExitCode))


def _files() -> Iterator[str]:
    yield "Both are valid JSON with one action, finding or outcome a line, and end with a digest over all before it.\n"
    for title, module, name in (
        (f"The plan, `{plan.FORMAT}`", plan, "Plan"),
        ("`inputs.*`", plan, "Digest"),
        ("`summary`", plan, "Summary"),
        ("`limits`", plan, "LimitCheck"),
        ("`actions`", actions, "Action"),
        ("`because` of an action", actions, "Because"),
        ("`findings`", model, "Finding"),
        ("`evidence` of a finding", model, "Evidence"),
        (f"The outcome, `{outcome_file.FORMAT}`", outcome_file, "RunOutcome"),
        ("`outcomes`", actions, "Outcome"),
    ):
        yield f"## {title}\n"
        struct = getattr(module, name)
        yield inspect.cleandoc(struct.__doc__ or "") + "\n"
        docs = _attribute_docs(module, name)
        names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
        yield from _table(("field", "is"), ((f"`{shown}`", docs.get(field, "")) for field, shown in names))
        yield ""


def _attribute_docs(module: ModuleType, name: str) -> dict[str, str]:
    """The texts below the attributes of a class, which Python itself does not keep."""
    tree = ast.parse(inspect.getsource(module))
    owner = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    docs = {}
    for here, after in zip(owner.body, owner.body[1:], strict=False):
        targets = (
            here.targets if isinstance(here, ast.Assign) else [here.target] if isinstance(here, ast.AnnAssign) else []
        )
        if targets and isinstance(targets[0], ast.Name) and isinstance(after, ast.Expr):
            docs[targets[0].id] = inspect.cleandoc(ast.literal_eval(after.value))
    return docs


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
