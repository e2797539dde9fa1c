"""What a straightforward script would be: pyarrow, the checks that matter, no package of ours.

It joins the captions, opens each image's header with Pillow, renders a template a row, writes uncompressed
Parquet and hashes each shard afterwards. It plans nothing, keeps no manifest, notices no changed file, and
cannot resume.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

INSTRUCTION = "Describe the {{ what }} in one sentence."
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("instruction", pa.string()),
        ("target", pa.string()),
    ]
)
#: Rows of a row group, and bytes after which the next shard begins.
ROWS, SHARD_BYTES = 100, 256_000_000


def instances(root: Path, part: int, of: int) -> Iterator[dict[str, object]]:
    """The rows of a part of the captions; images that Pillow cannot open are left out."""
    document = json.loads((root / "raw/bench/captions.json").read_bytes())
    names = {image["id"]: image["file_name"] for image in document["images"]}
    template = jinja2.Environment().from_string(INSTRUCTION)
    notes = document["annotations"]
    share = -(-len(notes) // of)
    for note in notes[part * share : (part + 1) * share]:
        name = names[note["image_id"]]
        data = (root / "raw/bench/images" / name).read_bytes()
        try:
            Image.open(io.BytesIO(data)).close()
        except OSError:
            continue
        yield {
            "id": name,
            "image": {"bytes": data, "path": name},
            "instruction": template.render(what="image"),
            "target": note["caption"],
        }


def write(root: Path, out: Path, part: int, of: int) -> None:
    """Write a part of the rows to shards of its own, and their checksums beside them."""
    rows = instances(root, part, of)
    sums = []
    for number in itertools.count():
        shard = out / f"{part}-{number:05}.parquet"
        size = 0
        with pq.ParquetWriter(shard, SCHEMA, compression="none", use_dictionary=False) as writer:
            while size < SHARD_BYTES and (some := list(itertools.islice(rows, ROWS))):
                group = pa.Table.from_pylist(some, SCHEMA)
                writer.write_table(group)
                size += group.nbytes
        with shard.open("rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
        if size < SHARD_BYTES:
            break
    (out / f"{part}.json").write_text(json.dumps(sums))
