"""Places for objects (design §4.10): bytes under names, put only where nothing is yet. Here: a folder.

Everything goes through obstore (https://developmentseed.org/obstore), whose `mode="create"` is put-if-absent: a hard
link in a folder, `If-None-Match: *` on S3 (runs/bucket.py).
"""

from __future__ import annotations

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore

from reconciler.errors import PlanUnreadable, ReconcilerError

MOST_BYTES = 256 * 1024 * 1024
"""No object may be larger, to be read: ten times the plan that changes each of 20,000 contacts."""


_UNFINISHED = re.compile(r".+\.(?:json|html|part)#[0-9]+")
_LONGEST_PUT = 3600.0
"""Seconds after which nobody is writing any more."""


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

    def _attributes(self, name: str) -> dict[str, str] | None:
        """What is stored with an object besides its bytes: nothing, where the place has no room for it."""
        del name
        return None

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
            obstore.put(
                self._store(), name, data, mode="overwrite", use_multipart=False, attributes=self._attributes(name)
            )
            self._settle(name)

    def remove(self, name: str) -> None:
        """Remove an object. It need not be there."""
        with self._trouble("write", name), suppress(FileNotFoundError):
            obstore.delete(self._store(), name)

    @abstractmethod
    def remove_unfinished(self) -> None:
        """Remove what writers who died in the middle of a put have left of it."""

    @abstractmethod
    def check(self) -> None:
        """Raises SettingsError where the place overwrites what it was told to put only if absent (failure mode A17)."""

    @abstractmethod
    def check_open(self) -> None:
        """Raises ReconcilerError where it can be told, without writing, that nothing can be written here."""

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

    def __init__(self, path: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(path)
        self._path = Path(path)
        self._clock = clock

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

    def remove_unfinished(self) -> None:
        """A put of obstore's writes a file beside it first, `NAME#1`, and none of those is ever listed."""
        with self._trouble("write", ""):
            for path in sorted(self._path.rglob("*#*")) if self._path.is_dir() else ():
                with suppress(FileNotFoundError):  # its writer has come to the end meanwhile
                    if _UNFINISHED.fullmatch(path.name) and self._clock() - path.stat().st_mtime > _LONGEST_PUT:
                        path.unlink()

    def check(self) -> None:
        """A hard link never replaces what is there."""

    def check_open(self) -> None:
        """The folder, or where there is none yet the folder that it would be made in, must let this user write."""
        path = self._path.absolute()
        there = self._is_there()
        with self._trouble("write", ""):
            nearest = path if there else next(one for one in path.parents if one.exists())
            if not nearest.is_dir():
                raise NotADirectoryError(f"{nearest.name} is not a folder")
            if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(f"this user may not write to the folder {nearest.name or nearest}")

    def _make_room(self, name: str) -> None:
        with self._trouble("write", ""):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._path / name).parent.mkdir(mode=0o700, exist_ok=True)

    def _settle(self, name: str) -> None:
        # obstore writes a file beside it and links that into place, but leaves flushing to the kernel.
        path = self._path / name
        _flush(path)
        _flush(path.parent)


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


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
