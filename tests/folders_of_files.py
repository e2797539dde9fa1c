"""Raw folders as a person has them who brings a dataset: real formats, drawn images, no spec."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

from PIL import Image, ImageDraw

ANIMALS = ("Garden_Snail", "Roman_Snail", "Water_Snail")


def photo(seed: object, size: tuple[int, int] = (48, 36), form: str = "JPEG", mode: str = "RGB") -> bytes:
    """An image that differs from others."""
    rng = random.Random(str(seed))
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = rng.randrange(size[0] - 8), rng.randrange(size[1] - 8)
        draw.rectangle((x, y, x + 7, y + 7), fill=tuple(rng.randrange(256) for _ in range(3)))
    out = io.BytesIO()
    image.convert(mode).save(out, form)
    return out.getvalue()


def snails(raw: Path, count: int = 30) -> Path:
    """Class folders in a zip: some suffixes in upper case, a gray image, Thumbs.db, a text for people."""
    folder = raw / "snails"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "snails.zip", "w") as archive:
        for i in range(count):
            kind = ANIMALS[i % len(ANIMALS)]
            ending = "JPG" if i % 7 == 0 else "jpg"
            mode = "L" if i == 4 else "RGB"
            archive.writestr(f"snails/{kind}/IMG_{i:04}.{ending}", photo(i, mode=mode))
        archive.writestr("snails/Roman_Snail/Thumbs.db", b"x")
        archive.writestr("snails/README.txt", "Snails of the garden. All of them.\nThank you.\n")
    return folder


def paintings(raw: Path, count: int = 24) -> Path:
    """A Latin-1 CSV with semicolons, quotes and CRLF; images in a folder, one of them missing."""
    folder = raw / "paintings"
    (folder / "bilder").mkdir(parents=True)
    styles = ("Surréalisme", "Réalisme", "Cubisme")
    lines = ['Nr;Datei;Stil;"Künstler; Jahr"']
    for i in range(count):
        if i != 3:
            (folder / "bilder" / f"b{i:03}.png").write_bytes(photo(i, form="PNG"))
        lines.append(f'{i:04};b{i:03}.png;{styles[i % 3]};"Müller, {1900 + i}"')
    text = "".join(line + "\r\n" for line in lines)
    (folder / "liste.csv").write_bytes(text.encode("latin-1"))
    return folder


def harbor(raw: Path, count: int = 20) -> Path:
    """COCO JSON: images with several objects of several categories, and crowds."""
    folder = raw / "harbor"
    (folder / "photos").mkdir(parents=True)
    rng = random.Random(1)
    names = ("sailing_boat", "buoy", "gull")
    annotations: list[dict[str, object]] = []
    images = []
    for i in range(count):
        (folder / "photos" / f"{i:06}.jpg").write_bytes(photo(i))
        images.append({"id": 100 + i, "file_name": f"{i:06}.jpg", "width": 48, "height": 36})
        for _ in range(rng.randrange(1, 6)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 + i,
                    "category_id": rng.randrange(3) + 1,
                    "bbox": [1, 2, 3.5, 4],
                    "iscrowd": int(rng.random() < 0.1),
                    "segmentation": [],
                }
            )
    categories = [{"id": n + 1, "name": name, "supercategory": "thing"} for n, name in enumerate(names)]
    document = {
        "info": {"year": 2024, "contributor": "somebody"},
        "licenses": [{"id": 1, "name": "CC BY 4.0"}],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    (folder / "instances_train.json").write_text(json.dumps(document))
    return folder


def pairs(raw: Path, count: int = 16) -> Path:
    """JSON lines with two images and the turns of a dialogue."""
    folder = raw / "pairs"
    (folder / "img").mkdir(parents=True)
    with (folder / "dialogues.jsonl").open("w", encoding="utf-8") as out:
        for i in range(count):
            for side in "ab":
                (folder / "img" / f"{i}{side}.jpg").write_bytes(photo(f"{i}{side}"))
            turns = [
                {"from": "human", "value": "<image>\n<image>\nWhich one is brighter?"},
                {"from": "gpt", "value": "the left one" if i % 2 else "the right one"},
                {"from": "human", "value": "Are they the same size?"},
                {"from": "gpt", "value": ("yes", "no", "nearly")[i % 3]},
            ]
            record = {"id": f"d{i}", "images": [f"{i}a.jpg", f"{i}b.jpg"], "conversations": turns}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    return folder
