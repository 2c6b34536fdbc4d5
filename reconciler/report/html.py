"""A plan as one HTML file that needs nothing else: no links out, no fonts, light and dark, and whole without scripts.

The page forbids itself everything but its own style sheet and its own script (search and filter), by their digests
(Content Security Policy Level 3, section 2.3.1), so that markup that got in through a name could neither run nor load
anything. Values are escaped twice over: what hides or moves text by `visible`, what is markup by Jinja.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from reconciler.core.plan import Plan
from reconciler.report import facts
from reconciler.report.facts import visible


def plan_html(plan: Plan) -> str:
    """The plan as one HTML document."""
    final = [action for action in plan.actions if action.undo == "none"]
    style, script = _part("plan.css"), _part("plan.js")
    return _template().render(
        plan=plan,
        summary=facts.summary(plan),
        kinds=[(kind, len(group), *facts.undo_counts(group)) for kind, group in facts.by_kind(plan.actions)],
        limits=sorted(plan.limits, key=lambda check: check.ok),
        held=plan.held(),
        final=final,
        rules=facts.by_rule(action for action in plan.actions if action.undo != "none"),
        reviews=facts.open_findings(plan),
        inputs=[
            (name, one) for name in plan.inputs.__struct_fields__ if (one := getattr(plan.inputs, name)) is not None
        ],
        style=Markup(style),  # noqa: S704 - a file of this package
        style_digest=_digest(style),
        script=Markup(script),  # noqa: S704 - a file of this package
        script_digest=_digest(script),
        facts=facts,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("reconciler.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("plan.html")


@cache
def _part(name: str) -> str:
    return files("reconciler.report").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


def _finalize(value: Any) -> Any:
    """Applied to everything that the template prints: what is not the template's own is made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
