"""Files that a table passes over and nobody else takes: said once, so that none vanishes without a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vision_flan.raw.members import is_junk
from vision_flan.raw.names import IMAGE_SUFFIXES, escaped
from vision_flan.raw.patterns import Pattern

_SHOWN = 3


class Leftovers:
    """Hears of what listings pass over, see `walk.Watch`.

    Args:
        patterns: paths of all tables of the dataset; a file that one of them matches is none of these.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [Pattern(text) for text in patterns]
        self._beside: set[str] = set()
        self._unread: dict[str, str] = {}

    def unread(self, path: str, why: str) -> None:
        """A file that the pattern asks for and that cannot be read."""
        self._unread[path] = why

    def beside(self, paths: list[str]) -> None:
        """Files in a folder where others matched; images that no table takes are kept."""
        for path in paths:
            is_image = path.lower().endswith(IMAGE_SUFFIXES) and not is_junk(path)
            if is_image and not any(pattern.match(path) for pattern in self._patterns):
                self._beside.add(path)

    def lines(self) -> Iterator[str]:
        """What a user should know, a sentence for each kind."""
        if self._beside:
            count = f"{len(self._beside):,}"
            yield f"{count} images beside the matched ones match no table: {_some(self._beside)}"
        if self._unread:
            first = min(self._unread)
            yield f"{len(self._unread):,} files cannot be read, the first is {self._unread[first]}: " + _some(
                self._unread
            )


def _some(paths: Iterable[str]) -> str:
    names = sorted(paths)
    return ", ".join(escaped(name) for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
