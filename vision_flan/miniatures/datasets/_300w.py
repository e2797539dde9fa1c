"""300-W: portraits in two folders, indoor and outdoor, with 68 landmarks beside each.

`n` counts images, half of them indoors. `source_id` is the file's stem, `indoor_001`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

_FOLDERS = {"indoor": "01_Indoor", "outdoor": "02_Outdoor"}


def generate(mini: Miniature) -> None:
    with mini.pack("300w.zip") as tree:
        for index in range(mini.n):
            place = ("indoor", "outdoor")[index % 2]
            name = f"{place}_{index // 2 + 1:03d}"
            stem = f"300W/{_FOLDERS[place]}/{name}"
            size = draw.some_size(mini.rng(index), 96, 200)
            portrait = draw.caption_card(f"a face, {place}", size, note=name)
            tree.image(f"{stem}.png", quirks.rgba(portrait) if index % 20 == 9 else portrait)
            points = (f"{7 * point % size[0]}.500000 {5 * point % size[1]}.250000" for point in range(68))
            tree.write_lines(f"{stem}.pts", ("version: 1", "n_points: 68", "{", *points, "}"))
            mini.truth("scene_300w", name, target=f"{place}s")
