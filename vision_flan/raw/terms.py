"""How much a download may write where its spec does not say the size."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from vision_flan.errors import BadRawError, Location, MachineError
from vision_flan.limits import COMPILING
from vision_flan.raw.web import Manners

#: Bytes that a download of unknown size leaves free on the disk.
KEPT_FREE: Final = 1 << 30
#: Bytes between two looks at the disk.
_LOOK: Final = 1 << 26


class Quota:
    """Bytes that the files of a run may have together, of those whose size no spec says."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._left = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether so many bytes more are within it."""
        with self._lock:
            if self._left is None:
                return True
            self._left -= size
            return self._left >= 0


@dataclass(frozen=True)
class Terms:
    """On what terms a run downloads.

    Attributes:
        largest: bytes of one file whose size no spec says; 0 for no bound.
        quota: for all those files of the run together.
    """

    manners: Manners
    largest: int = COMPILING.file
    quota: Quota = field(default_factory=lambda: Quota(None))

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ, *, private_hosts: bool = False) -> Terms:
        """As the environment says.

        Args:
            private_hosts: allow them, whatever the environment says.

        Raises:
            MachineError: a limit that is none.
        """
        manners = Manners.of(environment)
        if private_hosts:
            manners = replace(manners, private_hosts=True)
        return cls(manners, COMPILING.changed_by(environment).file)

    def refuse_size(self, size: int) -> str:
        """Why a file that is said to have so many bytes does not come; empty if it may."""
        if self.largest and size > self.largest:
            return f"it has {size:,} bytes, more than the {self.largest:,} of a file whose size no spec says"
        return ""


class Unsized:
    """Watches a file of a size that no spec says while it comes.

    Args:
        name: the file, for messages.
        path: where it is written.
    """

    def __init__(self, terms: Terms, name: str, path: Path) -> None:
        self._terms, self._name, self._path = terms, name, path
        self._looked = 0

    def announced(self, start: int, total: int | None) -> None:
        """The server says how many bytes the file has, of which `start` are there.

        Raises:
            BadRawError: it is more than a file may have.
            MachineError: it does not fit on the disk.
        """
        if total is None:
            return
        wrong = self._terms.refuse_size(total)
        if wrong:
            raise BadRawError(f"{self._name}: {wrong}", where=Location(self._path), hint=_TOO_LARGE)
        free = shutil.disk_usage(self._path.parent).free
        if total - start > free:
            raise MachineError(
                f"{self._name}: {total - start:,} bytes are still to come, {free:,} are free",
                where=Location(self._path),
                hint="free some space, or give another --raw",
            )

    def comes(self, done: int, size: int) -> None:
        """So many bytes more came, `done` with them.

        Raises:
            BadRawError: that is more than the run or a file may have.
            MachineError: the disk is nearly full.
        """
        if not self._terms.quota.take(size):
            most = self._terms.quota.most or 0
            what = f"files of unknown size have more than the {most:,} bytes that --max-size leaves them"
            raise BadRawError(
                f"{self._name}: {what}",
                where=Location(self._path),
                hint="raise --max-size if the file is right",
            )
        wrong = self._terms.refuse_size(done)
        if wrong:
            raise BadRawError(f"{self._name}: {wrong}", where=Location(self._path), hint=_TOO_LARGE)
        if done - self._looked >= _LOOK:
            self._looked = done
            if shutil.disk_usage(self._path.parent).free < KEPT_FREE:
                raise MachineError(
                    f"{self._name}: the disk is nearly full after {done:,} bytes of a file of unknown size",
                    where=Location(self._path),
                    hint="free some space, or leave it out with --file; what came so far is kept",
                )


_TOO_LARGE: Final = (
    "state `bytes` in dataset.yaml, or raise VFLAN_LIMIT_FILE, if the file is right (docs/security.md)"
)
