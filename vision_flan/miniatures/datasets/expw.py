"""ExpW: images from web searches, with one line per labeled face.

Upstream's images are a 7z archive in parts, which is never read in place: they are written unpacked in any
case. `n` counts images, of which every fifth has two labeled faces. `source_id` is the file name without
suffix, `angry_actor_104`.
"""

from __future__ import annotations

from PIL import Image

from vision_flan.miniatures import draw, scenes
from vision_flan.miniatures.miniature import Miniature

#: The position is the code: upstream's word, and the noun of the target.
_EXPRESSIONS = (
    ("angry", "anger"),
    ("disgust", "disgust"),
    ("fear", "fear"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("surprise", "surprise"),
    ("neutral", "neutral"),
)
_QUERIES = ("angry_actor", "happy_lady", "excited_asian", "neutral_teacher")


def generate(mini: Miniature) -> None:
    codes = (f'"{code}" "{word}"' for code, (word, _) in enumerate(_EXPRESSIONS))
    readme = "\ufefflabel.lst\uff1a each line indicates an image as follows:"
    mini.write_lines("data/readme.txt", (readme, "image_name face_id_in_image ...", "", *codes))
    with mini.lines("data/label/label.lst") as add:
        for index in range(mini.n):
            rng = mini.rng(index)
            stem = f"{_QUERIES[index % 4]}_{3 * (index // 4) + 1}"
            image = draw.blank((200, 100), (235, 235, 235))
            labels = [rng.choice((0, 1, 2, 3, 3, 4, 5, 6, 6)) for _ in range(2 if index % 5 == 4 else 1)]
            for place, label in enumerate(labels):
                left = 100 * place - 2  # boxes may extend beyond the image
                add(f"{stem}.jpg {2 * place} -1 {left} {left + 96} 95 {rng.uniform(5, 99):.4f} {label}")
                _put(image, _EXPRESSIONS[label][0], left, tone=index)
                key = f"{stem}#{2 * place}"
                mini.truth("face_expw_expression", key, target=_EXPRESSIONS[label][1])
            mini.image(f"data/image/origin/{stem}.jpg", image)


def _put(image: Image.Image, expression: str, left: int, *, tone: int) -> None:
    image.paste(scenes.face(expression, (96, 96), tone=tone), (left, -1))
