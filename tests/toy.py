"""A small dataset of our own with every part of a spec, for tests of the compiler."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from vision_flan.build.compile import Options, Result, compile_task
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

#: A license that lets images go out, as a block of dataset.yaml.
LICENSE = """\
license:
  images:
    name: CC BY 4.0
    spdx: CC-BY-4.0
    verdict: "yes"
    evidence: [{url: "https://example.org/", quote: The squares are under CC BY 4.0., seen: 2026-01-02}]
  annotations: {name: CC BY 4.0, spdx: CC-BY-4.0, verdict: unclear}
"""
DATASET = (
    """\
dataset: toy
title: Toy
homepage: https://example.org/toy
"""
    + LICENSE
    + """\
citation: "@misc{toy2026, title = {Toy}}"
access: direct
files:
  - {path: toy.json, url: "https://example.org/toy.json", bytes: 1234, md5: 0123456789abcdef0123456789abcdef}
  - {path: images.zip, url: "https://example.org/images.zip", provides: [images/]}
labels:
  colors: {r: red, g: green, b: blue, y: yellow}
tables:
  records: {reader: json, file: toy.json, columns: {name: VARCHAR, color: VARCHAR}}
"""
)
TASK = """\
id: toy_color
title: Color of a square
category: General Object
dataset: toy
alias: Toy+color
table: records
key: name
image: images/{{ name }}
options: {labels: colors}
target: "{{ color | label('colors') }}"
form: options
"""
INSTRUCTION = "The image shows one square. Which color has it? Answer with the letter and its option.\n"

COLORS = {"r": (200, 20, 20), "g": (20, 160, 20), "b": (20, 20, 200), "y": (220, 220, 20)}


def square(color: str, image_format: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", size, COLORS[color]).save(sink, image_format)
    return sink.getvalue()


class Toy:
    """Specs, instructions, raw folder and compiled folder below one place.

    `task` and `dataset` are the YAML texts; change them with `replace`, then `compile`.
    """

    def __init__(self, root: Path, count: int = 12) -> None:
        self.root = root
        self.raw, self.out = root / "raw", root / "vision-flan"
        self.specs, self.instructions = root / "task_specs", root / "instructions"
        for folder in (self.specs / "toy", self.instructions, self.raw / "toy" / "images"):
            folder.mkdir(parents=True)
        self.write_specs(DATASET, TASK, INSTRUCTION)
        self.write_records([self.record(i) for i in range(count)])

    def write_specs(
        self, dataset: str | None = None, task: str | None = None, text: str | None = None
    ) -> None:
        if dataset is not None:
            (self.specs / "toy/dataset.yaml").write_text(dataset)
        if task is not None:
            (self.specs / "toy/toy_color.yaml").write_text(task)
        if text is not None:
            (self.instructions / "toy_color.j2").write_text(text)

    def record(self, i: int) -> dict[str, Any]:
        """Record i, with its image on disk."""
        color = "rgby"[i % 4]
        (self.raw / f"toy/images/{i:04}.png").write_bytes(square(color))
        return {"name": f"{i:04}.png", "color": color}

    def write_records(self, records: list[dict[str, Any]]) -> None:
        (self.raw / "toy/toy.json").write_text(json.dumps(records))

    def replace(self, old: str, new: str) -> None:
        """Change the task's YAML."""
        path = self.specs / "toy/toy_color.yaml"
        text = path.read_text()
        assert old in text, f"{old!r} is not in the spec"
        path.write_text(text.replace(old, new))

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.specs, self.instructions)

    def compile(self, report: Any = None, out: Path | None = None, **options: Any) -> Result:
        return compile_task(
            "toy_color", self.raw, out or self.out, self.catalog, Options(**options), report or Silent()
        )

    def rows(self, out: Path | None = None) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        files = sorted(((out or self.out) / "toy_color").glob("*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]


MakeToy = Callable[..., Toy]
