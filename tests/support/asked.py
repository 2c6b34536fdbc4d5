"""A source that is rows, and can be asked for some of them."""

from __future__ import annotations

from reconciler.core.model import SourceData
from reconciler.core.whom import Whom


class Asked:
    """A source of rows that can be asked for some, and remembers how many it handed over."""

    def __init__(self, data: SourceData) -> None:
        self.data = data
        self.handed_over = 0

    @property
    def name(self) -> str:
        """As it stands in evidence."""
        return self.data.name

    def find(self, whom: Whom) -> SourceData:
        """Whoever is meant, with all their rows."""
        asked = whom.cleaned()
        numbers = {one.number for one in self.data.members if asked.is_meant(one)}
        members = tuple(one for one in self.data.members if one.number in numbers)
        self.handed_over += len(members)
        return SourceData(self.name, members, tuple(one for one in self.data.positions if one.member_number in numbers))

    def members_by_email(self, email: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(emails=(email,)))

    def members_by_number(self, number: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(numbers=(number,)))
