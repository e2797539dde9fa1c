"""A cut miniature on disk: `tests/miniatures/<dataset>/`, written by `vflan miniature cut`.

- `raw/...`: a few records of upstream's files, in upstream's layout, formats, archives and encodings;
- `borrowed/<dataset>/...`: the same of datasets that it borrows images from;
- `expected.jsonl`: a line for each record of a task: what it must become with seed 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.miniatures.miniature import Miniature

EXPECTED = "expected.jsonl"


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
        SpecError: a line is not one that `vflan miniature cut` writes.
    """
    found = []
    path = folder / EXPECTED
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
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
    for path in _files(folder / "raw"):
        mini.write_bytes(str(path.relative_to(folder / "raw")), path.read_bytes())
    borrowed = folder / "borrowed"
    for slug in sorted(path.name for path in borrowed.iterdir()) if borrowed.is_dir() else ():
        tree = mini.borrow(slug)
        for path in _files(borrowed / slug):
            tree.write_bytes(str(path.relative_to(borrowed / slug)), path.read_bytes())
    for line in read_expected(folder):
        if line.dropped:
            mini.truth(line.task, line.source_id, dropped=line.dropped)
        else:
            claim = {"turns": line.turns} if line.turns else {"target": line.target}
            mini.truth(line.task, line.source_id, prompt=line.prompt, **claim)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
