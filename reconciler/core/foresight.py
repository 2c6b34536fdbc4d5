"""What a contact would be matched with once it is written: still this member, or no action at all.

Without this look ahead a write could itself make the next night's contradiction. A contact may carry the phone of
somebody who has the same name as its member; as long as the contact's own name is an old one, the phone ties nobody.
And a contact that its own rules cannot recognise would be created again every night.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.drafts import Draft
from reconciler.core.match import Matcher, evidence
from reconciler.core.world import Ruling, World, ruling


def contradiction(world: World, drafts: Iterable[Draft], matcher: Matcher) -> Ruling | None:
    """The ruling against the first action that would leave a contact that is not clearly its member; None for none."""
    for draft in drafts:
        if draft.do in {"archive", "merge"}:
            continue
        match = matcher.match(draft.written())
        if match.number == draft.member:
            continue
        why = match.why or f"{', '.join(draft.set)} would tie it to nobody"
        return ruling(
            "conflicting-identity",
            "review",
            f"is left as it is, for once it is written: {why}",
            contact=draft.contact.id if draft.contact is not None else None,
            member=draft.member,
            evidence=evidence(match, world.people, world.source.name),
        )
    return None
