"""The rules, one file each.

A new rule is a module here, a line in one of the two lists below, and an entry in findings.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.core.findings import (
    archive_duplicates,
    conflicting_identity,
    create_missing,
    duplicate_member_number,
    fix_phone,
    invalid_member,
    missing_positions,
    orphan_contact,
    promote_lead,
    quarantined_row,
    replace_uuid_external_id,
    shared_email,
    unknown_place_code,
    unknown_position_code,
    update_attributes,
)
from reconciler.core.world import Case, Ruling, World

JUDGES: tuple[Callable[[Case], Iterator[Ruling]], ...] = (
    create_missing.judge,
    archive_duplicates.judge,
    promote_lead.judge,
    replace_uuid_external_id.judge,
    fix_phone.judge,
    missing_positions.judge,
    update_attributes.judge,
)
"""Asked for each member who should be a contact."""

SURVEYS: tuple[Callable[[World], Iterator[Ruling]], ...] = (
    conflicting_identity.survey,
    shared_email.survey,
    duplicate_member_number.survey,
    orphan_contact.survey,
    missing_positions.survey,
    unknown_position_code.survey,
    unknown_place_code.survey,
    invalid_member.survey,
    quarantined_row.survey,
)
"""Asked once a plan."""

RULE_IDS: tuple[str, ...] = (
    create_missing.RULE,
    update_attributes.RULE,
    archive_duplicates.RULE,
    replace_uuid_external_id.RULE,
    fix_phone.RULE,
    promote_lead.RULE,
    conflicting_identity.RULE,
    shared_email.RULE,
    duplicate_member_number.RULE,
    orphan_contact.RULE,
    missing_positions.RULE,
    unknown_position_code.RULE,
    unknown_place_code.RULE,
    invalid_member.RULE,
    quarantined_row.RULE,
)
"""Every rule, in the order of the design, then those that came later."""
