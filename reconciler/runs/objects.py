"""Places for objects: a folder, or a bucket of S3 (design §4.10). Bytes under names, put only where nothing is yet.

Everything goes through obstore (https://developmentseed.org/obstore), whose `mode="create"` is put-if-absent in both:
a hard link in a folder, `If-None-Match: *` on S3. What a store promises there is tried once (`check`), since some
servers that speak S3 pass over the header and overwrite (failure mode A17).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from reconciler.errors import PlanUnreadable, ReconcilerError, SettingsError

if TYPE_CHECKING:
    from obstore.store import S3Config

MOST_BYTES = 256 * 1024 * 1024
"""No object may be larger, to be read: ten times the plan that changes each of 20,000 contacts."""

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


class Objects(ABC):
    """A place for objects. A name may have one folder in front: `chain/00000042.json`.

    Every method raises ReconcilerError, naming the path, where the place cannot be read or written.
    """

    attempts = 1

    def __init__(self, location: str) -> None:
        self.location = location

    @abstractmethod
    def path_of(self, name: str) -> str:
        """Where an object is, for people."""

    @abstractmethod
    def _store(self) -> ObjectStore: ...

    @abstractmethod
    def _trouble_step(self) -> str:
        """What a person does where it cannot be read or written."""

    def _is_there(self) -> bool:
        """Whether the place itself exists."""
        return True

    @abstractmethod
    def _make_room(self, name: str) -> None:
        """Whatever must be there before this object can be put."""

    @abstractmethod
    def _settle(self, name: str) -> None:
        """Make what was put survive the loss of power."""

    def names(self, folder: str = "") -> list[str]:
        """The names of all objects of one folder, without its own name and without what is deeper."""
        with self._trouble("read", folder):
            if not self._is_there():
                return []
            found = obstore.list_with_delimiter(self._store(), folder or None)["objects"]
        return [entry["path"].rpartition("/")[2] for entry in found]

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        with self._trouble("read", name):
            if not self._is_there():
                return False
            try:
                obstore.head(self._store(), name)
            except FileNotFoundError:
                return False
        return True

    def get(self, name: str) -> bytes:
        """An object that must be there. Raises PlanUnreadable where it is larger than any record can be."""
        with self._trouble("read", name):
            return self._read(name)

    def find(self, name: str) -> bytes | None:
        """An object; None where there is none."""
        with self._trouble("read", name), suppress(FileNotFoundError):
            return self._read(name) if self._is_there() else None
        return None

    def create(self, name: str, data: bytes) -> bool:
        """Put-if-absent. True where these very bytes stand there now, whoever put them; False where others do.

        So a put whose answer was lost is a success when it is found there (failure mode A16).
        """
        with self._trouble("write", name):
            self._make_room(name)
            for left in reversed(range(self.attempts)):
                try:
                    # In one piece: an upload in parts cannot be conditional.
                    obstore.put(self._store(), name, data, mode="create", use_multipart=False)
                except AlreadyExistsError:
                    return self.get(name) == data
                except BaseError:
                    if not left:
                        raise
                else:
                    break
            self._settle(name)
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Put an object in the place of the one that is there."""
        with self._trouble("write", name):
            obstore.put(self._store(), name, data, mode="overwrite", use_multipart=False)
            self._settle(name)

    def remove(self, name: str) -> None:
        """Remove an object. It need not be there."""
        with self._trouble("write", name), suppress(FileNotFoundError):
            obstore.delete(self._store(), name)

    @abstractmethod
    def check(self) -> None:
        """Raises SettingsError where the place overwrites what it was told to put only if absent (failure mode A17)."""

    def _read(self, name: str) -> bytes:
        found = obstore.get(self._store(), name)
        if found.meta["size"] > MOST_BYTES:
            raise too_large(self.path_of(name))
        return bytes(found.bytes())

    @contextmanager
    def _trouble(self, doing: str, name: str) -> Iterator[None]:
        """Turns what obstore and the system say into an error of ours that names the path."""
        with trouble(doing, self.path_of(name), next_step=self._trouble_step()):
            yield


class Folder(Objects):
    """A folder of this machine, made on first use and open to its owner alone, because plans hold personal data."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = Path(path)

    def path_of(self, name: str) -> str:
        """A path as the person named it."""
        return str(self._path / name)

    def _store(self) -> ObjectStore:
        return LocalStore(self._path)

    def _trouble_step(self) -> str:
        return "Check that the folder RECONCILER_PLANS names exists, belongs to this user and has room left."

    def _is_there(self) -> bool:
        with self._trouble("read", ""):
            if not self._path.exists():
                return False
            if not self._path.is_dir():
                raise NotADirectoryError("it is not a folder")
        return True

    def check(self) -> None:
        """A hard link never replaces what is there."""

    def _make_room(self, name: str) -> None:
        with self._trouble("write", ""):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._path / name).parent.mkdir(mode=0o700, exist_ok=True)

    def _settle(self, name: str) -> None:
        # obstore writes a file beside it and links that into place, but leaves flushing to the kernel.
        path = self._path / name
        _flush(path)
        _flush(path.parent)


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

    def _make_room(self, name: str) -> None:
        """S3 has no folders."""

    def _settle(self, name: str) -> None:
        """S3 answers when it has settled."""

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


@contextmanager
def trouble(doing: str, path: str, *, next_step: str) -> Iterator[None]:
    """Turns what obstore and the system say into an error of ours that names the path."""
    try:
        yield
    except (BaseError, OSError) as error:
        # obstore adds the Rust source of the error below the first line, and S3 its answer in XML.
        said = str(error).partition("\n")[0].partition("<")[0].rstrip(" :")
        raise ReconcilerError(f"cannot {doing} {path}: {said}", next_step=next_step) from error


def too_large(path: str) -> PlanUnreadable:
    """The refusal of an object that is larger than any record can be."""
    return PlanUnreadable(
        f"{path} is larger than {MOST_BYTES // 2**20} MiB, so that it is none of ours",
        next_step="Look who put it there, and move it out of the place of the plans.",
    )


def _may_be_plain(endpoint: str) -> bool:
    """Whether HTTP without TLS is allowed: to this machine only, since plans hold personal data."""
    return urlsplit(endpoint).hostname in {"localhost", "127.0.0.1", "::1"}


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
