"""Write docs/reference: what the code itself says of its commands, settings, rules, exit codes and files.

`make docs` runs it; a test fails when a page is not as it would be written now.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import click
import msgspec

from reconciler import errors
from reconciler.cli import COMMANDS, reconcile
from reconciler.core import actions, approval, link, model, plan, rules, seen
from reconciler.core import outcome as outcome_file
from reconciler.core.findings import RULE_IDS
from reconciler.core.positions import RULES as POSITION_RULES
from reconciler.core.rules.checks import COLUMNS, OPTIONAL_COLUMNS
from reconciler.core.rules.schema import schemas
from reconciler.errors import ExitCode
from reconciler.from_settings import read_rules
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
    yield inspect.cleandoc(reconcile.help or "") + "\n"
    yield "Every command has `--help`, and `reconcile --version` says which release this is.\n"
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
    shipped = read_rules(ROOT / "rules")
    yield "## The rules of `findings.yaml`\n"
    rows = []
    for rule in RULE_IDS:
        module = import_module(f"reconciler.core.findings.{rule.replace('-', '_')}")
        setting = getattr(shipped.findings, rule.replace("-", "_"))
        choices = get_type_hints(type(setting))["then"].__args__
        rows.append((f"`{rule}`", _summary(module), f"`{setting.then}`", " · ".join(f"`{one}`" for one in choices)))
    yield from _table(("rule", "says", "as shipped", "choices of `then`"), rows)
    yield "\n## The rules of `--target positions`\n"
    yield "They are always on; limits.yaml says how much they may do.\n"
    yield from _table(
        ("rule", "says"), ((f"`{rule}`", f"{says[0].upper()}{says[1:]}.") for rule, says in POSITION_RULES.items())
    )
    yield "\n## How to read the keys\n"
    yield "`*` stands for a name of your own, `[]` for each entry of a list. Where a default has two halves, the first"
    yield "holds where the whole entry is left out, the second where the entry is there without this key."
    for file, schema in schemas().items():
        yield f"\n## `{file}`\n"
        yield _about_file(_resolved(schema, schema), file) + "\n"
        # The title is the file's; without it the one of the Struct shows, whose docs are wanted.
        untitled = {key: value for key, value in schema.items() if key != "title"}
        yield from _table(("key", "type", "default", "means"), _keys(untitled, schema, ""))


def _about_file(shape: dict[str, Any], file: str) -> str:
    """What the schema says of the file as a whole, without its name in front."""
    about = inspect.cleandoc(shape["description"]).removeprefix(f"{file}: ")
    return about[0].upper() + about[1:]


def _summary(module: ModuleType) -> str:
    return inspect.cleandoc(module.__doc__ or "").split("\n\n")[0]


def _keys(schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    """A row for each key that a person can write, with its path in the file."""
    shape = _resolved(schema, root)
    docs = _docs_of_rule_file(shape.get("title", ""), path)
    for key, value in shape.get("properties", {}).items():
        known = {**value, **({"default": shape["default"][key]} if key in (shape.get("default") or {}) else {})}
        yield from _key(known, root, f"{path}.{key}" if path else key, (_default(shape, key, value), docs.get(key, "")))
    if isinstance(extra := shape.get("additionalProperties"), dict):
        yield from _key(extra, root, f"{path}.*" if path else "*", ("", "See above." if not path else ""))


def _key(
    value: dict[str, Any], root: dict[str, Any], path: str, said: tuple[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    inner = _resolved(value, root)
    items = _resolved(inner.get("items", {}), root)
    if "properties" in inner or isinstance(inner.get("additionalProperties"), dict):
        yield from _keys(value, root, path)
    elif "properties" in items:
        yield from _keys(items, root, f"{path}[]")
    else:
        yield (f"`{path}`", _type(value, root), *said)


def _default(shape: dict[str, Any], key: str, value: dict[str, Any]) -> str:
    """What holds where a key is left out: together with all that stands around it, and alone."""
    required = key in shape.get("required", ())
    alone = "required" if required else _in_yaml(value.get("default"))
    together = _in_yaml((shape.get("default") or {}).get(key, value.get("default")))
    return alone if (required and not shape.get("default")) or together == alone else f"{together} / {alone}"


def _in_yaml(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value is not None else "none"


def _docs_of_rule_file(title: str, path: str) -> dict[str, str]:
    """What core/rules/ says of the entries of one Struct, by the words of the file."""
    struct = getattr(rules, title, None) if title else None
    if struct is None:
        return dict.fromkeys(COLUMN_NAMES, "Name of the column.") if path.endswith(".columns") else {}
    docs = _attribute_docs(rules, title)
    names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
    said = {"then": inspect.cleandoc(struct.__doc__ or "").split("\n")[0], **SAID_HERE.get(title, {})}
    return said | {shown: docs[field] for field, shown in names if field in docs}


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to; what stands beside the reference goes before it."""
    found: dict[str, Any] = {}
    if "$ref" in schema:
        found = _resolved(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    for part in schema.get("allOf", ()):
        found = _over(found, _resolved(part, root))
    found = _over(found, {key: value for key, value in schema.items() if key not in {"$ref", "allOf", "$defs"}})
    objects = [_resolved(one, root) for one in found.get("anyOf", ())]
    whole = next((one for one in objects if one.get("type") == "object"), None)
    return {**whole, **found} if whole is not None else found


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two schemas of one thing as one; objects are joined key by key."""
    joined = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            joined[key] = _over(below[key], above[key])
    return joined


def _type(schema: dict[str, Any], root: dict[str, Any]) -> str:
    shape = _resolved(schema, root)
    if "enum" in shape:
        return " · ".join(f"`{one}`" for one in shape["enum"])
    if "anyOf" in shape and "type" in shape:
        either = (_resolved(one, root) for one in shape["anyOf"])
        shape = next(one for one in either if one.get("type") == shape["type"]) | shape
    elif "anyOf" in shape:
        bounds = {key: shape[key] for key, _ in _BOUNDS if key in shape}
        return " or ".join(
            _type({**one, **bounds} if one.get("type") != "null" else one, root) for one in shape["anyOf"]
        )
    if shape.get("type") == "array":
        items = shape.get("items")
        return "list of " + (_type(items, root) if isinstance(items, dict) else "values")
    if shape.get("type") == "null":
        return "none"
    limits = [f"{word} {shape[key]:g}" for key, word in _BOUNDS if key in shape]
    return " ".join([f"`{shape['title']}`" if "title" in shape else str(shape.get("type", "object")), *limits])


_BOUNDS = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))


def _exit_codes() -> Iterator[str]:
    docs = _attribute_docs(errors, "ExitCode")
    yield from _table(("code", "name", "means"), ((str(int(one)), f"`{one.name}`", docs[one.name]) for one in ExitCode))


def _files() -> Iterator[str]:
    yield "All are valid JSON with one action, finding or outcome a line, and end with a digest over all before it."
    yield "A file that is not, byte for byte, what was written is refused. Times are UTC, ISO 8601 to the second.\n"
    yield "`ID.html` beside a plan is a page of it, for reading: a copy that no command reads or verifies.\n"
    for title, module, name in (
        (f"The plan, `{plan.FORMAT}`", plan, "Plan"),
        ("`inputs`", plan, "Inputs"),
        ("`inputs.*`", plan, "Digest"),
        ("`summary`", plan, "Summary"),
        ("`census`", plan, "Census"),
        ("`limits`", plan, "LimitCheck"),
        ("`actions`", actions, "Action"),
        ("`because` of an action", actions, "Because"),
        ("`findings`", model, "Finding"),
        ("`evidence` of a finding", model, "Evidence"),
        ("`basis`", seen, "Basis"),
        ("`seen`", seen, "Seen"),
        (f"The outcome, `{outcome_file.FORMAT}`", outcome_file, "RunOutcome"),
        ("`summary` of an outcome", outcome_file, "Counts"),
        ("`outcomes`", actions, "Outcome"),
        (f"The approval, `{approval.FORMAT}`", approval, "Approval"),
        (f"The links of the chain, `chain/NUMBER.json`, `{link.FORMAT}`", link, "Link"),
    ):
        yield f"## {title}\n"
        yield inspect.cleandoc(getattr(module, name).__doc__ or "").replace(" (design §4.5)", "") + "\n"
        yield from _table(("field", "type", "is"), _fields(module, name))
        yield ""


def _fields(module: ModuleType, name: str) -> Iterator[tuple[str, str, str]]:
    """The fields as the file has them: a plan and an outcome have three that are the file's own."""
    struct = getattr(module, name)
    schema = module.schema() if name in _WHOLE_FILES else msgspec.json.schema(struct)
    docs = _attribute_docs(module, name)
    by_name = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
    for shown, value in _resolved(schema, schema)["properties"].items():
        said = docs.get(by_name.get(shown, ""), "") or SAID_HERE[name].get(shown, "")
        yield f"`{shown}`", _type(value, schema), said


_WHOLE_FILES = ("Plan", "RunOutcome", "Approval", "Link")

_SEALED = {
    "format": "What kind of file this is; another release may refuse it.",
    "digest": "SHA-256 over every byte before it.",
}

_WHO = {"contact": "Id of the contact.", "member": "Number of the member."}

COLUMN_NAMES = frozenset(
    name for tables in COLUMNS.values() for fields in tables.values() for name in fields
) | frozenset(name for fields in OPTIONAL_COLUMNS.values() for name in fields)

SAID_HERE: dict[str, dict[str, str]] = {
    "Table": {"table": "Name of the table."},
    "Who": {
        "status": "Members with one of these should be a contact.",
        "require": "A member who lacks one of these cannot be a contact, and is reported (`invalid-member`).",
    },
    "FieldRule": {
        "as": "`e164`: the value is a phone number, and is put in that form.",
        "on_invalid": "What happens to the contact's value where the member's is no phone number.",
        "names": "The file that turns codes into names.",
        "join": "What stands between several values.",
        "on_blank": "What happens to the contact's value where the member has none.",
    },
    "Identifier": {"by": "The contact's field.", "is": "The member's field that must equal it."},
    "Confirm": {
        "any_of": "One of these has to agree as well.",
        "or_when_blank": "Or none of these is filled in on the contact.",
    },
    "Matching": {"when_they_disagree": "What happens to a contact whose identifiers point to different members."},
    "ArchiveDuplicates": {
        "keep": "Which contact is kept: the first of these that tells them apart decides.",
        "unless": "What protects a contact from being archived.",
    },
    "OrphanContact": {"unless": "What protects a contact from being archived."},
    "ClassLimit": {
        "percent": "Held when over so many percent of the live contacts (of the rows, for the positions table) "
        "and over `floor`.",
        "floor": "So many are never held for being over `percent`.",
        "hard": "Held when over this number, whatever the others say.",
        "per_week": "Held when over this number together with what the last 7 days did; archives and merges only.",
    },
    "Limits": {
        "plan_lifetime_hours": "An older plan is refused.",
        "canary": "Sizes of the first batches, each looked at before the next; `apply --no-canary` leaves them out.",
    },
    "ErrorBudget": {
        "percent": "A run stops after a batch where more than so many percent of the actions sent, "
        "and more than one, failed or ended unknown.",
        "count": "A run stops as soon as more actions than this failed or ended unknown.",
    },
    "Plan": {
        **_SEALED,
        "id": "The time it was made, and a hash of what was read and decided. The file has its name.",
        "tool": "The release that made it.",
        "target": "What is reconciled.",
        "workspace": "Id of the Intercom workspace, or address of the Supabase project; for another one the plan is "
        "refused.",
        "intercom_version": "The version of Intercom's API it was made with; blank for the positions table.",
        "created_at": "When it was made.",
        "expires_at": "When it is refused from; `plan_lifetime_hours` in limits.yaml.",
        "applyable": "False where a guard refused the source: then there are no actions.",
        "refused_because": "What the guards said.",
        "inputs": "What it was made from; see below.",
        "summary": "See below.",
        "census": "Live contacts against members; see below. None where no contacts were counted.",
        "limits": "One entry a class of actions; see below.",
        "actions": "One a line, in the order in which they may run; see below.",
        "findings": "One a line, by rule; see below.",
    },
    "Inputs": {
        "rules": "The rule files, by their meaning.",
        "members": "The members read.",
        "positions": "The positions read.",
    },
    "Digest": {
        "sha256": "Over all rows, in their order.",
        "source": "Where they were read.",
        "count": "How many rows.",
        "read_at": "The actual side only: when all of it was read.",
    },
    "Summary": {
        "create": "Contacts (or rows of the positions table) to create.",
        "update": "Contacts (or rows) to update.",
        "promote": "Leads to make users.",
        "merge": "Leads to merge into a user.",
        "archive": "Contacts to archive.",
        "held": "Actions that a limit keeps back, with those that wait for them.",
        "unarchive": "Contacts to bring back; only an undo has these.",
        "delete": "Rows of the positions table to delete; no plan for contacts has these.",
    },
    "Census": {"users": "Live users.", "leads": "Live leads."},
    "LimitCheck": {
        "limit": "The class of actions.",
        "allowed": "How many may be planned.",
        "planned": "How many are.",
        "ok": "Whether they may run.",
        "reason": "Why a person accepted the number.",
    },
    "Action": {
        "id": "The letter of its kind, and a hash of its content.",
        "do": "What is done.",
        **_WHO,
        "expect": "Field → value the decision was made on.",
        "set": "Field → value to send; null clears.",
        "because": "The rules that asked, and for what.",
        "undo": "How far it can be taken back: to the very values, in part, or not at all.",
    },
    "Because": {
        "rule": "Id of the rule.",
        "finding": "Id of the finding, in this file.",
        "field": "The field asked for; left out where the rule asked for the action as a whole.",
    },
    "Finding": {
        "id": "`f-`, and a hash of its content: the same finding has the same id every night.",
        "rule": "Id of the rule.",
        "severity": "`fixable`: an action here mends it; `review`: a person has to decide; `info`: worth knowing.",
        **_WHO,
        "says": "One sentence for people.",
        "evidence": "The values it rests on.",
    },
    "Evidence": {"field": "Which field of that row or contact.", "value": "What stands there."},
    "RunOutcome": {
        **_SEALED,
        "plan": "Id of the plan.",
        "started_at": "When the run began.",
        "finished_at": "When it ended.",
        "summary": "See below.",
    },
    "Approval": {
        **_SEALED,
        "plan": "Id of the plan.",
        "approved_at": "When it was given.",
        "reason": "Why, in the approver's words.",
    },
    "Link": _SEALED,
    "Counts": {
        "done": "The contact is as the action wanted it.",
        "stale": "It no longer matched `expect`; nothing was sent.",
        "held": "A limit, a stop, or an action before it kept it back.",
        "failed": "Intercom refused it.",
        "unknown": "It may or may not have happened, and could not be read back.",
    },
    "Outcome": {
        "action": "Id of the action, in the plan.",
        "do": "What was to be done.",
        "outcome": "What became of it; the words are those of the summary.",
        "member": "Number of the member.",
        "sent": "Field → value that was sent.",
        "request_id": "Intercom's id of the request that it refused, for its support.",
    },
}
"""What a field is, where the code has no words of its own; used only there."""


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
