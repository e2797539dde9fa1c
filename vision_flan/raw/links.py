"""Whether a link gives a file or a page for a person, and whether it can be requested at all."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final
from unicodedata import category
from urllib.parse import parse_qs, urlsplit

#: Hosts that show a page, a form or a warning before a file.
PAGE_HOSTS: Final = (
    "drive.google.com",
    "docs.google.com",
    "sites.google.com",
    "kaggle.com",
    "pan.baidu.com",
    "1drv.ms",
    "onedrive.live.com",
    "mega.nz",
)
#: Addresses that give a file without its name at their end.
FILE_ENDPOINTS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"https://osf\.io/download/\w+/?",
        r"https://files\.osf\.io/v1/resources/\w+/providers/osfstorage/\w*/?(\?zip=)?",
        r"https://ndownloader\.figshare\.com/files/\d+",
        r"https://figshare\.com/ndownloader/files/\d+",
        r"https://zenodo\.org/api/records/\d+/files/[^/]+/content",
        r"https://dataverse\.harvard\.edu/api/access/datafile/\d+",
    )
)
_SAME_SUFFIX: Final = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".txz": ".tar.xz", ".jpeg": ".jpg"}
_NOT_IN_URLS = re.compile(r"[^!-~]")
#: Categories of characters that control a terminal, turn text around, or are not seen.
_NOT_SEEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
#: Bytes that a name may have on the common file systems, less `.part.etag`.
_NAME_BYTES: Final = 255 - len(".part.etag")
_PATH_BYTES: Final = 1024


def page_instead_of_file(url: str, path: str) -> str:
    """Why a link cannot be downloaded as the file `path`; empty when it looks like that file.

    Args:
        url: the link.
        path: the file's name in the raw folder; one with `*` stands for several files.
    """
    if "*" in path:
        return "one link for several files"
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    if host in PAGE_HOSTS:
        return f"{host} shows a page, not the file"
    if host == "dropbox.com" and parse_qs(parts.query).get("dl") != ["1"]:
        return "dropbox.com shows a page without ?dl=1"
    if any(pattern.fullmatch(url) for pattern in FILE_ENDPOINTS):
        return ""
    given, wanted = _suffix(parts.path), _suffix(path)
    if given == wanted and given:
        return ""
    return f"the link ends in {given}, the file in {wanted}" if given and wanted else "the link names no file"


def wrong_url(url: str) -> str:
    """Why a link cannot be asked for; empty when it can."""
    bad = _NOT_IN_URLS.search(url)
    if bad:
        coded = "".join(f"%{byte:02X}" for byte in bad.group().encode("utf-8", "surrogatepass"))
        return f"the URL holds {bad.group()!r}; write {coded}"
    try:
        parts = urlsplit(url)
        _ = parts.port  # is checked only when it is read
    except ValueError as error:
        return f"{url!r} is no URL: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{url!r} is no http or https URL with a host"
    if parts.username is not None or parts.password is not None:
        return f"{url!r} holds a user or password, which can pass for the host"
    return ""


def wrong_path(path: str) -> str:
    """Why a file cannot lie at a path below the raw folder; empty when it can."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        return f"{path!r} leaves the raw folder"
    if not pure.parts or any(category(character) in _NOT_SEEN for character in path):
        return f"{path!r} is no file name"
    sizes = [len(part.encode("utf-8", "surrogatepass")) for part in pure.parts]
    if max(sizes) > _NAME_BYTES or sum(sizes) > _PATH_BYTES:
        return f"{path[:40]!r}... is too long a name: at most {_NAME_BYTES} bytes a part"
    return ""


def _suffix(path: str) -> str:
    name = PurePosixPath(path).name.lower()
    match = re.search(r"(\.tar)?\.[a-z][a-z0-9]*\Z|\.7z\Z", name)
    found = match.group() if match else ""
    return _SAME_SUFFIX.get(found, found)
