"""What support staff read in a conversation when its tag could not be followed: one text for each reason, and what to
do about it.

In the fields: member numbers and contact ids, never a name, an e-mail or a phone.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Literal, TypeAlias, get_args

Reason: TypeAlias = Literal[
    "attribute-missing",
    "member-not-found",
    "number-held-twice",
    "not-active-or-retired",
    "contact-gone",
    "several-contacts",
    "belongs-to-another",
    "left-as-it-is",
    "over-a-limit",
    "identifiers-taken",
    "system-error",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

TEXTS: Mapping[Reason, str] = {
    "attribute-missing": (
        "This conversation has no verified member number. Fill in {attribute} with the number that the member "
        "confirmed, take the tag {tag} off, and set it again."
    ),
    "member-not-found": (
        "There is no member {number}. Check {attribute} against the membership database, correct it, take the tag "
        "{tag} off, and set it again."
    ),
    "number-held-twice": (
        "The membership database has member {number} more than once, so nobody can tell whose contact this is. Ask the "
        "membership office to correct it, then take the tag {tag} off and set it again."
    ),
    "not-active-or-retired": (
        "Member {number} is neither active nor retired, and only those get a contact. If that is wrong, ask the "
        "membership office to correct it, then take the tag {tag} off and set it again."
    ),
    "contact-gone": (
        "The contact of this conversation is archived or deleted. Restore it in Intercom, then take the tag {tag} off "
        "and set it again."
    ),
    "several-contacts": (
        "Several contacts take part in this conversation, so nobody can tell which of them is member {number}. Tag a "
        "conversation that has one contact."
    ),
    "belongs-to-another": (
        "Contact {contact} is not changed to member {number}: {detail}. Check {attribute}. If the number is right, the "
        "other identifiers of the contact have to be corrected first; then take the tag {tag} off and set it again."
    ),
    "left-as-it-is": (
        "Contact {contact} is left as it is, as it cannot be made the contact of member {number}: {detail}. Settle "
        "that in Intercom or in the membership database, then take the tag {tag} off and set it again."
    ),
    "over-a-limit": (
        "Contact {contact} is not changed, because that would be over a limit: {detail}. Ask whoever runs the "
        "reconciler; then take the tag {tag} off and set it again."
    ),
    "identifiers-taken": (
        "Contact {contact} cannot be made that of member {number}: {detail} Archive or correct the one that is not "
        "needed. If it is only some minutes old, just wait a while; then take the tag {tag} off and set it again."
    ),
    "system-error": (
        "The contact could not be brought in line with the membership database, after several attempts. Nothing has to "
        "be corrected in this conversation. Take the tag {tag} off and set it again later; if it stays so, ask "
        "whoever runs the reconciler, and name {detail}."
    ),
}


def marker_of(reason: Reason, event: str) -> str:
    """What tells the note of one event and reason from all others: letters, digits and dashes."""
    return f"mynatca-sync-{reason}-{sha256(event.encode()).hexdigest()[:12]}"


def note(reason: Reason, event: str, **fields: str) -> str:
    """The note as HTML, with its marker in it. Values are escaped."""
    text = TEXTS[reason].format(**{name: escape(value, quote=False) for name, value in fields.items()})
    return f"<p>{text}</p><p>({marker_of(reason, event)})</p>"
