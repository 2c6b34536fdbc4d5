"""A bucket of S3 as a place for objects, and which place an address means (design §4.10).

That a put is refused where something is already is tried once before anything is stored (`check`): some servers that
speak S3 pass over `If-None-Match` and overwrite (failure mode A17).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from obstore.store import ObjectStore, S3Store

from reconciler.errors import SettingsError
from reconciler.runs.objects import Folder, Objects

if TYPE_CHECKING:
    from obstore.store import S3Config

PROBE = "chain/probe"
"""What `check` puts twice. It stays there."""

_ATTEMPTS = 3
"""How often S3 is asked to store an object before what it answers is an error."""

_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
)
"""The variables that say where a bucket is and who may use it; others of the same beginning are of other tools."""


_OURS = {"AWS_CONDITIONAL_PUT": "etag", "AWS_DISABLE_BULK_DELETE": "true"}
"""What the environment may not change: nothing is put otherwise; and deleting many at once not every store can."""


class Bucket(Objects):
    """A prefix in a bucket of Amazon S3, or of a store that speaks its language."""

    attempts = _ATTEMPTS

    def __init__(self, location: str, aws: Mapping[str, str]) -> None:
        super().__init__(location.rstrip("/"))
        parts = urlsplit(location)
        variables = {name: aws[name] for name in _AWS if name in aws}
        endpoint = variables.get("AWS_ENDPOINT_URL_S3", variables.get("AWS_ENDPOINT_URL", ""))
        self._bucket = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=cast("S3Config", {**variables, **_OURS}),  # obstore takes the names of the environment as well
            client_options={
                "allow_http": _may_be_plain(endpoint),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        )

    def path_of(self, name: str) -> str:
        """An s3:// address."""
        return f"{self.location}/{name}" if name else self.location

    def _store(self) -> ObjectStore:
        return self._bucket

    def check(self) -> None:
        """Two puts of one name: the second must be refused."""
        if self.create(PROBE, b"first\n") and self.create(PROBE, b"second\n"):
            raise SettingsError(
                f"RECONCILER_PLANS: {self.location} overwrites objects that are there already (it passes over "
                "If-None-Match), so that no record would be safe in it",
                next_step="Name a folder, or a bucket of a store that has conditional writes, as Amazon S3 does.",
            )

    def check_open(self) -> None:
        """Only a write would tell."""

    def remove_unfinished(self) -> None:
        """A put to S3 is there as a whole, or not at all."""

    def _make_room(self, name: str) -> None:
        """S3 has no folders."""

    def _settle(self, name: str) -> None:
        """S3 answers when it has settled."""

    def _attributes(self, name: str) -> dict[str, str] | None:
        """A page opens in a browser, also from the bucket itself."""
        return {"Content-Type": "text/html; charset=utf-8"} if name.endswith(".html") else None

    def _trouble_step(self) -> str:
        return (
            "Check RECONCILER_PLANS, AWS_ENDPOINT_URL, AWS_REGION and the AWS_* credentials: they need to list, read, "
            "put and delete in this bucket."
        )


def open_objects(location: str, aws: Mapping[str, str]) -> Objects:
    """The place that RECONCILER_PLANS names. Nothing is connected yet."""
    scheme, found, _ = location.partition("://")
    if not found:
        return Folder(location)
    if scheme != "s3":
        raise SettingsError(
            f"RECONCILER_PLANS: cannot store plans at a {scheme} address",
            next_step="Name a folder, e.g. RECONCILER_PLANS=plans/, or s3://BUCKET/PREFIX.",
        )
    return Bucket(location, aws)


def _may_be_plain(endpoint: str) -> bool:
    """Whether HTTP without TLS is allowed: to this machine only, since plans hold personal data."""
    return urlsplit(endpoint).hostname in {"localhost", "127.0.0.1", "::1"}
