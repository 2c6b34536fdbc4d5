"""A UUID as external id, left by the WordPress site, gives way to the member number once the match is confirmed."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.desired import phone_region
from reconciler.core.diff import REPLACE_UUID
from reconciler.core.match import Match, confirms
from reconciler.core.world import Case, Ruling, change_ruling

RULE = REPLACE_UUID


def judge(case: Case) -> Iterator[Ruling]:
    """Ask for the member number where e-mail, name or phone agree, or a person decided by a mapping."""
    then = case.world.rules.findings.replace_uuid_external_id.then
    if then == "off" or case.survivor is None:
        return
    sure = _is_confirmed(case, case.survivor)
    verb = "has a UUID in place of the member number" if sure else "has a UUID, and nothing confirms the member"
    found = change_ruling(case, RULE, acts=then == "update" and sure, do="update", verb=verb)
    if found is not None:
        yield found


def unconfirmed(case: Case) -> bool:
    """Whether the UUID should go and nothing confirms the member. Then nothing else may be written either.

    To write the member's name, e-mail or phone would be to write the confirmation, and the UUID would go tomorrow.
    """
    asked = case.world.rules.findings.replace_uuid_external_id.then == "update"
    has_uuid = any(change.rule == RULE for change in case.changes)
    return asked and has_uuid and case.survivor is not None and not _is_confirmed(case, case.survivor)


def _is_confirmed(case: Case, survivor: Match) -> bool:
    return survivor.by == "mapping" or confirms(
        survivor.contact,
        case.member,
        case.world.rules.findings.replace_uuid_external_id.confirm,
        people=case.world.people,
        region=phone_region(case.world.rules),
    )
