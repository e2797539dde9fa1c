"""The attribution table of a config: its images, joined with what upstream says of each.

A dataset's `credits` is one SELECT over its tables. Images that are borrowed are looked up in the credits of
their lender. The table decides no byte of a shard, so it is made after these, and again when they or the
files it is read from have changed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from vision_flan.build.inputs import annotation_files
from vision_flan.build.job import Build
from vision_flan.build.locks import WORK_FOLDER
from vision_flan.dataset.attribution import KNOWN, Credit, attribution_path, write_attribution
from vision_flan.dataset.manifest import Manifest, write_atomically
from vision_flan.errors import BadRawError, SpecError
from vision_flan.places.place import Place, source
from vision_flan.raw.folder import RawDataset
from vision_flan.records.sources import TaskSources
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import create_views, credit_sources, missing_files
from vision_flan.spec.license import Terms

#: An entry of `credits` as text by column; None for an image with two that differ.
_Entries = dict[str, "dict[str, str] | None"]
_COMPOSED, _OF_SEVERAL = "composed:", " and "


def attribution_of(build: Build, manifest: Manifest) -> dict[str, object]:
    """Facts of the config's attribution table for its manifest; written if it is not there yet.

    Returns:
        Empty if the license asks for none. Else `rows`, `bytes` and `sha256`; and `missing`, files that
        upstream's credits are read from and that are not in the raw folder.

    Raises:
        SpecError: `credits` is not the SQL of specs, or does not run.
    """
    path = attribution_path(build.out, manifest.task)
    terms = build.sources.dataset.license.with_images(build.task.images).images
    if not terms.needs_credits:
        path.unlink(missing_ok=True)
        return {}
    missing, sources = _sources(build)
    inputs = _inputs(manifest, terms, sources)
    record = build.out / WORK_FOLDER / "attribution" / f"{manifest.task}.json"
    known = _record(record)
    if (
        known.get("inputs") == inputs
        and known.get("facts") == manifest.attribution
        and _is_there(path, known)
    ):
        return dict(manifest.attribution)
    facts: dict[str, object] = {"missing": missing}
    if sources:
        build.report.stage(f"writing the authors of the images of {manifest.task}")
        entries: _Entries = {}
        wanted = dict(_images(build.out, manifest))
        for source, raw in sources:
            _look_up(source, raw, wanted, entries, build.work)
        rows, size, digest = write_attribution(path, _credits(wanted, entries))
        facts |= {"rows": rows, "bytes": size, "sha256": digest}
    else:
        path.unlink(missing_ok=True)
    write_atomically(record, json.dumps({"inputs": inputs, "facts": facts}))
    return facts


def _sources(build: Build) -> tuple[list[str], list[tuple[TaskSources, RawDataset]]]:
    """Files of credits that are missing; and the credits whose files are there, with their raw folder."""
    sources = build.sources
    folders = {folder.dataset: folder for folder in (build.raw, *build.raw.borrowed)}
    missing: list[str] = []
    found = []
    for dataset in (sources.dataset, *sources.lenders):
        if dataset.credits is None:
            continue
        credits, raw = credit_sources(dataset), folders[dataset.dataset]
        try:
            there = raw.root.is_dir() and missing_files(credits, raw) is None
        except BadRawError as error:
            build.report.note(f"the authors of images are not known: {error}")
            there = False
        if there:
            found.append((credits, raw))
        else:
            files = sorted({str(dataset.tables[name]["file"]) for name in credits.readers})
            missing += [f"{dataset.dataset}/{file}" for file in files]
    return missing, found


def _inputs(manifest: Manifest, terms: Terms, sources: list[tuple[TaskSources, RawDataset]]) -> str:
    """A checksum of everything the table is made from."""
    parts = [
        [shard.sha256 for shard in manifest.shards],
        asdict(terms),
        [
            [
                source.dataset.credits,
                {name: source.dataset.tables[name] for name in source.readers},
                {name: source.dataset.views[name] for name in source.views},
                annotation_files(source, raw).stamps,
            ]
            for source, raw in sources
        ],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _record(path: Place) -> Mapping[str, object]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_there(path: Place, known: Mapping[str, object]) -> bool:
    facts = known.get("facts")
    if not isinstance(facts, dict) or "sha256" not in facts:
        return not path.exists()
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == str(facts["sha256"])
    except OSError:
        return False


def _images(out: Place, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """(instance, its image's path) of a config's shards; the images themselves are not read."""
    for shard in manifest.shards:
        with pq.ParquetFile(source(out / shard.path)) as file:
            for batch in file.iter_batches(columns=["id", "image.path"]):
                for row in batch.to_pylist():
                    yield row["id"], (row["image"] or {}).get("path") or ""


def names_of(path: str) -> list[str]:
    """The names under which an image may stand in `credits`, the longest first: its path, what is left of it
    without its first folders, and its name without suffix. None for an image composed of several."""
    if path.startswith(_COMPOSED):
        path = path[len(_COMPOSED) :]
        if _OF_SEVERAL in path and path.endswith(" more"):
            return []
    if path.startswith("@") or not path:
        return [path] if path else []
    parts = path.split("/")
    names = ["/".join(parts[start:]) for start in range(len(parts))]
    stem = PurePosixPath(parts[-1]).stem
    return list(dict.fromkeys([*names, stem]))


def _look_up(
    source: TaskSources, raw: RawDataset, wanted: Mapping[str, str], entries: _Entries, work: Path
) -> None:
    """Add the entries of one dataset's credits for the images wanted."""
    dataset = source.dataset
    assert dataset.credits is not None
    place = dataset.credits_place
    names = sorted({name for path in set(wanted.values()) for name in names_of(path)})
    with (
        tempfile.TemporaryDirectory(prefix="credits-", dir=work) as folder,
        RecordStore(Path(folder)) as store,
    ):
        store.load_labels(source.labels)
        for name, reader in source.readers.items():
            store.load(name, reader.schema(), reader.batches(raw))
        create_views(source, store)
        columns = store.describe(dataset.credits, place)
        if "image" not in columns:
            raise SpecError("`credits` has no column `image`", where=place, hint="SELECT ... AS image")
        found = store.matching(
            dataset.credits, "image", pa.table({"value": pa.array(names, pa.string())}), place
        )
    for row in found.to_pylist():
        name = str(row["image"])
        entry = {column: _text(row.get(column)) for column in KNOWN}
        entries[name] = entry if entries.setdefault(name, entry) == entry else None


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _credits(wanted: Mapping[str, str], entries: _Entries) -> Iterator[Credit]:
    """Credits of the instances whose image has one, in the order of the shards."""
    for instance, path in wanted.items():
        entry = next((entries[name] for name in names_of(path) if name in entries), None)
        if entry:
            yield Credit(instance, path, **entry)
