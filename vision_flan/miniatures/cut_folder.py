"""A cut miniature on disk: `tests/miniatures/<dataset>/`, written by `vflan miniature cut`.

- `raw/...`: a few records of upstream's files, in upstream's layout, formats, archives and encodings;
- `borrowed/<dataset>/...`: the same of datasets that it borrows images from;
- `expected.jsonl`: a line for each record of a task: what it must become with seed 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.miniatures.miniature import Miniature
from vision_flan.spec.files import read_bytes, read_text

EXPECTED = "expected.jsonl"
#: Bytes of a file of a miniature.
LARGEST = 64 << 20


@dataclass(frozen=True)
class Expected:
    """What becomes of a record; one that is not written has `dropped` alone.

    Attributes:
        image: format, mode and size, as in "JPEG RGB 640x480".
        turns: all requests and answers of a conversation; empty where there is one.
    """

    task: str
    source_id: str
    image: str = ""
    prompt: str = ""
    target: str = ""
    dropped: str = ""
    turns: tuple[tuple[str, ...], ...] = ()

    def as_line(self) -> str:
        """The line of expected.jsonl."""
        facts = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(facts, ensure_ascii=False)


def read_expected(folder: Path) -> list[Expected]:
    """The lines of a cut miniature's expected.jsonl.

    Raises:
        SpecError: a line is not one that `vflan miniature cut` writes, or the file is a link.
    """
    found = []
    path = folder / EXPECTED
    for number, line in enumerate(read_text(path, LARGEST).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(Expected(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise SpecError(
                f"not a line of expected instances: {error}",
                where=Location(path, number),
                hint="vflan miniature expect DATASET writes the file again",
            ) from error
    return found


def write_expected(folder: Path, lines: Iterable[Expected]) -> Path:
    """Write expected.jsonl, sorted by task and record."""
    path = folder / EXPECTED
    ordered = sorted(lines, key=lambda line: (line.task, line.source_id))
    path.write_text("".join(f"{line.as_line()}\n" for line in ordered), "utf-8")
    return path


def copy_into(folder: Path, mini: Miniature) -> None:
    """Write a cut miniature to a raw folder, with its expected instances as the truth."""
    for path, data in _files(folder / "raw"):
        mini.write_bytes(path, data)
    borrowed = folder / "borrowed"
    for slug in sorted(path.name for path in borrowed.iterdir()) if borrowed.is_dir() else ():
        tree = mini.borrow(slug)
        for path, data in _files(borrowed / slug):
            tree.write_bytes(path, data)
    for line in read_expected(folder):
        if line.dropped:
            mini.truth(line.task, line.source_id, dropped=line.dropped)
        else:
            claim = {"turns": line.turns} if line.turns else {"target": line.target}
            mini.truth(line.task, line.source_id, prompt=line.prompt, **claim)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files below a folder with their paths, sorted; a pull request brings them, links of git too.

    Raises:
        SpecError: a link, a device or a pipe, or a file that is no miniature's.
    """
    for each in (folder.parent.parent, folder.parent, folder):
        _refuse_link(each)
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        for name in folders:
            _refuse_link(Path(place, name))
        found += (Path(place, name) for name in names)
    for path in sorted(found):
        yield str(path.relative_to(folder)), read_bytes(path, LARGEST)


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        what = "this is a symbolic link, and those of miniatures are not followed"
        raise SpecError(what, where=Location(path), hint="put the folder itself there")
