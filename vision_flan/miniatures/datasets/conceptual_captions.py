"""Conceptual Captions: two columns without header, caption and URL; images fetched by the user.

`n` counts rows of train, val gets a tenth. `source_id` is the row number from 0, in nine digits, which also
names the image. Every tenth URL is dead, every tenth returns a web page.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature

_FILES = {"train": "Train_GCC-training.tsv", "val": "Validation_GCC-1.1.0-Validation.tsv"}


def generate(mini: Miniature) -> None:
    for split, count in (("train", mini.n), ("val", max(mini.n // 10, 1))):
        with mini.lines(_FILES[split]) as add:
            for index in range(count):
                rng = mini.rng(split, index)
                thing = text.subject(rng)
                where = ("[ left ]", "[ right ]", "( at the back )")[index % 3]
                film = (f'in actor \'s film "{thing}"', f'"{thing}" , film by actor')[index % 4 == 1]
                caption = f"{film} : {text.clause(rng)} {where} ."
                # quote characters do not quote, and the last part of a URL need not be unique
                add(f"{caption}\thttps://example.org/{mini.hex_id(8, split, index)}/photo-{index % 3}")
                if split == "train":
                    _image(mini, index, caption)


def _image(mini: Miniature, index: int, caption: str) -> None:
    row = f"{index:09d}"
    shown = caption.replace(" 's", "'s").replace(" ,", ",").replace(" :", ":").replace(" .", ".")
    for tokens, written in (("( ", "("), (" )", ")"), ("[ ", "["), (" ]", "]")):
        shown = shown.replace(tokens, written)
    if index % 10 == 8:
        mini.truth("caption_conceptual_captions", row, dropped="the address is dead")
        return
    if index % 10 == 3:
        mini.image(f"images/{row}.jpg", quirks.not_an_image())
        mini.truth("caption_conceptual_captions", row, dropped="a web page, not a picture")
        return
    mini.image(f"images/{row}.jpg", partial(draw.caption_card, shown, (160, 120)))
    mini.truth("caption_conceptual_captions", row, target=shown)
