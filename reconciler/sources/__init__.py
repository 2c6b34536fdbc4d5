"""The desired side: members and positions, each with the row it came from.

A new source is one module here that offers `Source`, and one entry in `controller.open_source`.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.core.model import Progress, SourceData


class Source(Protocol):
    """One place where members and positions are kept.

    An implementation **must** read everything in one consistent view (one transaction, or pages checked against a
    count), clean each text by `core.text.clean`, and raise `SourceError` rather than return part of the rows.
    It **may** report progress. It **must not** join, compare or deduplicate identity in SQL, where collations
    disagree on what is equal (design §4.1), and must not write.
    """

    @property
    def name(self) -> str:
        """The word that stands in evidence: `sqlite`, `mysql`, `supabase`."""
        ...

    def read(self, progress: Progress) -> SourceData:
        """All members and positions. Raises SourceUnreachable or SourceShapeError."""
        ...
