"""`reconcile rules`: check, schema, test."""

from __future__ import annotations

import json
from pathlib import Path

import click

from reconciler import from_settings
from reconciler.core.cases import parse_cases, run_case
from reconciler.core.rules.schema import schemas
from reconciler.errors import ExitCode, Problem, RulesError
from reconciler.settings import settings_here


@click.group("rules")
def command() -> None:
    """Check the rule files, print their schemas, run their cases."""


@command.command("check", short_help="Say all that is wrong, with file and line.")
@click.option("--json", "as_json", is_flag=True, help="Problems as a JSON list.")
def check(as_json: bool) -> int:
    """Read every rule file and say all that is wrong, with file and line."""
    folder = settings_here().rules
    try:
        rules = from_settings.read_rules(folder)
    except RulesError as error:
        if not as_json:
            raise
        click.echo(json.dumps([{"file": one.file, "line": one.line, "says": one.says} for one in error.problems]))
        return ExitCode.ERROR
    click.echo("[]" if as_json else f"The rules in {folder} are sound (sha256 {rules.sha256[:12]}).")
    return ExitCode.DONE


@command.command("schema", short_help="Print the JSON Schema of the rule files.")
@click.argument("file", required=False, type=click.Choice(sorted(schemas())))
def schema(file: str | None) -> None:
    """Print the JSON Schema of one rule file, or of all by file name."""
    found = schemas()
    click.echo(json.dumps(found[file] if file else found, indent=2, ensure_ascii=False))


@command.command("test", short_help="Run the cases of rules/tests.")
def test() -> int:
    """Run the cases of rules/tests: members and contacts in, actions and findings out."""
    folder = settings_here().rules
    rules = from_settings.read_rules(folder)
    failures = count = 0
    for path in sorted((folder / "tests").glob("*.yaml")):
        for case in parse_cases(_text(path), file=path.name):
            count += 1
            mismatches = run_case(case, rules)
            if mismatches:
                failures += 1
                click.echo(f"{path.name}: {case.name}\n" + "\n".join(mismatches))
    if not count:
        raise RulesError([Problem(str(folder / "tests"), 0, "holds no cases")])
    click.echo(f"{count - failures} passed, {failures} failed")
    return ExitCode.ERROR if failures else ExitCode.DONE


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError([Problem(str(path), 0, f"cannot be read: {type(error).__name__}")]) from error
