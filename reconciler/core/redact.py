"""A plan without personal data: keyed tokens in place of names, e-mails and phones, the same in every plan.

What stays is what no single person can be known by, and ids: member numbers, ids of contacts, the union's vocabulary
(region, facility, positions, type), rules, counts and times. Every other value goes, also of attributes that this
program has never heard of. Sentences keep their words, but for the values of the plan and what looks like an e-mail or
a phone. Ids of actions and findings, and digests of inputs, are hashes of the values, so they go under the key, too.

What was decided on (`seen`, and the rule files of `basis`) is left out: a redacted plan is for reading, and explains
nothing.
Every value is built anew and none is copied with changes, so that a field which somebody adds to a plan is left out
here until it is considered.

Two redacted plans still compare as the plans do: what `compare.py` goes by is kept, or replaced by its token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from reconciler.core.actions import Action, Because
from reconciler.core.model import Evidence, Finding, Scalar
from reconciler.core.plan import Digest, Inputs, LimitCheck, Plan
from reconciler.core.seen import Basis
from reconciler.core.tokens import Known, Tokens, is_id, without_personal_data

KEPT = frozenset(
    {
        "role",
        *(f"custom_attributes.{name}" for name in ("member_number", "region", "facility", "positions", "member_type")),
        *("status", "member_type_id", "region", "facility", "positions", "positioncode"),
        *("code", "rows"),  # of the positions table (core/positions.py)
    }
)
"""Fields of contacts and of rows, and columns of the source, whose values stay."""

IDS = frozenset({"external_id", "member_number", "id"})
"""Fields that hold an id (of a contact, a member, or a row of the positions table), or, in old data, anything."""

NAMES = frozenset({"name", "first_name", "last_name"})
"""Fields whose values are looked for in sentences word by word, too: a sentence may call somebody by the last name."""

REDACTED = "personal data is redacted: this is for reading, and tokens must not be written to Intercom"


def redacted(plan: Plan, key: bytes) -> Plan:
    """The plan without personal data. It cannot be applied: its values are tokens."""
    return _Redaction(plan, key).plan()


def for_the_eye(plan: Plan, key: bytes) -> Plan:
    """As `redacted`, in the plan's own state: to be shown with its summary, never to be written as a plan file."""
    shown = redacted(plan, key)
    return msgspec.structs.replace(shown, applyable=plan.applyable, refused_because=shown.refused_because[1:])


class _Redaction:
    def __init__(self, plan: Plan, key: bytes) -> None:
        self._plan = plan
        self._tokens = Tokens(key)
        personal = dict.fromkeys(_personal(plan))
        self._known = Known(
            (value for _, value in personal), names=(value for field, value in personal if field in NAMES)
        )

    def plan(self) -> Plan:
        plan = self._plan
        return Plan(
            id=self._text(plan.id),
            tool=self._text(plan.tool),
            target=plan.target,
            workspace=self._text(plan.workspace),
            intercom_version=self._text(plan.intercom_version),
            created_at=plan.created_at,
            expires_at=plan.expires_at,
            applyable=False,
            refused_because=(REDACTED, *map(self._text, plan.refused_because)),
            inputs=Inputs(
                rules=Digest(sha256=plan.inputs.rules.sha256),
                members=self._input(plan.inputs.members),
                positions=self._input(plan.inputs.positions),
                contacts=None if plan.inputs.contacts is None else self._input(plan.inputs.contacts),
                rows=None if plan.inputs.rows is None else self._input(plan.inputs.rows),
            ),
            summary=plan.summary,
            limits=tuple(map(self._limit, plan.limits)),
            actions=tuple(map(self._action, plan.actions)),
            findings=tuple(map(self._finding, plan.findings)),
            previous=None if plan.previous is None else f"sha256:{self._tokens.digest(plan.previous)}",
            census=plan.census,
            basis=None if plan.basis is None else self._scope(plan.basis),
        )

    def _scope(self, basis: Basis) -> Basis:
        """What the plan left out: without it, what was not looked at would pass for resolved."""
        return Basis(
            files={},
            off=tuple(map(self._tokens.name, basis.off)),
            only=tuple(map(self._tokens.id, basis.only)),
            exclude=tuple(map(self._tokens.id, basis.exclude)),
            limit=basis.limit,
        )

    def _input(self, one: Digest) -> Digest:
        return Digest(
            sha256=self._tokens.digest(one.sha256),
            source=None if one.source is None else self._text(one.source),
            count=one.count,
            read_at=one.read_at,
            blank=one.blank,
            changed_at=one.changed_at,
        )

    def _limit(self, check: LimitCheck) -> LimitCheck:
        """The reason is what somebody typed, and may name anybody: it goes whole."""
        return LimitCheck(
            limit=self._tokens.name(check.limit),
            allowed=check.allowed,
            planned=check.planned,
            ok=check.ok,
            says=self._text(check.says),
            accepted=check.accepted,
            reason=None if check.reason is None else self._tokens.value(check.reason),
        )

    def _action(self, action: Action) -> Action:
        return Action(
            id=self._tokens.item(action.id),
            do=action.do,
            contact=self._id(action.contact),
            into=self._id(action.into),
            member=self._id(action.member),
            expect=self._fields(action.expect),
            set=self._fields(action.set),
            because=tuple(map(self._because, action.because)),
            undo=action.undo,
            after=tuple(map(self._tokens.item, action.after)),
            row=None if action.row is None else self._row(action.row),
            expect_into=self._fields(action.expect_into),
        )

    def _row(self, row: str) -> str:
        """Member number and code: the one is an id or goes, the other stays."""
        number, code = _number_of(row), row.removeprefix(_number_of(row))
        return f"{self._tokens.id(number) if number else ''}{self._text(code)}"

    def _because(self, one: Because) -> Because:
        field = None if one.field is None else self._tokens.name(one.field)
        return Because(self._tokens.name(one.rule), self._tokens.item(one.finding), field)

    def _finding(self, finding: Finding) -> Finding:
        return Finding(
            id=self._tokens.item(finding.id),
            rule=self._tokens.name(finding.rule),
            severity=finding.severity,
            contact=self._id(finding.contact),
            member=self._id(finding.member),
            says=self._text(finding.says),
            evidence=tuple(map(self._evidence, finding.evidence)),
        )

    def _evidence(self, one: Evidence) -> Evidence:
        return Evidence(self._text(one.origin), self._tokens.name(one.field), self._value(one.field, one.value))

    def _fields(self, fields: Mapping[str, Scalar]) -> dict[str, Scalar]:
        return {self._tokens.name(field): self._value(field, value) for field, value in fields.items()}

    def _value(self, field: str, value: Scalar) -> Scalar:
        if value is None or value == "" or isinstance(value, bool):
            return value
        if field in KEPT:
            return self._text(value) if isinstance(value, str) else value
        if not isinstance(value, str):
            return self._tokens.value(f"number {value!r}")
        return self._tokens.id(value) if field in IDS else self._tokens.value(value)

    def _id(self, text: str | None) -> str | None:
        return None if text is None else self._tokens.id(text)

    def _text(self, text: str) -> str:
        return without_personal_data(text, self._known, self._tokens)


def _personal(plan: Plan) -> Iterator[tuple[str, str]]:
    """The values that go, wherever they stand, each with the field that it was found in."""
    for action in plan.actions:
        yield from _personal_of((*action.expect.items(), *action.expect_into.items(), *action.set.items()))
        if action.row is not None:
            yield from _personal_of([("member_number", _number_of(action.row))])
    for finding in plan.findings:
        yield from _personal_of((one.field, one.value) for one in finding.evidence)


def _number_of(row: str) -> str:
    """The member number in the name of a row of the positions table."""
    return row.partition("/")[0]


def _personal_of(fields: Iterable[tuple[str, Scalar]]) -> Iterator[tuple[str, str]]:
    for field, value in fields:
        if isinstance(value, str) and field not in KEPT and not (field in IDS and is_id(value)):
            yield field, value
