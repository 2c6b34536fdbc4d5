"""A value that is not shown."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """A value that shows itself to nobody but the caller of `reveal`.

    Text forms are `***`; it can be neither pickled nor encoded by msgspec or json.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself: for the one call that needs it, never for a log, an error or a file."""
        return self.__value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self.__value.encode(errors="surrogateescape"), other.__value.encode(errors="surrogateescape")
        )

    def __hash__(self) -> int:
        return hash(self.__value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can be neither pickled nor copied")
