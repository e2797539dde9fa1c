"""Annotation files with a few of their records, in the same format, encoding and layout of text.

Each function gets a file's bytes and the positions of the records that stay, as readers count them.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from xml.etree import ElementTree

from vision_flan.errors import SpecError
from vision_flan.miniatures.cut_arrays import Cut, cut_binary, cut_idx, cut_parquet
from vision_flan.miniatures.cut_matlab import cut_matlab
from vision_flan.miniatures.cut_stores import cut_npz, cut_pickle
from vision_flan.miniatures.stand_ins import stand_in
from vision_flan.raw.patterns import LinePattern
from vision_flan.readers.xml_table import parse_xml

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
#: Items of a list that no table reads, above which most are left out.
_UNREAD = 20


def cut_file(reader: str, name: str, data: bytes, cuts: list[Cut]) -> bytes:
    """A file with the records that stay; several tables may read one file.

    Raises:
        SpecError: files of this format cannot be cut.
    """
    is_packed = name.lower().endswith(".gz") and data[:2] == b"\x1f\x8b"
    plain = gzip.decompress(data) if is_packed else data
    if reader in _OF_ALL_TABLES:
        made = _OF_ALL_TABLES[reader](plain, cuts)
    elif reader in _WRITERS:
        made = _WRITERS[reader](plain, _union(cuts))
    else:
        raise SpecError(
            f"files of the reader {reader!r} cannot be cut",
            hint="write a generator instead: vision_flan/miniatures/miniature.py explains how",
        )
    if not is_packed:
        return made
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
        packed.write(made)
    return out.getvalue()


def _union(cuts: list[Cut]) -> Cut:
    kept = frozenset(position for cut in cuts for position in cut.kept)
    columns = {name: kind for cut in cuts for name, kind in cut.columns.items()}
    images = frozenset(name for cut in cuts for name in cut.images)
    return Cut(kept, cuts[0].options, columns, cuts[0].scrub, images)


# --- text


def _decoded(data: bytes, encoding: str) -> tuple[str, bytes, str]:
    """The text, the mark before it, and the encoding without mark."""
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig"):
        mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
        return data[len(mark) :].decode("utf-8"), mark, "utf-8"
    if encoding.lower() == "utf-16":
        little = data[:2] == b"\xff\xfe"
        return data.decode("utf-16"), data[:2], "utf-16-le" if little else "utf-16-be"
    return data.decode(encoding), b"", encoding


def _lines_of(text: str) -> list[str]:
    """Lines with their ends."""
    return [line for line in _LINES.findall(text) if line]


def _delimited(data: bytes, cut: Cut) -> bytes:
    text, mark, encoding = _decoded(data, cut.encoding)
    lines = _lines_of(text)
    skipped = int(str(cut.options.get("skip_rows", 0)))
    has_header = cut.options.get("header", True) is not False
    made = lines[:skipped]
    records = _csv_records(lines[skipped:], cut)
    position = -1 if has_header else 0
    names: list[str] = []
    for raw, cells in records:
        if position == -1:
            made.append(raw)
            names = cells
        elif position in cut.kept:
            made.append(_scrubbed_record(raw, cells, names, cut))
        position += 1
    return mark + "".join(made).encode(encoding)


def _delimiter_of(cut: Cut) -> str:
    return str(cut.options.get("delimiter", ","))


def _csv_records(lines: list[str], cut: Cut) -> Iterator[tuple[str, list[str]]]:
    """Records with their text; blank lines, which readers skip, are left out."""
    csv.field_size_limit(1 << 30)
    quote = cut.options.get("quote", '"')
    reader = csv.reader(
        iter(lines), delimiter=_delimiter_of(cut), quotechar=str(quote) if quote else None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )  # fmt: skip
    before = 0
    for cells in reader:
        raw = "".join(lines[before : reader.line_num])
        before = reader.line_num
        if cells:
            yield raw, cells


def _scrubbed_record(raw: str, cells: list[str], names: list[str], cut: Cut) -> str:
    image = cut.options.get("image_column")
    changed = list(cells)
    for at, cell in enumerate(cells):
        name = names[at] if at < len(names) else ""
        if image and name == image:
            changed[at] = base64.b64encode(stand_in(base64.b64decode(cell), raw[:40])).decode()
        elif cut.scrub:
            changed[at] = cut.scrub.text(cell, name)
    if changed == cells:
        return raw
    end = raw[len(raw.rstrip("\r\n")) :]
    out = io.StringIO()
    csv.writer(out, delimiter=_delimiter_of(cut), lineterminator=end or "\n").writerow(changed)
    return out.getvalue()


def _json_lines(data: bytes, cut: Cut) -> bytes:
    text, mark, encoding = _decoded(data, cut.encoding)
    made = []
    position = 0
    for line in _lines_of(text):
        if not line.strip():
            continue
        if position in cut.kept:
            made.append(_scrubbed_line(line, cut))
        position += 1
    return mark + "".join(made).encode(encoding)


def _scrubbed_line(line: str, cut: Cut) -> str:
    if not cut.scrub:
        return line
    value = cut.scrub.value(json.loads(line))
    return json.dumps(value, ensure_ascii=line.isascii()) + line[len(line.rstrip("\r\n")) :]


def _text_lines(data: bytes, cut: Cut) -> bytes:
    """A list, with its first lines that are skipped, comments, and lines that do not match."""
    text, mark, encoding = _decoded(data, cut.encoding)
    pattern = LinePattern(str(cut.options.get("line", "{_value}")))
    skipped = int(str(cut.options.get("skip_rows", 0)))
    comment = str(cut.options.get("comment", ""))
    made = []
    position = odd = 0
    for number, line in enumerate(_lines_of(text), 1):
        plain = line.rstrip("\r\n")
        is_record = number > skipped and not (comment and plain.startswith(comment)) and bool(plain.strip())
        if is_record and pattern.match(plain) is not None:
            if position in cut.kept:
                made.append(cut.scrub.text(plain) + line[len(plain) :] if cut.scrub else line)
            position += 1
        elif number <= skipped or odd < 2:
            made.append(line)
            odd += number > skipped
    return mark + "".join(made).encode(encoding)


def _whole_text(data: bytes, cut: Cut) -> bytes:
    if not cut.scrub:
        return data
    text, mark, encoding = _decoded(data, cut.encoding)
    return mark + cut.scrub.text(text).encode(encoding)


# --- JSON


def _json(data: bytes, cuts: list[Cut]) -> bytes:
    text, mark, encoding = _decoded(data, cuts[0].encoding)
    document = json.loads(text)
    targets = {tuple(str(cut.options["at"]).split(".")) if cut.options.get("at") else (): cut for cut in cuts}
    document = _json_cut(document, (), targets)
    scrub = cuts[0].scrub
    if scrub:
        document = scrub.value(document)
    indent = re.match(r"\s*[\[{]\r?\n( +)", text)
    compact = '":"' in text[:2000] or '":{' in text[:2000] or '":[' in text[:2000]
    separators = (",", ":") if compact and not indent else None
    made = json.dumps(
        document,
        ensure_ascii=text.isascii(),
        indent=len(indent[1]) if indent else None,
        separators=separators,
    )
    return mark + made.encode(encoding)


def _json_cut(value: object, path: tuple[str, ...], targets: Mapping[tuple[str, ...], Cut]) -> object:
    """The document with the kept records of every table, and little of long lists that none reads."""
    cut = targets.get(path)
    if cut is not None and not cut.options.get("single"):
        if isinstance(value, list):
            return [item for at, item in enumerate(value) if at in cut.kept]
        if isinstance(value, dict):
            return {key: item for at, (key, item) in enumerate(value.items()) if at in cut.kept}
    if cut is not None:
        return value
    if isinstance(value, dict):
        return {key: _json_cut(item, (*path, key), targets) for key, item in value.items()}
    if isinstance(value, list) and len(value) > _UNREAD:
        return value[:2]
    return value


# --- XML


def _xml(data: bytes, cut: Cut) -> bytes:
    rows = [step for step in str(cut.options.get("rows", "")).split("/") if step]
    if not rows:
        if not cut.scrub:
            return data
        text, mark, encoding = _decoded(data, "utf-8")
        scrub = cut.scrub
        return mark + re.sub(r"(?<=>)[^<>]+(?=<)", lambda m: scrub.text(m[0]), text).encode(encoding)
    root = parse_xml(data, "document")
    parents = [root]
    for step in [*(s for s in str(cut.options.get("at", "")).split("/") if s), *rows[:-1]]:
        parents = [child for parent in parents for child in parent if child.tag == step]
    position = 0
    for parent in parents:
        for child in [child for child in parent if child.tag == rows[-1]]:
            if position not in cut.kept:
                parent.remove(child)
            position += 1
    if cut.scrub:
        for element in root.iter():
            element.text = cut.scrub.text(element.text or "", element.tag)
    return bytes(b'<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "utf-8"))


_WRITERS: Mapping[str, Callable[[bytes, Cut], bytes]] = {
    "delimited": _delimited,
    "json_lines": _json_lines,
    "lines": _text_lines,
    "text": _whole_text,
    "xml": _xml,
    "parquet": cut_parquet,
    "idx": cut_idx,
    "binary": cut_binary,
    "pickle": cut_pickle,
    "npz": cut_npz,
}
#: Formats whose tables may be in different places of one file.
_OF_ALL_TABLES: Mapping[str, Callable[[bytes, list[Cut]], bytes]] = {"json": _json, "matlab": cut_matlab}
