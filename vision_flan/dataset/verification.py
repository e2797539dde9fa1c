"""`vflan verify`: a compiled folder against its manifests: shards, attribution tables, notices, the card."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.dataset import manifest
from vision_flan.dataset.attribution import COLUMNS, FOLDER, NOTICES, attribution_path
from vision_flan.dataset.card import CARD, is_current
from vision_flan.dataset.manifest import Manifest, Problem, Verification, readable_manifests
from vision_flan.dataset.publication import terms_of
from vision_flan.errors import to_type
from vision_flan.places.place import Place, files_in, source


def verify(folder: Place, tasks: list[str] | None = None) -> Iterator[tuple[int, Verification]]:
    """Check shards and manifests, as `manifest.verify`, and what goes with the images: the table of authors
    that a license asks for, its notices; and that README.md is what the manifests say.

    A folder into which configs were copied has a README.md that does not name them, so `load_dataset` does
    not see them.

    Args:
        folder: a compiled folder.
        tasks: only these; README.md is checked in any case.

    Yields:
        (bytes read since the last item, the verification so far); the last item is complete.
    """
    result = Verification()
    for size, state in manifest.verify(folder, tasks):
        result = state
        yield size, result
    manifests, broken = readable_manifests(folder)
    result.problems += _problems_of_credits(folder, manifests, [*manifests, *broken], tasks)
    if manifests and not is_current(folder, manifests):
        message = f"is not what the manifests say; `{to_type('vflan', 'card', folder)}` writes it again"
        result.problems.append(Problem("", CARD, message))
    yield 0, result


def _problems_of_credits(
    folder: Place, manifests: Mapping[str, Manifest], known: Collection[str], tasks: list[str] | None
) -> Iterator[Problem]:
    for task, one in manifests.items():
        if not tasks or task in tasks:
            yield from (Problem(task, f"{FOLDER}/{task}.parquet", said) for said in _attribution(folder, one))
            yield from _notices(folder, one)
    for path in files_in(folder / FOLDER, "*.parquet"):
        if path.stem not in known and not tasks:
            yield Problem("", f"{FOLDER}/{path.name}", "belongs to no config here")


def _attribution(folder: Place, one: Manifest) -> Iterator[str]:
    """Faults of a config's attribution table. One that upstream's lists are missing for is no fault:
    publishing leaves those images out, and says so."""
    facts, path = one.attribution, attribution_path(folder, one.task)
    needed = terms_of(one).images.needs_credits
    if not facts.get("sha256"):
        if path.exists():
            yield "is not in the manifest"
        elif needed and not facts.get("missing"):
            yield f"is missing, and the license asks for it; compile {one.task} again"
        return
    try:
        content = path.read_bytes()
    except OSError:
        yield f"is missing; compile {one.task} again"
        return
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        yield "has a different sha256 than in the manifest"
    else:
        yield from _rows(folder, one, content)


def _rows(folder: Place, one: Manifest, content: bytes) -> Iterator[str]:
    """Faults of the rows of a table whose bytes are the manifest's: it may name the config's instances only,
    each once."""
    try:
        table = pq.read_table(pa.BufferReader(content))
        written = [
            name
            for shard in one.shards
            for name in pq.read_table(source(folder / shard.path), columns=["id"]).column("id").to_pylist()
        ]
    except (OSError, pa.ArrowException):
        return  # a shard that cannot be read has been named
    if tuple(table.column_names) != COLUMNS:
        yield f"has the columns {', '.join(table.column_names)} and not {', '.join(COLUMNS)}"
        return
    if table.num_rows != one.attribution.get("rows"):
        yield f"has {table.num_rows:,} rows, the manifest says {one.attribution.get('rows')}"
    named = table.column("id").to_pylist()
    for name in sorted(set(named) - set(written)):
        yield f"names {name!r}, which is no instance of the config"
        return
    if len(set(named)) != len(named):
        yield "names an instance twice"


def _notices(folder: Place, one: Manifest) -> Iterator[Problem]:
    """License texts that should lie in the folder. Raw folders may lack one: publishing says so."""
    for name, text in one.notices.items():
        path = folder / NOTICES / name
        if text and not (path.is_file() and path.read_bytes() == text.encode()):
            state = "differs from its manifest" if path.is_file() else "is missing"
            yield Problem(one.task, f"{NOTICES}/{name}", f"{state}; compile {one.task} again")
