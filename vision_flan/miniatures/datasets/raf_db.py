"""RAF-DB: portraits in an archive, one emotion per line, and one file of attributes per portrait.

The outer archive, basic.zip, comes by email and is unpacked by hand, so it is not written. `n` counts train
images; test gets a fifth. `source_id` is the file name without suffix, `train_00001`.
"""

from __future__ import annotations

from functools import partial

from PIL import Image, ImageDraw

from vision_flan.miniatures import draw, scenes
from vision_flan.miniatures.miniature import Miniature

#: Codes from 1.
_EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
#: Codes from 0.
_GENDERS = ("male", "female", "uncertain")
_RACES = ("Caucasian", "African-American", "Asian")
#: Skin tones of `scenes.face`, by race.
_TONES = (0, 2, 1)
_AGES = ("0-3", "4-19", "20-39", "40-69", "70 or over")


def generate(mini: Miniature) -> None:
    with (
        mini.pack("basic/Image/original.zip", into="basic/Image") as tree,
        mini.lines("basic/EmoLabel/list_patition_label.txt") as add,
    ):
        for split, digits, count in (("train", 5, mini.n), ("test", 4, max(mini.n // 5, 1))):
            for index in range(count):
                stem = f"{split}_{index + 1:0{digits}d}"
                emotion = mini.rng("emotion", stem).randrange(7)
                add(f"{stem}.jpg {emotion + 1}")
                gender, race, age = _attributes(mini, stem)
                person = f"{_GENDERS[gender]}, {_AGES[age]}"
                tree.image(f"original/{stem}.jpg", partial(_portrait, _EMOTIONS[emotion], race, person))
                if split == "train":
                    mini.truth("human_raf_db", stem, target=_answer(emotion, gender, race, age))


def _portrait(emotion: str, race: int, person: str) -> Image.Image:
    """A face of the race's tone, gender and age written below it."""
    portrait = draw.blank((96, 112), (200, 210, 220))
    portrait.paste(scenes.face(emotion, tone=_TONES[race]), (0, 0))
    draw.write(ImageDraw.Draw(portrait), (4, 97), person, (0, 0, 0), 10)
    return portrait


def _attributes(mini: Miniature, stem: str) -> tuple[int, int, int]:
    """Write landmarks, gender, race and age of a person; returns the last three."""
    rng = mini.rng("attributes", stem)
    codes = rng.choice((0, 0, 1, 1, 2)), rng.randrange(3), rng.randrange(5)
    landmarks = [f"{rng.uniform(20, 80):.3f}\t{rng.uniform(20, 80):.3f}" for _ in range(5)]
    landmarks[2] = landmarks[2].replace("\t", " ")
    mini.write_lines(f"basic/Annotation/manual/{stem}_manu_attri.txt", (*landmarks, *map(str, codes)))
    return codes


def _answer(emotion: int, gender: int, race: int, age: int) -> str:
    return (
        f"The person's perceived gender is {_GENDERS[gender]}, their perceived age is {_AGES[age]}, and "
        f"their perceived race is {_RACES[race]}. The emotion they show appears to be {_EMOTIONS[emotion]}."
    )
