"""Compiled folders and Hub repositories, read in place; rows by (task, row).

Texts are loaded when a run starts: a step's plan needs every sample's text. Images stay in their Parquet
files, and a rank reads the row group of each image it shows. Nothing is copied to another format or cache.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.repocard import metadata_load

from vision_flan.columns import COLUMNS, IMAGE, TURNS, Turn
from vision_flan.errors import Location, VflanError, to_type
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import task_ids
from vision_flan.train.config import Data
from vision_flan.train.mixture import Indices, Mixture, Ref, choose_tasks
from vision_flan.train.use import permitted

TEXTS = ("id", "prompt", "target", "category", "task")

_HUB_ERRORS = (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, httpx2.HTTPError, OSError)


class CorpusError(VflanError):
    """The compiled data cannot be read."""


@dataclass(frozen=True)
class Sample:
    """The texts of one instance, and whether it has an image; `turns` only where it is a conversation."""

    id: str
    prompt: str
    target: str
    category: str
    task: str
    has_image: bool
    turns: tuple[Turn, ...] = ()

    @property
    def conversation(self) -> tuple[Turn, ...]:
        """All turns, one at least."""
        return self.turns or (Turn(self.prompt, self.target),)


class Table:
    """One compiled task."""

    def __init__(self, root: Path, task: str, files: Sequence[Path]) -> None:
        self.task = task
        self.files = list(files)
        texts: list[pa.Table] = []
        starts, self._groups = (
            [0],
            list[tuple[int, int]](),
        )  # first row of each row group; its file and number
        image_bytes: list[int] = []
        for number, file in enumerate(files):
            with _readable(root, file):
                parquet = pq.ParquetFile(file, memory_map=True)
                texts.append(_read_texts(parquet, root, task))
                for group in range(parquet.num_row_groups):
                    facts = parquet.metadata.row_group(group)
                    starts.append(starts[-1] + facts.num_rows)
                    self._groups.append((number, group))
                    image_bytes.append(facts.total_byte_size)
        table = pa.concat_tables(texts, promote_options="default").combine_chunks()
        self._starts = np.asarray(starts)
        self._has_image = np.asarray(pc.is_valid(table.column(IMAGE)).to_numpy(), dtype=bool)
        self._texts = {name: table.column(name) for name in table.column_names if name != IMAGE}
        self.fingerprint = _fingerprint(self._texts, image_bytes)
        self._file = functools.lru_cache(maxsize=64)(
            self._open
        )  # not all at once: `ulimit -n` is often 1,024

    def __len__(self) -> int:
        return len(self._has_image)

    def sample(self, row: int) -> Sample:
        """Texts of a row; nothing of the image is read."""
        texts = {name: str(self._texts[name][row].as_py()) for name in TEXTS}
        turns = self._texts[TURNS][row].as_py() if TURNS in self._texts else None
        return Sample(
            **texts,
            has_image=bool(self._has_image[row]),
            turns=tuple(Turn(turn["user"], turn["assistant"]) for turn in turns or ()),
        )

    def image(self, row: int) -> bytes:
        """The encoded image of a row that has one; its row group is read.

        Raises:
            CorpusError: the file cannot be read, or the folder was published without images.
        """
        place = int(np.searchsorted(self._starts, row, side="right")) - 1
        file, group = self._groups[place]
        with _readable(self.files[file].parent.parent, self.files[file]):
            column = self._file(file).read_row_group(group, columns=[f"{IMAGE}.bytes"], use_threads=False)[
                IMAGE
            ]
        data = column[row - int(self._starts[place])]["bytes"]
        if not data.is_valid:
            raise CorpusError(
                f"{self._texts['id'][row]} has no image in this folder",
                where=Location(self.files[file]),
                hint="vflan rehydrate, which adds the images",
            )
        return bytes(data.as_buffer())

    def held_out(self, share: float) -> Indices:
        """The rows whose key falls into `share`, whatever else the run takes."""
        if not share:
            return np.zeros(0, dtype=np.int64)
        keys = self._texts["id"].to_pylist()
        return np.asarray([row for row, key in enumerate(keys) if _fraction(key) < share], dtype=np.int64)

    def _open(self, file: int) -> pq.ParquetFile:
        return pq.ParquetFile(self.files[file], memory_map=True)

    def __getstate__(self) -> dict[str, object]:
        """For a loader's worker that is started, not forked."""
        return {name: value for name, value in self.__dict__.items() if name != "_file"}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        self.__dict__.update(state)
        self._file = functools.lru_cache(maxsize=64)(self._open)


def _fraction(key: str) -> float:
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"held out").digest()
    return int.from_bytes(digest, "little") / 2**64


class _readable:  # noqa: N801  a context manager
    """Turns what pyarrow raises into an error that names the file."""

    def __init__(self, root: Path, file: Path) -> None:
        self.root, self.file = root, file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (pa.ArrowException, OSError)):
            raise CorpusError(
                f"not readable: {error}",
                where=Location(self.file),
                hint=to_type("vflan", "verify", self.root),
            ) from error


def _read_texts(parquet: pq.ParquetFile, root: Path, task: str) -> pa.Table:
    """The texts of a file, and its images' paths, by which rows without an image are known."""
    names = parquet.schema_arrow.names
    missing = [name for name in (*TEXTS, IMAGE) if name not in names]
    if missing:
        raise CorpusError(
            f"task {task!r} lacks the columns {', '.join(missing)}",
            where=Location(root),
            hint=f"a compiled folder has {', '.join(COLUMNS)}",
        )
    turns = [TURNS] if TURNS in names else []  # folders compiled by earlier versions lack it
    table = parquet.read(columns=[*TEXTS, *turns, f"{IMAGE}.path"], use_threads=False)
    return table.replace_schema_metadata(None)


def _fingerprint(texts: Mapping[str, pa.ChunkedArray], sizes: Sequence[int]) -> str:
    """A digest of all texts, and of the size of every row group with its images."""
    digest = hashlib.blake2b(repr(list(sizes)).encode(), digest_size=16)
    for name, column in sorted(texts.items()):
        digest.update(name.encode())
        for strings in _strings(column.combine_chunks()):
            lengths = pc.fill_null(pc.binary_length(strings), -1)
            digest.update(
                np.ascontiguousarray(lengths.to_numpy(zero_copy_only=False)).astype("<i8").tobytes()
            )
            digest.update("".join(text or "" for text in strings.to_pylist()).encode())
    return digest.hexdigest()


def _strings(array: pa.Array) -> Iterator[pa.Array]:
    """The string arrays a column is made of, and the lengths of its lists as text."""
    if isinstance(array, pa.ChunkedArray):
        for chunk in array.chunks:
            yield from _strings(chunk)
    elif pa.types.is_list(array.type):
        yield pc.cast(pc.list_value_length(array), pa.string())
        yield from _strings(array.flatten())
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _strings(child)
    else:
        yield array


class Corpus:
    """All tasks of a run's mixture."""

    def __init__(self, tables: Sequence[Table], mixture: Mixture, held_out: Sequence[Ref] = ()) -> None:
        self.tables, self.mixture, self.held_out = tables, mixture, held_out

    def sample(self, ref: Ref) -> Sample:
        """Texts of one instance."""
        return self.tables[ref.task].sample(ref.row)

    def image(self, ref: Ref) -> bytes:
        """Encoded image of one instance."""
        return self.tables[ref.task].image(ref.row)


class Folder:
    """A compiled folder, here or on the Hub, of which only what is used is downloaded."""

    def __init__(self, root: str) -> None:
        self.name = root
        self.is_remote = not Path(root).is_dir()
        if self.is_remote and (root.count("/") != 1 or root.startswith((".", "~", "/"))):
            # a missing folder must not become a search of the Hub
            hint = "vflan compile --task <id> --raw <raw> --out " + root
            raise CorpusError(f"no compiled folder at {root!r}", hint=hint)
        try:
            readme = Path(hf_hub_download(root, "README.md", repo_type="dataset")) if self.is_remote else None
            self.path = readme.parent if readme else Path(root).resolve()
            self._patterns = _patterns(self.path / "README.md")
        except (*_HUB_ERRORS, yaml.YAMLError) as error:
            raise CorpusError(
                f"{root!r} cannot be read: {error}", hint="data.root=<compiled folder>"
            ) from error

    @property
    def tasks(self) -> list[str]:
        """The configs, sorted."""
        return sorted(self._patterns)

    def table(self, task: str) -> Table:
        """One task of the folder."""
        patterns = self._patterns[task]
        path = self.path
        if self.is_remote:
            try:
                path = Path(snapshot_download(self.name, repo_type="dataset", allow_patterns=patterns))
            except _HUB_ERRORS as error:
                raise CorpusError(f"task {task!r} of {self.name} does not download: {error}") from error
        files = sorted({file for pattern in patterns for file in path.glob(pattern)})
        if not files:
            raise CorpusError(
                f"task {task!r} has no file {' or '.join(patterns)}",
                where=Location(path),
                hint=to_type("vflan", "verify", self.name),
            )
        return Table(path, task, files)


def _patterns(readme: Path) -> dict[str, list[str]]:
    """Config -> patterns of the files of its split `train`, from the card."""
    card = metadata_load(readme) or {}
    found: dict[str, list[str]] = {}
    for config in card.get("configs") or []:
        entries = config.get("data_files") or []
        for entry in [entries] if isinstance(entries, str) else entries:
            split, paths = ("train", entry) if isinstance(entry, str) else (entry["split"], entry["path"])
            if split == "train":
                listed = [paths] if isinstance(paths, str) else paths
                found.setdefault(config["config_name"], []).extend(listed)
    if not found:
        raise OSError(f"{readme} names no config with a split `train`")
    return found


def open_corpus(data: Data, seed: int) -> Corpus:
    """Opens what `data.sources` name and lays out the mixture.

    Raises:
        CorpusError: a folder, repository or file that cannot be read.
        MixtureError: tasks or instances that are not there.
        ForbiddenError: forbidden tasks are asked for, and no reason is given.
        SpecError: there is no such suite.
    """
    catalog = Catalog.default()
    suite = catalog.suite(data.suite) if data.suite else None
    forbidden = task_ids(catalog, data.include_forbidden)
    folders: dict[str, Folder] = {}
    tables: list[Table] = []
    sizes: list[dict[str, int]] = []
    held_out: list[dict[str, Indices]] = []
    refs: list[Ref] = []
    for source in data.sources:
        root = source.root or data.root
        if root not in folders:
            folders[root] = Folder(root)
        there = permitted(folders[root].tasks, forbidden, data.reason)
        chosen = choose_tasks(source, there, seed, suite)
        opened = [folders[root].table(name) for name in chosen]
        kept = {table.task: table.held_out(data.held_out) for table in opened}
        refs += [Ref(len(tables) + n, int(row)) for n, table in enumerate(opened) for row in kept[table.task]]
        tables += opened
        sizes.append({table.task: len(table) for table in opened})
        held_out.append(kept)
    return Corpus(tables, Mixture(data.sources, sizes, seed, held_out), refs)
