"""Files that match no table or cannot be read: reported once, so that none disappears silently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vision_flan.raw.members import is_junk
from vision_flan.raw.names import IMAGE_SUFFIXES, escaped
from vision_flan.raw.patterns import Pattern

_SHOWN = 3


class UnreadFiles:
    """Collects files that a listing cannot read; see `walk.Watch`."""

    def __init__(self, unread: dict[str, str]) -> None:
        self._unread = unread

    def unread(self, path: str, why: str) -> None:
        """A file that the pattern matches but that cannot be read."""
        self._unread[path] = why

    def beside(self, paths: list[str]) -> None:
        """Files beside matched ones, which only `Leftovers` collects."""


class Leftovers(UnreadFiles):
    """Collects what listings skip: unreadable files, and images that match no table.

    Args:
        patterns: paths of all tables of the dataset; a file that matches one of them is not a leftover.

    Attributes:
        unread_only: collects unreadable files into the same report, for tables that do not list images.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        super().__init__({})
        self.unread_only = UnreadFiles(self._unread)
        self._patterns = [Pattern(text) for text in patterns]
        self._beside: set[str] = set()

    def beside(self, paths: list[str]) -> None:
        """Files in a folder where others matched; images that match no table are kept."""
        for path in paths:
            is_image = path.lower().endswith(IMAGE_SUFFIXES) and not is_junk(path)
            if is_image and not any(pattern.match(path) for pattern in self._patterns):
                self._beside.add(path)

    def lines(self) -> Iterator[str]:
        """What a user should know, one sentence per kind."""
        if self._beside:
            many = len(self._beside) > 1
            yield (
                f"{len(self._beside):,} image{'s' if many else ''} beside the matched ones "
                f"match{'' if many else 'es'} no table: {_some(self._beside)}"
            )
        if self._unread:
            many = len(self._unread) > 1
            yield (
                f"{len(self._unread):,} file{'s' if many else ''} cannot be read "
                f"({self._unread[min(self._unread)]}): {_some(self._unread)}"
            )


def _some(paths: Iterable[str]) -> str:
    names = sorted(paths)
    return ", ".join(escaped(name) for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
