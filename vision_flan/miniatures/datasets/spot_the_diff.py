"""Spot-the-diff: pairs of frames and sentences about what changed.

`n` counts train records; val gets a sixth, test a seventh. `source_id` is `<img_id>-<record>`, where records
of one pair count from 1 in the order of the file.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_SIZE = (224, 224)
_NONE = "there are no differences"
#: How annotators say so, and what says nothing.
_NO_CHANGE = (
    "no change",
    "none",
    "images are identical",
    "There is no difference.",
    "the two pictures look the same",
)
_JUNK = ("t", "na", "invalid", "N/A")


def generate(mini: Miniature) -> None:
    counts = {"train": mini.n, "val": max(mini.n // 6, 1), "test": max(mini.n // 7, 1)}
    if mini.archives:
        with mini.archive("data/resized_images.zip") as tree:
            _splits(mini, tree, "resized_images", counts)
    else:
        _splits(mini, mini, "data/resized_images", counts)


def _splits(mini: Miniature, tree: Tree, folder: str, counts: dict[str, int]) -> None:
    first = 0
    for split, count in counts.items():
        with mini.json_array(f"data/annotations/{split}.json") as add:
            for index in range(count):
                # every eighth record is about the previous pair, by another annotator
                record = 2 if index % 8 == 7 else 1
                pair = first + index - (record - 1)
                image_id = str(mini.number(pair, 1, max(20_000, 4 * mini.n), "pair"))
                changed = _changes(mini.rng("pair", pair), same=index % 8 == 4)
                if record == 1:
                    _images(tree, f"{folder}/{image_id}", changed)
                add({"img_id": image_id, "sentences": _sentences(changed, index)})
                if split == "train":
                    _truth(mini, f"{image_id}-{record}", changed, index)
        first += count


def _changes(rng: Random, *, same: bool) -> list[tuple[str, bool]]:
    """Objects of the pair, and whether each is missing from the second image."""
    return [(text.subject(rng), rng.random() < 0.5 and not same) for _ in range(3)]


def _sentences(changed: list[tuple[str, bool]], index: int) -> list[str]:
    if index % 20 == 6:
        return ["", " "]
    if index % 20 == 11:
        return [_JUNK[index // 20 % len(_JUNK)]]
    if index % 8 == 4:
        return [_NO_CHANGE[index // 8 % len(_NO_CHANGE)]]
    gone = [f"the {thing} is gone" for thing, away in changed if away]
    return ["", "na", *gone] if gone and index % 5 == 1 else gone or [_NONE]


def _truth(mini: Miniature, key: str, changed: list[tuple[str, bool]], index: int) -> None:
    sentences = [text for text in _sentences(changed, index) if text.strip() and text not in _JUNK]
    if sentences:
        sentences = [_NONE] if sentences[0] in _NO_CHANGE else sentences
        mini.truth("matching_spot_the_diff", key, target="; ".join(sentences))
    else:
        mini.truth("matching_spot_the_diff", key, dropped="no sentence")


def _images(tree: Tree, stem: str, changed: list[tuple[str, bool]]) -> None:
    boxes = [(thing, (10, 10 + 70 * place, 180, 50)) for place, (thing, _) in enumerate(changed)]
    left = partial(draw.objects_scene, _SIZE, boxes)
    kept = [box for box, (_, away) in zip(boxes, changed, strict=True) if not away]
    right = partial(draw.objects_scene, _SIZE, kept)
    tree.image(f"{stem}.png", lambda: quirks.rgba(left()))
    tree.image(f"{stem}_2.png", right)
    tree.image(
        f"{stem}_diff.jpg", partial(draw.objects_scene, _SIZE, [box for box in boxes if box not in kept])
    )
