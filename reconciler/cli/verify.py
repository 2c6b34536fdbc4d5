"""`reconcile verify`."""

from __future__ import annotations

import re

import click
import msgspec

from reconciler import from_settings
from reconciler.errors import ExitCode
from reconciler.runs.audit import Audit
from reconciler.settings import settings_here


@click.command("verify")
@click.option("--head", metavar="DIGEST", help="A head that was noted earlier: it must still be in the chain.")
@click.option("--json", "as_json", is_flag=True, help="What was found, as JSON.")
def command(*, head: str | None, as_json: bool) -> int:
    """Walk the chain of plans, approvals and outcomes; name the first that is not as it was written.

    Leaves with 1 where anything was edited, dropped, reordered, forked, added or cut off. The head that is printed
    belongs somewhere else, where whoever may write to the plans cannot: with it a chain that was cut off, or made anew,
    is found out.
    """
    if head is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", head):
        raise click.UsageError(f"--head {head}: wanted is sha256: and 64 hexadecimal digits, as `verify` prints it.")
    found = from_settings.open_store(settings_here()).verify(head=head)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        click.echo(_text(found), nl=False)
    return ExitCode.ERROR if found.flaws else ExitCode.DONE


def _text(found: Audit) -> str:
    lines = []
    if found.flaws:
        first, *others = found.flaws
        lines.append(f"Not as it was written: {first.record}, {first.kind}: {first.says}.")
        lines.extend(f"Then: {flaw.record}, {flaw.kind}: {flaw.says}." for flaw in others)
        lines.append("Compare with a backup, and find out who may write here, before anything is restored.")
    elif found.records == 0:
        lines.append("No record is stored yet.")
    else:
        records = "1 record is" if found.records == 1 else f"All {found.records} records are"
        lines.append(f"{records} as written, in their order.")
    if found.erased:
        lines.append(f"From {found.erased} of them personal data was taken out; the rest of them is proven.")
    if found.head is not None and not found.flaws:
        lines.append(f"Head: {found.head}")
        lines.append("Note it elsewhere; later, `reconcile verify --head` with it shows whether the end was cut off.")
    return "\n".join(lines) + "\n"
