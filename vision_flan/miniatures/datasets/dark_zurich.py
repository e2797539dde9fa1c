"""Dark Zurich: frames of drives in daylight, at twilight and by night, in folders of sequences.

`n` counts train frames; val gets a tenth, with a day image each. `source_id` is the stem,
`GOPR0375_frame_000495_rgb_anon`.
"""

from __future__ import annotations

from PIL import Image

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

#: Folder, shown name, sequences, color of the sky.
_TIMES = (
    ("day", "daytime", ("GOPR0345", "GP010345"), (170, 200, 235)),
    ("twilight", "twilight", ("GOPR0375",), (110, 100, 140)),
    ("night", "nighttime", ("GOPR0351", "GOPR0376"), (25, 25, 45)),
)


def _street(sky: draw.Color, words: str, note: str) -> Image.Image:
    street = draw.blank((160, 90), sky)
    street.paste(draw.caption_card(words, (160, 40), note=note), (0, 50))
    return street


def generate(mini: Miniature) -> None:
    with mini.pack("Dark_Zurich_train_anon.zip") as tree:
        for index in range(mini.n):
            folder, name, sequences, sky = _TIMES[index % 3]
            sequence = sequences[index // 3 % len(sequences)]
            stem = f"{sequence}_frame_{index // 3 + 1:06d}"
            path = f"{folder}/{sequence}/{stem}"
            tree.image(f"rgb_anon/train/{path}_rgb_anon.png", _street(sky, name, stem))
            tree.write_text(f"gps/train/{path}_gps.csv", "47.37,8.54\n")
            mini.truth("scene_dark_zurich", f"{stem}_rgb_anon", target=name)
    with mini.pack("Dark_Zurich_val_anon.zip") as tree:
        for index in range(max(mini.n // 10, 1)):
            for part, (name, sky) in {"": ("night", (25, 25, 45)), "_ref": ("day", (170, 200, 235))}.items():
                stem = f"GOPR0356_frame_{index:06d}{part}_rgb_anon"
                folder = f"rgb_anon/val{part}/{name}/GOPR0356{part}"
                tree.image(f"{folder}/{stem}.png", _street(sky, name, stem))
                claim = {"dropped": "a reference image"} if part else {"target": "nighttime"}
                mini.truth("scene_dark_zurich", stem, **claim)
