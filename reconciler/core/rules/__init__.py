"""The rules, as frozen values: what the YAML files of `rules/` say (design §5).

One Struct a file, one attribute an entry. The schemas that `reconcile rules schema` prints, the checks of
`reconcile rules check` and the code that decides all read these same types, so they cannot disagree.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from reconciler.core.actions import Do

MemberField: TypeAlias = Literal[
    "member_number",
    "first_name",
    "last_name",
    "email",
    "phone",
    "status",
    "member_type_id",
    "region",
    "facility",
    "positions",
]
"""What a field of a contact can be made from: the columns of Member, and the member's positions."""

Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything that is written in YAML: closed, so that a misspelt key is an error."""


# sources.yaml


class Table(RuleFile, frozen=True):
    """A table, and which of its columns feeds which field of ours (ours: theirs)."""

    table: str
    columns: dict[str, str]


class SqlShape(RuleFile, frozen=True):
    """A database that has one table of members and one of positions, both keyed by member number."""

    members: Table
    positions: Table


class MysqlShape(RuleFile, frozen=True):
    """The union's own MySQL: members by an internal id, addresses and positions in tables of their own."""

    members: Table
    emails: Table
    positions: Table


class Sources(RuleFile, frozen=True):
    """sources.yaml: which tables and columns feed Member and Position."""

    sql: SqlShape
    mysql: MysqlShape


# contacts.yaml


class Who(RuleFile, frozen=True):
    """Which members should be a contact: one of these statuses, and none of these fields blank."""

    status: tuple[str, ...]
    require: tuple[MemberField, ...] = ()


class FieldRule(RuleFile, frozen=True, rename={"from_": "from", "is_": "is", "as_": "as"}):
    """Where one owned field comes from. Exactly one of `from` and `is` is given."""

    from_: str | tuple[MemberField, ...] | None = None
    """A member field, a text with fields in braces (`{first_name} {last_name}`), or a list looked up in `names`."""
    is_: str | None = None
    """The same constant for everybody."""
    as_: Literal["text", "e164"] = "text"
    region: str = "US"
    """For `as: e164`: the country of numbers written without one (ISO 3166-1 alpha-2)."""
    on_invalid: Literal["leave"] = "leave"
    names: Literal["positions.yaml", "member_types.yaml"] | None = None
    join: str = ", "
    on_blank: Literal["leave", "clear"] = "leave"


class Contacts(RuleFile, frozen=True):
    """contacts.yaml: who is a contact, and the fields we own. What is not listed is never read or written."""

    who: Who
    fields: dict[str, FieldRule]


# matching.yaml

Confirmer: TypeAlias = Literal["email", "name", "phone"]


class Confirm(RuleFile, frozen=True):
    """What must agree besides the identifier: any one of these, or none of these filled in on the contact."""

    any_of: tuple[Confirmer, ...]
    or_when_blank: tuple[Confirmer, ...] = ()


class Identifier(RuleFile, frozen=True, rename={"is_": "is"}):
    """One way to tie a contact to a member: the contact's field `by` equals the member's field `is`."""

    by: Literal["mapping", "external_id", "custom_attributes.member_number", "email", "phone"]
    is_: Literal["member_number", "email", "phone"]
    confirm: Confirm | None = None
    unconfirmed: Literal["review", "ignore"] = "review"
    """When `confirm` fails: leave contact and member to a person, or treat the identifier as saying nothing."""


class Matching(RuleFile, frozen=True):
    """matching.yaml: identifiers, strongest first."""

    identifiers: tuple[Identifier, ...]
    when_they_disagree: Literal["review"] = "review"


# findings.yaml

KeepBy: TypeAlias = Literal["external_id_is_member_number", "role_user", "last_seen", "oldest", "smallest_id"]


class CreateMissing(RuleFile, frozen=True):
    """A member who should be a contact and has none."""

    then: Literal["create", "report", "off"] = "create"


class UpdateAttributes(RuleFile, frozen=True):
    """A contact whose owned fields differ from its member."""

    then: Literal["update", "report", "off"] = "update"


class ArchiveDuplicates(RuleFile, frozen=True):
    """Several contacts tied to one member: which to keep, and what becomes of the others."""

    then: Literal["archive", "merge-leads", "report", "off"] = "archive"
    keep: tuple[KeepBy, ...] = ("external_id_is_member_number", "role_user", "last_seen", "oldest", "smallest_id")
    unless: Literal["open_conversation", "nothing"] = "open_conversation"


class ReplaceUuid(RuleFile, frozen=True):
    """A UUID as external id, left by WordPress, gives way to the member number."""

    then: Literal["update", "report", "off"] = "update"
    confirm: Confirm = Confirm(any_of=("email", "name", "phone"), or_when_blank=("email", "name"))


class FixPhone(RuleFile, frozen=True):
    """A phone number in another form than E.164, or one that cannot be one."""

    then: Literal["update", "report", "off"] = "update"


class PromoteLead(RuleFile, frozen=True):
    """A lead who is a member becomes that member's user."""

    then: Literal["promote", "report", "off"] = "promote"


class OrphanContact(RuleFile, frozen=True):
    """A contact under a member number that nobody active or retired holds."""

    then: Literal["report", "archive", "relabel", "off"] = "report"
    looks_like: str = "[0-9]{3,}"
    """A regular expression for the whole of a member number: other external ids are nobody's business."""
    label: str = "Former Member"
    """Relabel: what custom_attributes.member_type becomes."""
    unless: Literal["open_conversation", "nothing"] = "open_conversation"


class MissingPositions(RuleFile, frozen=True):
    """A contact that shows positions for a member who holds none; a member who should hold one and does not."""

    then: Literal["clear", "report", "off"] = "clear"
    expected_of: tuple[str, ...] = ()
    """Member types, by their names in member_types.yaml (or as `Active, 7`), whose members hold a position."""


class ReportOnly(RuleFile, frozen=True):
    """A rule that never acts. `off` hides the finding; what it protects stays protected."""

    then: Literal["report", "off"] = "report"


class Findings(RuleFile, frozen=True, rename="kebab"):
    """findings.yaml: one entry a rule: report, act or off, and its parameters."""

    create_missing: CreateMissing = CreateMissing()
    update_attributes: UpdateAttributes = UpdateAttributes()
    archive_duplicates: ArchiveDuplicates = ArchiveDuplicates()
    replace_uuid_external_id: ReplaceUuid = ReplaceUuid()
    fix_phone: FixPhone = FixPhone()
    promote_lead: PromoteLead = PromoteLead()
    conflicting_identity: ReportOnly = ReportOnly()
    shared_email: ReportOnly = ReportOnly()
    duplicate_member_number: ReportOnly = ReportOnly()
    orphan_contact: OrphanContact = OrphanContact()
    missing_positions: MissingPositions = MissingPositions()
    unknown_position_code: ReportOnly = ReportOnly()
    unknown_place_code: ReportOnly = ReportOnly()
    invalid_member: ReportOnly = ReportOnly()
    quarantined_row: ReportOnly = ReportOnly()


# limits.yaml


class ClassLimit(RuleFile, frozen=True):
    """How many actions of one class a plan may hold.

    Held when over `percent` of the live contacts (or of the rows of the positions table) *and* over `floor`; or,
    whatever they say, over `hard`. Without a percentage only `hard` counts. `per_week` is a hard number, too, for what
    the plan adds to all that the runs of the last 7 days did (core/history.py); archives and merges alone are
    remembered so.
    """

    percent: Percent | None = None
    floor: Count = 0
    hard: Count | None = None
    per_week: Count | None = None


class SourceGuards(RuleFile, frozen=True):
    """When a source is not to be believed. A plan is refused before the diff."""

    shrink_percent: Percent = 2
    """Fewer members than this much below the last good run."""
    positions_shrink_percent: Percent = 5
    """Fewer positions than this much below the last good run."""
    positions_shrink_floor: Count = 20
    """That many fewer are believed, whatever they are in percent."""
    blank_percent: Percent = 5
    """So many points more of the members without a value in one field than in the last good run."""
    quarantine_percent: Percent = 0.5
    """More rows than this of one table that cannot be used. A single row never stops a plan."""
    stale_hours: Annotated[float, Meta(gt=0)] = 24
    """The latest change is older than this. Looked at where sources.yaml names a column for `updated_at`."""


class ErrorBudget(RuleFile, frozen=True):
    """How many actions of a run may fail or end unknown before nothing more is begun.

    The run stops as soon as they are more than `count`; and, looked at after each batch (the canary's among them),
    when they are more than `percent` of those sent so far. A single one never stops it: of a canary of 10 it would be
    10%, and one contact is one contact, while two are a pattern.
    """

    percent: Percent = 2
    count: Count = 20


class Limits(RuleFile, frozen=True):
    """limits.yaml: the brakes. The ceilings in core/ceilings.py stand above every number here."""

    source: SourceGuards = SourceGuards()
    create: ClassLimit = ClassLimit(percent=10, floor=100)
    update: ClassLimit = ClassLimit(percent=30, floor=200)
    promote: ClassLimit = ClassLimit(percent=5, floor=50)
    archive: ClassLimit = ClassLimit(percent=1, floor=50, hard=200, per_week=400)
    merge: ClassLimit = ClassLimit(hard=25, per_week=75)
    unarchive: ClassLimit = ClassLimit(percent=1, floor=50, hard=200)
    create_position: ClassLimit = ClassLimit(percent=10, floor=100)
    update_position: ClassLimit = ClassLimit(percent=10, floor=100)
    delete: ClassLimit = ClassLimit(percent=1, floor=50, hard=500)
    """Rows of the positions table; contacts are never deleted."""
    plan_lifetime_hours: Annotated[float, Meta(gt=0)] = 24
    canary: tuple[Count, ...] = (10, 100)
    error_budget: ErrorBudget = ErrorBudget()
    approval: tuple[Do, ...] = ()
    """Classes of actions, on contacts and on rows of the positions table alike, that `apply` holds until somebody has
    approved them (`reconcile approve`)."""


# all of them


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Every rule file, read and checked."""

    sources: Sources
    contacts: Contacts
    matching: Matching
    findings: Findings
    limits: Limits
    positions: dict[str, str]
    """Position code → name, in the order in which they are joined."""
    member_types: dict[tuple[str, str], str]
    """(status, member type id) → name."""
    regions: dict[str, str] = {}
    """Region code → name; empty where nobody wrote them down, and then any code is taken for one."""
    facilities: dict[str, str] = {}
    """Facility code → name, likewise."""
    mappings: dict[str, str]
    """Contact id → member number, decided by a person."""
    files: dict[str, str] = {}
    """The text of each file but mappings.yaml as it was read, so that whoever asks can be shown the very line."""
    sha256: str
    """Over the meaning of all files, so that a comment or a blank line does not change it."""
