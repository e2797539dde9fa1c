"""Headers of tar archives: POSIX.1-2001 pax, the GNU extensions for long names, large sizes and sparse files.

They are parsed here because `tarfile` creates an object per member, which takes gigabytes for millions of
images. An invalid header raises `ValueError` or `EOFError`, which `members.reading` turns
into a `VflanError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vision_flan.raw.streams import ReadAt

BLOCK = 512
REGULAR = (b"0", b"\0", b"7", b"S")
HARD_LINK, SYMBOLIC_LINK, FOLDER = b"1", b"2", b"5"
KINDS = {b"3": "a character device", b"4": "a block device", b"6": "a pipe"}

#: Longest body of an extended header; real ones take a few hundred bytes.
_LONGEST = 1 << 22
_EXTENDED = (b"L", b"K", b"x", b"g")

SparseMap = list[tuple[int, int]]


class Member(NamedTuple):
    """One member: `size` as read, `packed` in the archive; `sparse` lists offsets and lengths of its data."""

    name: str
    kind: bytes
    start: int
    packed: int
    size: int
    link: str
    sparse: SparseMap | None


class TarHeaders:
    """Members in order.

    Attributes:
        end: the offset after the last member and its padding.
        marked: whether the archive ends in a block of zeros, as it should.
    """

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self.end = 0
        self.marked = False

    def __iter__(self) -> Iterator[Member]:
        long_name = long_link = ""
        pax: list[tuple[str, str]] = []
        global_pax: list[tuple[str, str]] = []
        while True:
            header = self._read_at(self.end, BLOCK)
            if not header.strip(b"\0"):
                self.marked = len(header) == BLOCK
                return
            kind, size = header[156:157], _checked_size(header, self.end)
            if kind not in _EXTENDED:
                member = self._member(header, size, dict(global_pax + pax), global_pax + pax)
                member = member._replace(
                    name=dict(pax).get("GNU.sparse.name") or dict(global_pax + pax).get("path") or long_name
                    or _header_name(header),
                    link=dict(pax).get("linkpath") or long_link or _text(header[157:257]),
                )  # fmt: skip
                long_name, long_link, pax = "", "", []
                yield member
                continue
            body = self._body(self.end + BLOCK, size)
            if kind == b"L":
                long_name = _text(body)
            elif kind == b"K":
                long_link = _text(body)
            elif kind == b"x":
                pax = _pax_records(body)
            else:
                global_pax = _pax_records(body)
            self.end += BLOCK + _padded(size)

    def _member(
        self, header: bytes, size: int, fields: dict[str, str], records: list[tuple[str, str]]
    ) -> Member:
        kind, start = header[156:157], self.end + BLOCK
        if kind in REGULAR and "size" in fields:
            size = _count(fields["size"], "size")
        sparse, real, packed = None, size, size
        if kind == b"S":
            sparse, real, start = self._old_map(header, start)
        elif fields.get("GNU.sparse.major") == "1" and kind in REGULAR:
            sparse, used = self._new_map(start)
            start, packed = start + used, size - used
            real = _count(fields.get("GNU.sparse.realsize", ""), "GNU.sparse.realsize")
        elif kind in REGULAR and ("GNU.sparse.size" in fields or "GNU.sparse.map" in fields):
            sparse = _pax_map(fields, records)
            real = _count(fields.get("GNU.sparse.size", ""), "GNU.sparse.size")
        if packed < 0 or (sparse is not None and sum(length for _, length in sparse) > packed):
            raise ValueError("the map of a sparse member is longer than its data")
        self.end = start + _padded(packed)
        return Member("", kind, start, packed, real, "", sparse)

    def _old_map(self, header: bytes, start: int) -> tuple[SparseMap, int, int]:
        """GNU's old format: four entries in the header, more in blocks after it."""
        found = _entries(header[386:482])
        more = header[482]
        while more:
            block = self._body(start, BLOCK)
            found += _entries(block[:504])
            more = block[504]
            start += BLOCK
        return found, _number(header[483:495]), start

    def _new_map(self, start: int) -> tuple[SparseMap, int]:
        """pax format 1.0: lines of decimal numbers before the data, padded to whole blocks."""
        text, used, wanted = b"", 0, 1
        while True:
            text += self._body(start + used, BLOCK)
            used += BLOCK
            lines = text.split(b"\n")[:-1]
            if lines:
                wanted = 1 + 2 * _count(lines[0].decode("ascii"), "sparse map")
            if len(lines) >= wanted:
                break
            if used > _LONGEST:
                raise ValueError("the map of a sparse member has no end")
        values = [_count(line.decode("ascii"), "sparse map") for line in lines[1:wanted]]
        return list(zip(values[::2], values[1::2], strict=True)), used

    def _body(self, start: int, size: int) -> bytes:
        if size > _LONGEST:
            raise ValueError(f"an extended header of {size} bytes at offset {start}")
        body = self._read_at(start, size)
        if len(body) < size:
            raise EOFError(f"{size} bytes expected at offset {start}, found {len(body)}")
        return body


def is_header(block: bytes) -> bool:
    """Whether a block is a tar header."""
    try:
        _checked_size(block, 0)
    except ValueError:
        return False
    return True


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _checked_size(header: bytes, at: int) -> int:
    """The size field of a header that is whole and has the right checksum."""
    try:
        expected = _number(header[148:156])
        actual = sum(header) - sum(header[148:156]) + 8 * 32
        if len(header) == BLOCK and actual == expected:
            return 0 if b"1" <= header[156:157] <= b"6" else _number(header[124:136])
    except (ValueError, IndexError):
        pass
    raise ValueError(f"no member header at offset {at}")


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """An octal number, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    else:
        value = int(field.partition(b"\0")[0].strip() or b"0", 8)
    if not 0 <= value < 1 << 63:
        raise ValueError(f"the number {value} in a header")
    return value


def _count(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 1 << 63):
        raise ValueError(f"{field} of a member is {text[:40]!r}, not a number of bytes")
    return int(text)


def _entries(field: bytes) -> SparseMap:
    found = []
    for at in range(0, len(field), 24):
        if field[at] == 0:
            break
        found.append((_number(field[at : at + 12]), _number(field[at + 12 : at + 24])))
    return found


def _pax_map(fields: dict[str, str], records: list[tuple[str, str]]) -> SparseMap:
    """pax formats 0.0 (records of offset and numbytes in turn) and 0.1 (one record of all)."""
    if "GNU.sparse.map" in fields:
        values = [_count(text, "GNU.sparse.map") for text in fields["GNU.sparse.map"].split(",")]
    else:
        wanted = ("GNU.sparse.offset", "GNU.sparse.numbytes")
        values = [_count(value, key) for key, value in records if key in wanted]
    return list(zip(values[::2], values[1::2], strict=True))


def _header_name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _pax_records(body: bytes) -> list[tuple[str, str]]:
    """Records `<length> <key>=<value>\\n` of an extended header, in order."""
    records = []
    at = 0
    while at < len(body) and body[at]:
        length_text, space, _ = body[at : at + 20].partition(b" ")
        length = int(length_text) if length_text.isdigit() else 0
        record = body[at + len(length_text) + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if not space or not equals or record[-1:] != b"\n":
            raise ValueError(f"an extended header with an invalid record at its byte {at}")
        records.append((key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")))
        at += length
    return records
