"""The sound catalog of tests/bad_specs with raw files to it: ten pets, each with an image."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

from PIL import Image

from vision_flan.spec.catalog import Catalog

SOUND = Path(__file__).parent / "review" / "bad_specs" / "sound"
TASK = "animal_pets"


def pets_catalog(folder: Path) -> Catalog:
    """A catalog of one dataset with one task, in a folder that may be changed."""
    shutil.copytree(SOUND, folder, dirs_exist_ok=True)
    return Catalog(folder / "task_specs", folder / "instructions")


def pets_raw(raw: Path, count: int = 10, names: tuple[str, ...] = ("Rex",)) -> Path:
    """Raw files of the dataset; names are taken in turn. Returns `raw`."""
    folder = raw / "pets"
    (folder / "images").mkdir(parents=True)
    with (folder / "pets.jsonl").open("w", encoding="utf-8") as out:
        for i in range(count):
            name = names[i % len(names)]
            out.write(json.dumps({"id": i, "kind": "cdp"[i % 3], "name": name, "colours": ["red"]}) + "\n")
            (folder / "images" / f"{i}.jpg").write_bytes(image(i))
    return raw


def image(i: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (20 * i % 256, 90, 120)).save(out, "JPEG")
    return out.getvalue()
