"""File names: Unicode normalization, suffixes in either case, and names that are not text.

macOS writes names decomposed (NFD: e + combining accent), annotations hold them composed (NFC). The name
as given is always tried first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import normalize

SUFFIX = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]{1,8}$", re.IGNORECASE)

#: Suffixes of image files, for reports about files that match no table.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip


def composed(name: str) -> str:
    """The name in NFC; ASCII names, which most are, pass unchanged."""
    return name if name.isascii() else normalize("NFC", name)


def same_name(name: str) -> str:
    """A form shared by names that differ only in normalization or in the case of their suffix."""
    name = composed(name)
    found = SUFFIX.search(name)
    return name[: found.start()] + found[0].lower() if found else name


def other_spellings(path: str) -> Iterator[str]:
    """Spellings to try when a path is not found: the other normalization, the suffix in the other case."""
    given = {path: None}
    if not path.isascii():
        given |= {normalize("NFC", path): None, normalize("NFD", path): None}
    for spelling in list(given):
        found = SUFFIX.search(spelling)
        if found:
            stem = spelling[: found.start()]
            given |= {stem + found[0].lower(): None, stem + found[0].upper(): None}
    del given[path]
    yield from given


def is_odd(name: str) -> bool:
    """Whether a name is neither composed nor decomposed, so that `other_spellings` never gives it.

    Such are names with a letter that both forms replace, as U+212B (the unit) by U+00C5 (the letter), and
    paths of names in different forms.
    """
    return not name.isascii() and name not in (normalize("NFC", name), normalize("NFD", name))


def is_text(name: str) -> bool:
    """Whether a name is valid UTF-8; the disk or an archive may hold names in other bytes."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(name: str) -> str:
    """A name for a message, with `\\xNN` for bytes that are not text."""
    raw = name.encode("utf-8", "surrogateescape") if _only_bytes(name) else name.encode("utf-8", "replace")
    return raw.decode("utf-8", "backslashreplace")


def _only_bytes(name: str) -> bool:
    return not any(0xD800 <= ord(char) < 0xDC80 or 0xDCFF < ord(char) < 0xE000 for char in name)
