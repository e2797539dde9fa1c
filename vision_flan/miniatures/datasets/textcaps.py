"""TextCaps: captions that quote the text in photos, one record per caption, in one JSON list per split.

`n` counts captions of train, about five per image; val and test get a tenth each. `source_id` is the
caption id. Images of train and val lie in train_images.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, open_images, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

#: Five people's captions of one image.
_CAPTIONS = (
    "The word {word} stands on {thing}.",
    "There is {thing} that says {word}.",
    "{word} is written on {thing}.",
    "You can read {word} on {thing}.",
    'A photo of {thing} with the writing "{word}".',
)
_PER_IMAGE = len(_CAPTIONS)


def generate(mini: Miniature) -> None:
    few = max(mini.n // 10, 1)
    listed = [mini.hex_id(16, "train", first) for first in range(0, mini.n, _PER_IMAGE)]
    lender = mini.borrow("textocr")
    open_images.authors(mini, lender, "open_images/images-of-textcaps.csv", "train", listed)
    with mini.pack("train_val_images.zip") as tree:
        _split(mini, tree, "train", mini.n)
        _split(mini, tree, "val", few)
    with mini.pack("test_images.zip") as tree:
        _split(mini, tree, "test", few)


def _split(mini: Miniature, tree: Tree, split: str, count: int) -> None:
    head = {"dataset_name": "textcaps", "dataset_version": "0.1", "dataset_type": split}
    folder = "test_images" if split == "test" else "train_images"
    with mini.json_array(f"TextCaps_0.1_{split}.json", "data", head) as add:
        for first in range(0, count, _PER_IMAGE):
            image_id = mini.hex_id(16, split, first)
            rng = mini.rng(split, first)
            word, thing = rng.choice(text.SIGNS), text.subject(rng)
            card = partial(draw.caption_card, word, draw.some_size(rng, 96), note=thing)
            tree.image(f"{folder}/{image_id}.jpg", card)
            captions = [caption.format(thing=text.article(thing), word=word) for caption in _CAPTIONS]
            record = _image(image_id, split)
            if split == "test":
                add(record)
                continue
            for place in range(min(_PER_IMAGE, count - first)):
                add(record | _caption(mini, split, first + place, captions, place))


def _image(image_id: str, split: str) -> dict[str, object]:
    return {
        "image_id": image_id,
        "image_classes": ["Poster"],
        "flickr_original_url": f"https://example.org/{image_id}_o.jpg",
        "flickr_300k_url": f"https://example.org/{image_id}_z.jpg",
        "image_width": 128,
        "image_height": 96,
        "set_name": split,
        "image_name": image_id,
        "image_path": f"{'test' if split == 'test' else 'train'}/{image_id}.jpg",
    }


def _caption(mini: Miniature, split: str, index: int, captions: list[str], place: int) -> dict[str, object]:
    """Fields of one caption; a few records of train lack it."""
    tokens = [["<s>", *caption.lower().rstrip(".").split(), "</s>"] for caption in captions]
    number = index if split == "train" else 1_000_000 + index
    known = {"caption_id": number, "reference_strs": captions, "reference_tokens": tokens}
    lost = index % 30 == 17
    if split == "train" and lost:
        mini.truth("caption_textcaps", number, dropped="no caption")
    elif split == "train":
        mini.truth("caption_textcaps", number, target=captions[place])
    return known if lost else known | {"caption_str": captions[place], "caption_tokens": tokens[place]}
