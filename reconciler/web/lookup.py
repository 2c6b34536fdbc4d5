"""Who has an e-mail: the member's record for the service's own callers."""

from __future__ import annotations

import msgspec

from reconciler.core.model import Member


class MemberRecord(msgspec.Struct, frozen=True):
    """A member, as the service tells of one."""

    member_number: str
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    status: str | None
    member_type_id: str | None
    region: str | None
    facility: str | None


def record_of(member: Member) -> MemberRecord:
    """The record of one member: the row's own values, nothing put in another form."""
    return MemberRecord(
        member_number=member.number,
        first_name=member.first_name,
        last_name=member.last_name,
        email=member.email,
        phone=member.phone,
        status=member.status,
        member_type_id=member.member_type_id,
        region=member.region,
        facility=member.facility,
    )
