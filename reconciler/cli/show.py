"""`reconcile show`, and how a plan looks in each format."""

from __future__ import annotations

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.cli.options import FORMATS
from reconciler.core.plan import Plan, encode
from reconciler.settings import Settings, settings_here

LINES_SHOWN = 50
"""Of a long plan, the text shows so many actions of each kind; `show --all` shows the rest."""


@click.command("show")
@click.argument("plan")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How it is shown.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--all", "everything", is_flag=True, help="Every action, also of a long plan (text).")
@click.option("--redact", is_flag=True, help="Tokens in place of personal data (RECONCILER_REDACT_KEY).")
def command(*, plan: str, form: str, as_json: bool, everything: bool, redact: bool) -> None:
    """Show a stored plan. PLAN is its id, the beginning of it, or a file."""
    settings = settings_here()
    made = from_settings.open_store(settings).get_plan(plan)
    shown_as = "json" if as_json else form
    if redact:
        made = without_personal_data(made, settings, to_a_file=shown_as == "json")
    click.echo(render(made, shown_as, everything=everything), nl=False)


def without_personal_data(made: Plan, settings: Settings, *, to_a_file: bool) -> Plan:
    """The plan with keyed tokens in place of personal data. What may become a file is a plan that cannot be applied."""
    from reconciler.core.redact import for_the_eye, redacted  # noqa: PLC0415 - only who asks for it pays for it

    key = settings.redacting().reveal().encode()
    return redacted(made, key) if to_a_file else for_the_eye(made, key)


def render(made: Plan, form: str, *, everything: bool = False) -> str:
    """A plan as text, ending in a new line."""
    if form == "json":
        return encode(made).decode()
    if form == "markdown":
        from reconciler.report.markdown import plan_markdown  # noqa: PLC0415 - only who asks for it pays for it

        return plan_markdown(made)
    if form == "html":
        from reconciler.report.html import plan_html  # noqa: PLC0415 - jinja2 is slow to import

        return plan_html(made)
    from reconciler.report.text import plan_text  # noqa: PLC0415 - only who asks for it pays for it

    limit = None if everything else LINES_SHOWN
    return plan_text(made, width=terminal.width(), colour=terminal.in_colour(), limit_lines=limit)
