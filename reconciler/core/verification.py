"""A member number that a person has verified for a contact: whether anything about the contact speaks against it. Pure.

Who verified it decides between several members that a contact may be, as a mapping does; nobody decides against what
says plainly that the contact is somebody else's.
"""

from __future__ import annotations

from reconciler.core.desired import People
from reconciler.core.diff import as_text, is_uuid
from reconciler.core.drafts import released
from reconciler.core.match import Matcher
from reconciler.core.model import Contact
from reconciler.core.rules import Rules


def against(contact: Contact, number: str, people: People, rules: Rules) -> str | None:
    """What says that the contact is another's, in ids and field names; None where nothing does."""
    mapped = rules.mappings.get(contact.id)
    if mapped is not None:
        return None if mapped == number else f"mappings.yaml ties it to member {mapped}"
    for tie in Matcher(people, rules).match(contact).ties:
        if number not in tie.numbers:
            return f"its {tie.by} is that of member {' and '.join(tie.numbers)}"
    external_id = as_text(contact.external_id)
    if external_id in {None, number, released("external_id", contact.id)} or is_uuid(external_id):
        return None
    return "its external_id is another's"
