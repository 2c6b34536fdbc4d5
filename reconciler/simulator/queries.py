"""Searching the world: which fields there are, in which order results come, and a page of them.

Fields: the tables of SearchContacts and searchConversations in the description, misspellings included. Paging is by
the value sorted on and the id, never by position, so that rows created or archived meanwhile move nobody else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar

from reconciler.simulator import conversations, errors
from reconciler.simulator.people import email_key
from reconciler.simulator.records import Contact, Conversation
from reconciler.simulator.search import Field, Kind, parse
from reconciler.simulator.wire import email_domain, encode, page_bytes, read_cursor, write_cursor
from reconciler.simulator.world import World

T = TypeVar("T", Contact, Conversation)
Key = tuple[int, float, str, str]
MAX_PER_PAGE = 150
REMEMBERED = 8
"""Sorted results kept until the world changes, so that paging does not search again."""


def _one(get: Callable[[T], object]) -> Callable[[T], tuple[object, ...]]:
    def values(thing: T) -> tuple[object, ...]:
        value = get(thing)
        return () if value is None else (value,)

    return values


def _plain(kind: Kind, *names: str) -> dict[str, Field[Any]]:
    return {name: Field(kind, _one(attrgetter(name))) for name in names}


def _device(kind: Kind, *names: str) -> dict[str, Field[Contact]]:
    return {name: Field(kind, _one(lambda one, name=name: one.device.get(name))) for name in names}  # type: ignore[misc]


CONTACT_FIELDS: Mapping[str, Field[Contact]] = {
    **_plain("string", "id", "role", "name", "avatar", "owner_id", "phone", "external_id", "language_override"),
    **_plain("string", "location.country", "location.region", "location.city"),
    **_plain("email", "email"),
    **_plain("boolean", "unsubscribed_from_emails", "marked_email_as_spam", "has_hard_bounced"),
    **_plain("day", "created_at", "signed_up_at", "updated_at", "last_seen_at", "last_contacted_at", "last_replied_at"),
    **_plain("day", "last_email_opened_at", "last_email_clicked_at"),
    **_device("string", "browser", "browser_version", "browser_language", "os", "ios_app_version", "ios_device"),
    **_device("string", "ios_app_device", "ios_os_version", "ios_app_name", "ios_sdk_version", "android_app_version"),
    **_device("string", "android_device", "android_app_name", "android_os_version", "android_sdk_version"),
    **_device("day", "ios_last_seen_at", "android_last_seen_at"),
    "andoid_sdk_version": Field("string", _one(lambda one: one.device.get("android_sdk_version"))),
    "formatted_phone": Field("string", _one(lambda one: one.phone)),
    "email_domain": Field("email", _one(lambda one: email_domain(one.email))),
    "segment_id": Field("string", lambda _: ()),
    "tag_id": Field("tag", lambda one: tuple(tagging.id for tagging in one.tags)),
}

_ATTRIBUTE_KINDS: Mapping[str, Kind] = {
    "string": "string",
    "integer": "integer",
    "float": "float",
    "boolean": "boolean",
    "date": "day",
}

CONVERSATION_FIELDS: Mapping[str, Field[Conversation]] = {
    **_plain("string", "id", "state", "priority", "title"),
    **_plain("boolean", "open", "read"),
    **_plain("integer", "admin_assignee_id", "team_assignee_id"),
    **_plain("second", "created_at", "updated_at"),
    "contact_ids": Field("string", lambda one: one.contacts),
    "tag_ids": Field("string", lambda one: tuple(tagging.id for tagging in one.tags)),
    "source.type": Field("string", _one(lambda one: one.source.get("type"))),
    "source.body": Field("string", _one(lambda one: one.source.get("body"))),
}


class Results(Generic[T]):
    """Everything a query found, sorted upwards, and how to cut a page from it."""

    def __init__(self, found: Iterable[T], field: Field[T]) -> None:
        rows = sorted(((_key(field, one), one) for one in found), key=lambda row: row[0])
        self._keys = [key for key, _ in rows]
        self._rows: list[T] = [one for _, one in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def page(self, after: Key | None, *, size: int, descending: bool) -> tuple[list[T], Key | None]:
        """The `size` rows after a key, and the key to go on from if more follow."""
        if descending:
            end = len(self._rows) if after is None else bisect_left(self._keys, after)
            start = max(0, end - size)
            more = self._keys[start] if 0 < start < end else None
            return self._rows[start:end][::-1], more
        start = 0 if after is None else bisect_right(self._keys, after)
        end = start + size
        more = self._keys[end - 1] if end < len(self._rows) else None
        return self._rows[start:end], more


def _key(field: Field[T], thing: T) -> Key:
    """A total order over any values: missing, then numbers, then text; ties by id."""
    values = field.values(thing)
    value = values[0] if values else None
    if value is None:
        return (0, 0.0, "", thing.id)
    if isinstance(value, (int, float)):
        return (1, float(value), "", thing.id)
    return (2, 0.0, str(value), thing.id)


class Searcher:
    """Answers both search endpoints for one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._remembered: dict[tuple[int, str], Results[Any]] = {}

    def contacts(self, body: dict[str, object]) -> bytes:
        """SearchContacts: 50 a page unless told otherwise."""
        if "query" not in body:
            raise errors.missing("query")
        return self._page(body, "contacts", self._contact_field, self._candidates, self._world.people.body, default=50)

    def conversations(self, body: dict[str, object]) -> bytes:
        """searchConversations: 20 a page unless told otherwise."""
        if "query" not in body:
            raise errors.missing("query")

        def encoded(one: Conversation) -> bytes:
            return encode(conversations.body(self._world, one))

        return self._page(body, "conversations", self._conversation_field, self._conversations, encoded, default=20)

    def _page(
        self,
        body: dict[str, object],
        what: str,
        field: Callable[[str], Field[T] | None],
        candidates: Callable[[tuple[tuple[str, str], ...]], Iterable[T]],
        encoded: Callable[[T], bytes],
        *,
        default: int,
    ) -> bytes:
        size, cursor = _pagination(body.get("pagination"), default)
        sort_name, descending = _sort(body.get("sort"))
        sort_field = field(sort_name)
        if sort_field is None or sort_field.kind == "tag":
            raise errors.invalid(f"'{sort_name}' is not a sortable field")
        page, after = 1, None
        if cursor is not None:
            number, *key = read_cursor(what, cursor, int, int, (int, float), str, str)
            page, after = max(1, _as(int, number)), _as_key(key)
        results = self._results(what, body["query"], (sort_name, sort_field), field, candidates)
        rows, following = results.page(after, size=size, descending=descending)
        return page_bytes(
            map(encoded, rows),
            total=len(results),
            page=page,
            size=size,
            cursor=None if following is None else write_cursor(what, page + 1, *following),
            kind="list" if what == "contacts" else "conversation.list",
            key="data" if what == "contacts" else "conversations",
        )

    def _results(
        self,
        what: str,
        query: object,
        sort: tuple[str, Field[T]],
        field: Callable[[str], Field[T] | None],
        candidates: Callable[[tuple[tuple[str, str], ...]], Iterable[T]],
    ) -> Results[T]:
        settled = what == "conversations" or self._world.people.settled(self._world.clock())
        remembered_as = (self._world.version, repr((what, query, sort[0])))
        if settled and remembered_as in self._remembered:
            return self._remembered[remembered_as]
        parsed = parse(query, field, self._world.zone)
        results = Results((one for one in candidates(parsed.exact) if parsed.matches(one)), sort[1])
        if settled:
            if len(self._remembered) >= REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[remembered_as] = results
        return results

    def _candidates(self, exact: tuple[tuple[str, str], ...]) -> Iterable[Contact]:
        """The contacts a query can match: a few when it names an identifier, otherwise all that search sees."""
        people, at = self._world.people, self._world.clock()
        for name, value in exact:
            if name == "id":
                return people.seen_among(people.birth_of(value), at)
            if name == "external_id":
                return people.seen_among(people.by_external_id.get(value), at)
            if name == "email":
                return people.seen_among(people.by_email.get(email_key(value) or ""), at)
        return people.seen(at)

    def _conversations(self, exact: tuple[tuple[str, str], ...]) -> Iterable[Conversation]:
        known = self._world.conversations
        for name, value in exact:
            if name == "contact_ids":
                mine = self._world.conversations_of.get(value, ())
                return (known[one] for one in mine if not known[one].archived)
        return (one for one in known.values() if not one.archived)

    def _contact_field(self, name: str) -> Field[Contact] | None:
        prefix, dot, attribute_name = name.partition(".")
        if prefix != "custom_attributes" or not dot:
            return CONTACT_FIELDS.get(name)
        attribute = self._world.attributes_by_name.get(attribute_name)
        if attribute is None:
            return None
        kind = _ATTRIBUTE_KINDS[attribute.data_type]
        return Field(kind, _one(lambda one: one.custom_attributes.get(attribute_name)))

    def _conversation_field(self, name: str) -> Field[Conversation] | None:
        prefix, dot, attribute_name = name.partition(".")
        if prefix != "custom_attributes" or not dot:
            return CONVERSATION_FIELDS.get(name)
        if attribute_name not in self._world.conversation_attributes:
            return None
        return Field("string", _one(lambda one: one.custom_attributes.get(attribute_name)))


def _pagination(value: object, default: int) -> tuple[int, object]:
    """per_page and the cursor, from the body alone: in the URL they are ignored, and `page` has no effect anywhere."""
    if value is None:
        return default, None
    if not isinstance(value, dict):
        raise errors.invalid("pagination must be an object")
    return page_size(value.get("per_page"), default), value.get("starting_after")


def page_size(value: object, default: int) -> int:
    """A page size of 1 to 150, as a number or as the text of a URL."""
    if value is None:
        return default
    text = str(value)
    if isinstance(value, (bool, float)) or not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= MAX_PER_PAGE:
        raise errors.invalid(f"per_page must be between 1 and {MAX_PER_PAGE}")
    return int(text)


def _sort(value: object) -> tuple[str, bool]:
    """The field to sort on and whether downwards; by default created_at (decided here), descending (2.16)."""
    if value is None:
        return "created_at", True
    if not isinstance(value, dict):
        raise errors.invalid("sort must be an object with field and order")
    name, order = value.get("field", "created_at"), value.get("order", "descending")
    if order not in ("ascending", "descending"):
        raise errors.invalid_sort_order(order)
    if not isinstance(name, str):
        raise errors.invalid("sort.field must be a string")
    return name, order == "descending"


def _as(kind: type[int], value: object) -> int:
    if not isinstance(value, kind):
        raise errors.bad_cursor()
    return value


def _as_key(parts: list[object]) -> Key:
    rank, number, text, thing_id = parts
    if not (
        isinstance(rank, int)
        and isinstance(number, (int, float))
        and isinstance(text, str)
        and isinstance(thing_id, str)
    ):
        raise errors.bad_cursor()
    return rank, float(number), text, thing_id
