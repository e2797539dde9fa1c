"""Memotion 7k: memes with their texts and labels, in CSV whose cells contain line breaks and quotes.

`n` counts memes. `source_id` is the file name, `image_5624.jpg`.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_TOP = "memotion_dataset_7k"
_HEADER = text.listed(
    ",image_name,text_ocr,text_corrected,humour,sarcasm,offensive,motivational,overall_sentiment", ","
)
_SENTIMENTS = text.listed("very_negative negative neutral positive very_positive")
_SUFFIXES = (".jpg", ".png", ".jpg", ".jpeg", ".bmp", ".jpg")


def generate(mini: Miniature) -> None:
    with mini.pack("memotion-dataset-7k.zip") as tree:
        with tree.csv(f"{_TOP}/labels.csv", _HEADER) as add:
            for index in range(mini.n):
                rng = mini.rng(index)
                name = f"image_{index + 1}{_SUFFIXES[index % len(_SUFFIXES)]}"
                sentiment = _SENTIMENTS[index * 7 % len(_SENTIMENTS)]
                said = f'They said "bring {text.article(text.subject(rng))}",\nand now {text.clause(rng)}'
                corrected = "" if index % 12 == 8 else said
                kinds = ("funny", "general", "slight", "motivational")
                add([index, name, said.upper(), corrected, *kinds, sentiment])
                _image(mini, tree, name, sentiment, said, index)
        with tree.csv(f"{_TOP}/reference.csv", ["image_name"]) as add:
            add(["image_1.jpg"])


def _image(mini: Miniature, tree: Tree, name: str, sentiment: str, said: str, index: int) -> None:
    label = sentiment.replace("_", " ")
    card = partial(draw.caption_card, f"{label}: {said}", (160, 112), note=name)
    if index % 35 == 13:
        tree.image(f"{_TOP}/images/{name}", quirks.truncated(card()))
        mini.truth("meme_memotion_sentiment", name, dropped="broken picture")
        return
    other = index % 30 == 12  # a PNG with the suffix of a JPEG
    tree.image(f"{_TOP}/images/{name}", quirks.palette(card()) if other else card)
    mini.truth("meme_memotion_sentiment", name, answer=label)
