"""The desired side: members and positions, each with the row it came from.

A new source is one module here that offers `Source`, and one entry in `from_settings.open_source`.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.core.model import Progress, SourceData
from reconciler.core.whom import Whom


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


class LookUp(Protocol):
    """A source that can be asked for some members, as fast as an agent waits for it.

    An implementation **must** return every row that shares a number with a member it returns, so that a number held
    twice shows, and its members' positions. It **may** read more rows than it returns, and **must** decide in Python
    which ones are meant (`Whom.is_meant`). Rows without a number are nobody's and are left out.
    """

    @property
    def name(self) -> str:
        """As Source.name."""
        ...

    def find(self, whom: Whom) -> SourceData:
        """The members who are meant, with all their rows and positions; no rows where there is nobody.

        Raises SourceUnreachable or SourceShapeError.
        """
        ...

    def members_by_email(self, email: str) -> SourceData:
        """`find` for those who have this e-mail, in whatever spelling: several where it is shared."""
        ...

    def members_by_number(self, number: str) -> SourceData:
        """`find` for the rows with this member number: several where it is held twice."""
        ...
