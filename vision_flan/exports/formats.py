"""The files of each export format: what a part of a task becomes, and how parts become files.

A part is one shard. Its text goes into a file of its own and its images under the checksum of their bytes, so
an image of many instances is written once and a finished part is not written again.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import ExifTags, Image

from vision_flan.columns import IMAGE_TYPE, TURNS_TYPE, Turn
from vision_flan.exports.placeholders import IMAGE_MARK, harmless
from vision_flan.exports.sources import ExportError, Part, Row
from vision_flan.instances.compose import encode_png
from vision_flan.instances.images import decoded

#: A record of an export, as its trainer wants it.
Entry = dict[str, object]
_SUFFIX = {"JPEG": ".jpg", "TIFF": ".tif"}
_GROUP = 64
_TEXT_PART = pa.struct([("type", pa.string()), ("text", pa.string())])
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(_TEXT_PART))]))
_VALUE = {"dtype": "string", "_type": "Value"}


@dataclass(frozen=True)
class Place:
    """Where an export is made.

    Attributes:
        tree: what becomes the export.
        parts: text of finished parts, until it is joined.
        final: where the export will be; ms-swift and axolotl get absolute paths.
    """

    tree: Path
    parts: Path
    final: Path


class Format(Protocol):
    """How one trainer's files are written."""

    def target(self, place: Place, part: Part, number: int, total: int) -> Path:
        """The file of a part; `number` of `total` parts of its split."""
        ...

    def write(self, place: Place, target: Path, rows: Iterable[Row]) -> None:
        """Write a part."""
        ...

    def join(self, place: Place, written: Mapping[str, Sequence[Path]]) -> None:
        """Make the files of the export from the parts of each split."""
        ...


def turns_of(row: Row, mark: str = "") -> list[Turn]:
    """Requests and answers, without marks that a trainer would take for an image.

    Args:
        mark: what stands before the first request where the row has an image.
    """
    turns = [Turn(*(harmless(turn[part]) for part in Turn._fields)) for turn in row["turns"]]
    turns = [turn._replace(user=turn.user.strip()) for turn in turns]
    if mark and image_of(row) is not None:
        turns[0] = turns[0]._replace(user=mark + turns[0].user)
    return turns


def image_of(row: Row) -> bytes | None:
    """The image's file, None where the row has none."""
    return row["image"]["bytes"] if row["image"] else None


def save_image(tree: Path, row: Row) -> str:
    """Write a row's image unless it is there; its path under `tree`, or nothing where it has none.

    Raises:
        ExportError: the image cannot be read.
    """
    data = image_of(row)
    if data is None:
        return ""
    digest = hashlib.sha256(data).hexdigest()
    try:
        kind, data = upright(data)
    except Exception as error:  # Pillow lets out whatever a damaged file makes it stumble over
        raise ExportError(f"the image of {row['id']} is not readable: {error}") from error
    path = Path("images") / digest[:2] / f"{digest}{_SUFFIX.get(kind, '.' + kind.lower())}"
    target = tree / path
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_bytes(data)
        temporary.replace(target)
    return path.as_posix()


def upright(data: bytes) -> tuple[str, bytes]:
    """Format and bytes. What EXIF turns becomes an upright PNG, since not all trainers heed EXIF."""
    with Image.open(io.BytesIO(data)) as image:
        kind = str(image.format)
        turned = image.getexif().get(ExifTags.Base.Orientation) in range(2, 9)
    return ("PNG", encode_png(decoded(data))) if turned else (kind, data)


@dataclass(frozen=True)
class JsonFormat:
    """One JSON file a split, images beside it.

    Attributes:
        entry: the record of a row and the path of its image.
        name: of the file of a split.
        absolute: whether images are named by absolute paths.
        array: whether the file is one JSON array; otherwise a line a record.
        about: further files, by name, for these splits.
    """

    entry: Callable[[Row, str], Entry]
    name: Callable[[str], str]
    absolute: bool = False
    array: bool = False
    about: Callable[[Sequence[str]], dict[str, str]] = lambda splits: {}

    def target(self, place: Place, part: Part, number: int, total: int) -> Path:
        return place.parts / f"{part.split}-{number:05}.jsonl"

    def write(self, place: Place, target: Path, rows: Iterable[Row]) -> None:
        with target.open("w", encoding="utf-8") as file:
            for row in rows:
                image = save_image(place.tree, row)
                shown = str(place.final / image) if image and self.absolute else image
                file.write(json.dumps(self.entry(row, shown), ensure_ascii=False) + "\n")

    def join(self, place: Place, written: Mapping[str, Sequence[Path]]) -> None:
        for split, parts in written.items():
            with (place.tree / self.name(split)).open("w", encoding="utf-8") as file:
                if self.array:
                    self._array(file.write, parts)
                else:
                    for part in parts:
                        with part.open(encoding="utf-8") as lines:
                            shutil.copyfileobj(lines, file)
        for name, text in self.about(list(written)).items():
            (place.tree / name).write_text(text, encoding="utf-8")

    def _array(self, write: Callable[[str], int], parts: Sequence[Path]) -> None:
        before = "[\n"
        for part in parts:
            with part.open(encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    write(before + line.rstrip("\n"))
                    before = ",\n"
        write("\n]\n")


def _llava(row: Row, image: str) -> Entry:
    said = [
        {"from": speaker, "value": text}
        for turn in turns_of(row, f"{IMAGE_MARK}\n")
        for speaker, text in zip(("human", "gpt"), turn, strict=True)
    ]
    return {"id": row["id"], "conversations": said, **({"image": image} if image else {})}


def _messages(row: Row, image: str) -> Entry:
    said = [
        {"role": role, "content": text}
        for turn in turns_of(row, f"{IMAGE_MARK}\n")
        for role, text in turn._asdict().items()
    ]
    return {"messages": said, "images": [image] if image else []}


def _dataset_info(splits: Sequence[str]) -> dict[str, str]:
    """LLaMA-Factory's description; its train split is called `vision_flan`."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    columns = {"messages": "messages", "images": "images"}
    info = {
        "vision_flan" if split == "train" else f"vision_flan_{split}": {
            "file_name": f"{split}.jsonl",
            "formatting": "sharegpt",
            "columns": columns,
            "tags": tags,
        }
        for split in splits
    }
    return {"dataset_info.json": json.dumps(info, indent=2) + "\n"}


def _parts_of(turn: Turn) -> tuple[Entry, Entry]:
    return _said("user", turn.user), _said("assistant", turn.assistant)


def _said(role: str, text: str) -> Entry:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _with_image(message: Entry, part: Entry) -> Entry:
    content = message["content"]
    assert isinstance(content, list)
    return {**message, "content": [part, *content]}


def _axolotl(row: Row, image: str) -> Entry:
    said = [message for turn in turns_of(row) for message in _parts_of(turn)]
    if image:
        said[0] = _with_image(said[0], {"type": "image", "path": image})
    return {"messages": said}


@dataclass(frozen=True)
class ParquetFormat:
    """Parquet files with the images inside, in the layout that `datasets` opens by its splits.

    Attributes:
        records: the records of a row.
        fields: their columns beside `images`.
        features: of these columns, so that `datasets` sees images.
    """

    records: Callable[[Row], Iterator[Entry]]
    fields: Sequence[pa.Field]
    features: Mapping[str, object]

    def target(self, place: Place, part: Part, number: int, total: int) -> Path:
        return place.tree / "data" / f"{part.split}-{number:05}-of-{total:05}-{part.task}.parquet"

    def write(self, place: Place, target: Path, rows: Iterable[Row]) -> None:
        features = {"images": {"feature": {"_type": "Image"}, "_type": "List"}, **self.features}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        schema = pa.schema([pa.field("images", pa.list_(IMAGE_TYPE)), *self.fields], metadata=metadata)
        with pq.ParquetWriter(target, schema) as writer:
            group: list[Entry] = []
            for row in rows:
                group.extend(self.records(row))
                if len(group) >= _GROUP:
                    writer.write_table(pa.Table.from_pylist(group, schema=schema))
                    group = []
            if group:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))

    def join(self, place: Place, written: Mapping[str, Sequence[Path]]) -> None:
        """Parts are the files of the export."""


def _trl(row: Row) -> Iterator[Entry]:
    """One for each answer, with all that was said before as its prompt: TRL learns completions only."""
    images = _images_of(row)
    said: list[Entry] = []
    for turn in turns_of(row):
        asked, answer = _parts_of(turn)
        if images and not said:
            asked = _with_image(asked, {"type": "image", "text": None})
        said.append(asked)
        yield {"images": images, "prompt": list(said), "completion": [answer]}
        said.append(answer)


def _nanovlm(row: Row) -> Iterator[Entry]:
    texts = [turn._asdict() for turn in turns_of(row)]
    yield {"images": _images_of(row), "texts": texts, "source": row["task"]}


def _images_of(row: Row) -> list[Entry]:
    data = image_of(row)
    return [] if data is None else [{"bytes": data, "path": None}]


def _list_of(feature: object) -> dict[str, object]:
    return {"feature": feature, "_type": "List"}


_CHAT = _list_of({"role": _VALUE, "content": _list_of({"type": _VALUE, "text": _VALUE})})

FORMATS: dict[str, Format] = {
    "llava": JsonFormat(
        _llava, lambda split: "llava.json" if split == "train" else f"llava-{split}.json", array=True
    ),
    "messages": JsonFormat(_messages, "{}.jsonl".format, absolute=True, about=_dataset_info),
    "trl": ParquetFormat(
        _trl,
        [pa.field("prompt", _MESSAGES), pa.field("completion", _MESSAGES)],
        {"prompt": _CHAT, "completion": _CHAT},
    ),
    "axolotl": JsonFormat(_axolotl, "{}.jsonl".format, absolute=True),
    "nanovlm": ParquetFormat(
        _nanovlm,
        [pa.field("texts", TURNS_TYPE), pa.field("source", pa.string())],
        {"texts": _list_of({"user": _VALUE, "assistant": _VALUE}), "source": _VALUE},
    ),
}
