"""SentiCap: captions with a sentiment, of COCO's val2014 images.

`n` counts sentences of train, one to six per image; val gets a fifth, test four fifths. `source_id` is the
file name and the number of the sentence, `COCO_val2014_000000284106.jpg_0`. Images lie in
`mscoco/val2014`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

_WORDS = {1: ("lovely", "beautiful", "charming", "splendid"), 0: ("ugly", "lonely", "dirty", "dreary")}


def generate(mini: Miniature) -> None:
    with (
        mini.pack("senticap_dataset.zip") as tree,
        tree.json_array("senticap_dataset/data/senticap_dataset.json", "images") as add,
    ):
        index = 0
        for split, part in (("train", 1.0), ("val", 0.2), ("test", 0.8)):
            left = max(int(mini.n * part), 1)
            while left > 0:
                left -= _image(mini, add, split, index, left)
                index += 1


def _image(mini: Miniature, add: Any, split: str, index: int, most: int) -> int:
    """Write one image with at most `most` sentences; returns their number."""
    rng = mini.rng(index)
    image_id = mini.number(index, 1, coco.MAX_ID)
    file = coco.file_name("val2014", image_id)
    thing = text.subject(rng)
    coco.lend(mini.borrow("mscoco"), "val2014", image_id, partial(draw.caption_card, thing, (128, 96)))
    sentences = []
    for number in range(min(rng.randint(1, 6), most)):
        sentiment = rng.randrange(2)
        word = rng.choice(_WORDS[sentiment])
        raw = f"The {word} {thing} is {rng.choice(('outside', 'in the corner', 'on its own'))}."
        tokens = raw.lower().rstrip(".").split()
        marks = [int(place in (1, 2, 3)) for place in range(len(tokens))]
        told, raw = raw, (raw.lower().rstrip(".") if number % 3 == 1 else raw)  # many lack capital and period
        sentences.append({"raw": raw, "tokens": tokens, "sentiment": sentiment, "word_sentiment": marks})
        if split != "test":
            shown = f"Sentiment: {'positive' if sentiment else 'negative'}"
            mini.truth("caption_senticap", f"{file}_{number}", target=told, contains=shown)
    add({"filename": file, "imgid": index, "split": split, "sentences": sentences})
    return len(sentences)
