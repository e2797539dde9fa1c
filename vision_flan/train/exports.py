"""Compiled folders in the forms other trainers read as they are. Needs no torch.

| format | written | read by |
|---|---|---|
| llava | `llava.json`, `images/` | LLaVA (`--data_path`, `--image_folder`) |
| messages | `train.jsonl`, `dataset_info.json`, `images/` | ms-swift, LLaMA-Factory |
| trl | `data/train-*.parquet`, images inside; a row an answer | TRL's SFTTrainer |
| axolotl | `train.jsonl`, `images/` | axolotl |
| nanovlm | `data/train-*.parquet`, images inside | nanoVLM |

Images are copied byte for byte. ms-swift and axolotl look for relative paths where they are started, so
these two get absolute ones; write the export where it is to stay.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import ExifTags, Image

from vision_flan.columns import IMAGE_TYPE, TURNS, TURNS_TYPE, Turn
from vision_flan.errors import Location, VflanError
from vision_flan.instances.compose import encode_png
from vision_flan.instances.images import decoded
from vision_flan.train.use import permitted

Row = dict[str, Any]
MARK = "<image>"
_COLUMNS = ["id", "image", TURNS, "task"]
_SUFFIX = {"JPEG": ".jpg", "TIFF": ".tif"}
_TEXT_PART = pa.struct([("type", pa.string()), ("text", pa.string())])
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(_TEXT_PART))]))
_VALUE = {"dtype": "string", "_type": "Value"}


class ExportError(VflanError):
    """The folder cannot be exported."""


def export(
    folder: Path,
    out: Path,
    form: str,
    tasks: Sequence[str] = (),
    *,
    include_forbidden: Sequence[str] = (),
    reason: str = "",
) -> int:
    """Writes `folder`, or some of its tasks, into `out`; the number of instances.

    Args:
        include_forbidden: tasks to write although their makers forbid to train on them.
        reason: why.

    Raises:
        ForbiddenError: forbidden tasks are asked for, and no reason is given.
        ExportError: no compiled folder, an unknown task, or an `out` that already holds something.
    """
    found = sorted({path.parent.name for path in folder.glob("*/train-*.parquet")})
    if not found:
        raise ExportError("no compiled folder", where=Location(folder), hint="vflan compile --task <id>")
    unknown = [task for task in tasks if task not in found]
    if unknown:
        raise ExportError(
            f"no task {unknown[0]!r} here", where=Location(folder), hint="tasks: " + ", ".join(found)
        )
    chosen = permitted(list(tasks) or found, include_forbidden, reason)
    if not chosen:
        raise ExportError(
            "every task here is one that its makers forbid to train on",
            where=Location(folder),
            hint='--include-forbidden TASK --reason "..."',
        )
    if out.exists() and any(out.iterdir()):
        raise ExportError("the folder is not empty", where=Location(out), hint="give another --out")
    out.mkdir(parents=True, exist_ok=True)
    return FORMATS[form](folder, out.resolve(), chosen)


def _rows(folder: Path, task: str) -> Iterator[Row]:
    for file in sorted((folder / task).glob("train-*.parquet")):
        try:
            table = pq.ParquetFile(file)
            if TURNS not in table.schema_arrow.names:
                raise ExportError(f"no column {TURNS!r}", where=Location(file), hint="compile it again")
            for batch in table.iter_batches(batch_size=64, columns=_COLUMNS):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ExportError(
                f"not readable: {error}", where=Location(file), hint=f"vflan verify {folder}"
            ) from error


def _turns(row: Row, mark: str = "") -> list[Turn]:
    """Requests and answers without `<image>`, which every one of these trainers would take for an image.

    Args:
        mark: what stands before the first request where the row has an image.
    """
    turns = [Turn(*(turn[part].replace(MARK, "") for part in Turn._fields)) for turn in row["turns"]]
    turns = [turn._replace(user=turn.user.strip()) for turn in turns]
    if mark and row["image"]:
        turns[0] = turns[0]._replace(user=mark + turns[0].user)
    return turns


def _image(row: Row) -> bytes | None:
    return row["image"]["bytes"] if row["image"] else None


def _save_image(out: Path, row: Row, number: int) -> str:
    """Writes a row's image; its path under `out`, or nothing where it has none."""
    data = _image(row)
    if data is None:
        return ""
    try:
        kind, data = _upright(data)
    except Exception as error:  # Pillow lets out whatever a damaged file makes it stumble over
        raise ExportError(f"the image of {row['id']} is not readable: {error}") from error
    path = Path("images") / str(row["task"]) / f"{number:07}{_SUFFIX.get(kind, '.' + kind.lower())}"
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    (out / path).write_bytes(data)
    return path.as_posix()


def _upright(data: bytes) -> tuple[str, bytes]:
    """Format and bytes. What EXIF turns becomes an upright PNG, since not all trainers heed EXIF."""
    with Image.open(io.BytesIO(data)) as image:
        kind = str(image.format)
        turned = image.getexif().get(ExifTags.Base.Orientation) in range(2, 9)
    return ("PNG", encode_png(decoded(data))) if turned else (kind, data)


def _numbered(folder: Path, tasks: Sequence[str]) -> Iterator[tuple[int, Row]]:
    for task in tasks:
        yield from enumerate(_rows(folder, task))


def _llava(folder: Path, out: Path, tasks: Sequence[str]) -> int:
    count = 0
    with (out / "llava.json").open("w", encoding="utf-8") as file:
        file.write("[")
        for number, row in _numbered(folder, tasks):
            image = _save_image(out, row, number)
            said = [
                {"from": speaker, "value": text}
                for turn in _turns(row, f"{MARK}\n")
                for speaker, text in zip(("human", "gpt"), turn, strict=True)
            ]
            entry = {"id": row["id"], "conversations": said}
            file.write(
                (",\n" if count else "\n") + json.dumps({**entry, **({"image": image} if image else {})})
            )
            count += 1
        file.write("\n]\n")
    return count


def _messages(folder: Path, out: Path, tasks: Sequence[str]) -> int:
    def line(row: Row, image: str) -> Row:
        messages = [
            {"role": role, "content": text}
            for turn in _turns(row, f"{MARK}\n")
            for role, text in turn._asdict().items()
        ]
        return {"messages": messages, "images": [image] if image else []}

    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    columns = {"messages": "messages", "images": "images"}
    info = {"file_name": "train.jsonl", "formatting": "sharegpt", "columns": columns, "tags": tags}
    (out / "dataset_info.json").write_text(
        json.dumps({"vision_flan": info}, indent=2) + "\n", encoding="utf-8"
    )
    return _json_lines(folder, out, tasks, line)


def _axolotl(folder: Path, out: Path, tasks: Sequence[str]) -> int:
    def line(row: Row, image: str) -> Row:
        messages = [message for turn in _turns(row) for message in _messages_of(turn)]
        if image:
            messages[0]["content"].insert(0, {"type": "image", "path": image})
        return {"messages": messages}

    return _json_lines(folder, out, tasks, line)


def _messages_of(turn: Turn) -> list[Row]:
    return [
        {"role": role, "content": [{"type": "text", "text": text}]} for role, text in turn._asdict().items()
    ]


def _json_lines(folder: Path, out: Path, tasks: Sequence[str], line: Callable[[Row, str], Row]) -> int:
    count = 0
    with (out / "train.jsonl").open("w", encoding="utf-8") as file:
        for number, row in _numbered(folder, tasks):
            image = _save_image(out, row, number)
            made = line(row, str(out / image) if image else "")
            file.write(json.dumps(made, ensure_ascii=False) + "\n")
            count += 1
    return count


def _trl(folder: Path, out: Path, tasks: Sequence[str]) -> int:
    def records(row: Row) -> Iterator[Row]:
        """One for each answer, with all that was said before as its prompt: TRL learns completions only."""
        data = _image(row)
        said: list[Row] = []
        for turn in _turns(row):
            asked, answer = _messages_of(turn)
            if data is not None and not said:
                asked["content"].insert(0, {"type": "image", "text": None})
            said.append(asked)
            yield {
                "images": [] if data is None else [{"bytes": data, "path": None}],
                "prompt": list(said),
                "completion": [answer],
            }
            said.append(answer)

    part = {"type": _VALUE, "text": _VALUE}
    message = {"role": _VALUE, "content": {"feature": part, "_type": "List"}}
    messages = {"feature": message, "_type": "List"}
    fields = [pa.field("prompt", _MESSAGES), pa.field("completion", _MESSAGES)]
    return _parquet(folder, out, tasks, fields, {"prompt": messages, "completion": messages}, records)


def _nanovlm(folder: Path, out: Path, tasks: Sequence[str]) -> int:
    def records(row: Row) -> Iterator[Row]:
        data = _image(row)
        yield {
            "images": [] if data is None else [{"bytes": data, "path": None}],
            "texts": [turn._asdict() for turn in _turns(row)],
            "source": row["task"],
        }

    features = {
        "texts": {"feature": {"user": _VALUE, "assistant": _VALUE}, "_type": "List"},
        "source": _VALUE,
    }
    fields = [pa.field("texts", TURNS_TYPE), pa.field("source", pa.string())]
    return _parquet(folder, out, tasks, fields, features, records)


def _parquet(
    folder: Path,
    out: Path,
    tasks: Sequence[str],
    fields: Sequence[pa.Field],
    features: dict[str, Any],
    records: Callable[[Row], Iterator[Row]],
) -> int:
    """One file a task, 64 rows a group, with the features `datasets` needs to see images."""
    features = {"images": {"feature": {"_type": "Image"}, "_type": "List"}, **features}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([pa.field("images", pa.list_(IMAGE_TYPE)), *fields], metadata=metadata)
    (out / "data").mkdir()
    count = 0
    for task in tasks:
        with pq.ParquetWriter(out / "data" / f"train-{task}.parquet", schema) as writer:
            group: list[Row] = []
            for row in _rows(folder, task):
                group.extend(records(row))
                if len(group) >= 64:
                    writer.write_table(pa.Table.from_pylist(group, schema=schema))
                    group = []
                count += 1
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
    return count


FORMATS: dict[str, Callable[[Path, Path, Sequence[str]], int]] = {
    "llava": _llava,
    "messages": _messages,
    "trl": _trl,
    "axolotl": _axolotl,
    "nanovlm": _nanovlm,
}
