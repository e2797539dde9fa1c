"""What a file really is, by its first bytes; and which of that a file name allows.

Data in two tables: `SIGNATURES` says how formats begin, `ALLOWED` what may stand under a suffix. Downloads,
archives and readers can all ask `looks_like(head)`, so that "not a zip file" becomes "an HTML page".
"""

from __future__ import annotations

import re
from typing import Final

#: Bytes from the start of a file that `looks_like` wants to see; fewer are fine where the file is shorter.
HEAD_BYTES: Final = 4096

EMPTY: Final = "an empty file"
HTML: Final = "an HTML page"
XML: Final = "an XML document"
XML_ERROR: Final = "an XML error message"
JSON: Final = "a JSON document"
JSON_ERROR: Final = "a JSON error message"
LFS: Final = "a Git LFS pointer"
ANNEX: Final = "a git-annex pointer"
TEXT: Final = "text"
BINARY: Final = "binary data of an unknown format"

#: (what it is, offset, bytes). The first that fits counts. Sources: each format's own specification.
SIGNATURES: Final[tuple[tuple[str, int, bytes], ...]] = (
    ("zip", 0, b"PK\x03\x04"),
    ("zip", 0, b"PK\x05\x06"),  # without members
    ("zip", 0, b"PK\x07\x08"),  # first of several parts
    ("gzip", 0, b"\x1f\x8b"),
    ("bzip2", 0, b"BZh"),
    ("xz", 0, b"\xfd7zXZ\x00"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("rar", 0, b"Rar!\x1a\x07"),
    ("tar", 257, b"ustar"),
    ("MATLAB 5", 0, b"MATLAB 5.0 MAT-file"),
    ("MATLAB 7.3", 0, b"MATLAB 7.3 MAT-file"),
    ("HDF5", 0, b"\x89HDF\r\n\x1a\n"),
    ("Parquet", 0, b"PAR1"),
    ("Arrow", 0, b"ARROW1"),
    ("numpy array", 0, b"\x93NUMPY"),
    ("LMDB", 16, b"\xde\xc0\xef\xbe"),
    ("SQLite", 0, b"SQLite format 3\x00"),
    ("PDF", 0, b"%PDF-"),
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF8"),
    ("WebP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("pickle", 0, b"\x80\x02"),
    ("pickle", 0, b"\x80\x03"),
    ("pickle", 0, b"\x80\x04"),
    ("pickle", 0, b"\x80\x05"),
    (LFS, 0, b"version https://git-lfs.github.com/spec/"),
    (ANNEX, 0, b"/annex/objects/"),
)

_IMAGES: Final = ("JPEG", "PNG", "GIF", "WebP", "TIFF", BINARY)
_WORDS: Final = (TEXT, JSON, XML, BINARY)  # text in UTF-16 or with stray bytes reads as binary data

#: Suffix -> what a file of that name may be. A suffix that is not here allows all but `NEVER`.
ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    ".zip": ("zip",),
    ".gz": ("gzip",),
    ".tgz": ("gzip",),
    ".bz2": ("bzip2",),
    ".tbz2": ("bzip2",),
    ".xz": ("xz",),
    ".txz": ("xz",),
    ".tar": ("tar",),
    ".7z": ("7z",),
    ".rar": ("rar",),
    ".mat": ("MATLAB 5", "MATLAB 7.3", "HDF5", BINARY),  # version 4 has no signature
    ".h5": ("HDF5",),
    ".hdf5": ("HDF5",),
    ".parquet": ("Parquet",),
    ".arrow": ("Arrow", BINARY),
    ".npy": ("numpy array",),
    ".npz": ("zip",),
    ".mdb": ("LMDB",),
    ".pdf": ("PDF",),
    ".jpg": _IMAGES,
    ".jpeg": _IMAGES,
    ".png": _IMAGES,
    ".gif": _IMAGES,
    ".json": (JSON,),
    ".jsonl": (JSON,),
    ".odgt": (JSON,),
    ".csv": (TEXT, BINARY),
    ".tsv": (TEXT, BINARY),
    ".txt": _WORDS,
    ".lst": _WORDS,
    ".xml": (XML, TEXT),
    ".html": (HTML, XML, TEXT),
    ".htm": (HTML, XML, TEXT),
}

#: What a server or a version control system leaves in place of a file.
NEVER: Final = (EMPTY, HTML, XML_ERROR, JSON_ERROR, LFS, ANNEX)

_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|script|meta)\b", re.IGNORECASE | re.DOTALL
)
#: `<Error><Code>AccessDenied</Code>`, as S3 and Google's and Azure's storage answer.
_XML_ERROR = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?<Error\b")
_XML = re.compile(rb"\s*(?:<\?xml\b|<!DOCTYPE\b|<[A-Za-z_][\w.-]*[\s/>])")
_JSON_ERROR = re.compile(rb'\s*\{\s*"(?:error|errors|error_description|message|detail)"\s*:')
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def looks_like(head: bytes) -> str:
    """What the first bytes of a file say that it is, in words for a message.

    Args:
        head: the first `HEAD_BYTES` bytes, or all of a shorter file.
    """
    if not head:
        return EMPTY
    for kind, offset, magic in SIGNATURES:
        if head.startswith(magic, offset):
            return kind
    if _is_tar_header(head[:512]):
        return "tar"
    text = head.removeprefix(b"\xef\xbb\xbf")
    for kind, pattern in ((HTML, _HTML), (XML_ERROR, _XML_ERROR), (XML, _XML), (JSON_ERROR, _JSON_ERROR)):
        if pattern.match(text):
            return kind
    if text.lstrip()[:1] in (b"{", b"["):
        return JSON
    return BINARY if _NOT_TEXT.search(text) else TEXT


def what_it_is_not(name: str, head: bytes) -> str:
    """Why a file cannot be what its name says: "an HTML page, not .zip"; empty when it can.

    Args:
        name: the file's name; only its suffix counts.
        head: its first `HEAD_BYTES` bytes.
    """
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    kind = looks_like(head)
    allowed = ALLOWED.get(suffix)
    if allowed is None:
        return f"{kind}, not the file" if kind in NEVER else ""
    return "" if kind in allowed else f"{kind}, not {suffix}"


def _is_tar_header(block: bytes) -> bool:
    """Whether a block is the header of a tar archive from before POSIX: no signature, but a checksum."""
    if len(block) < 512:
        return False
    field = block[148:156].strip(b" \x00")
    if not re.fullmatch(rb"[0-7]+", field):
        return False
    return int(field, 8) == sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")
