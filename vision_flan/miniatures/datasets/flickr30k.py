"""Flickr30k: five tokenised captions a picture in one .token file, with the split of Flickr30k Entities.

`n` counts pictures of train; val and test get a tenth each. `source_id` is the picture's file name.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature


def generate(mini: Miniature) -> None:
    few = max(mini.n // 10, 1)
    with ExitStack() as stack:
        pictures = stack.enter_context(mini.pack("flickr30k-images.tar.gz"))
        package = stack.enter_context(mini.pack("flickr30k.tar.gz"))
        add_caption = stack.enter_context(package.lines("results_20130124.token"))
        add_unrelated = stack.enter_context(mini.lines("UNRELATED_CAPTIONS"))
        add_unrelated("# format: <imageID> <sentence number>")
        first = 0
        for split, count in (("train", mini.n), ("val", few), ("test", few)):
            with mini.lines(f"{split}.txt") as add_id:
                for index in range(first, first + count):
                    photo = str(mini.number(index, 10_000, 9_999_999_999))
                    captions = _captions(mini, index)
                    add_id(photo)
                    for number, caption in enumerate(captions):
                        add_caption(f"{photo}.jpg#{number}\t{_tokenised(caption)}")
                    card = partial(draw.caption_card, captions[0], (128, 96))
                    pictures.image(f"flickr30k-images/{photo}.jpg", card)
                    if index % 20 == 13:
                        add_unrelated(f"{photo} 5")
                    if split == "train":
                        _truth(mini, photo, captions, unrelated=index % 20 == 13)
            first += count


def _captions(mini: Miniature, index: int) -> list[str]:
    rng = mini.rng(index)
    captions = [text.sentence(rng) for _ in range(4)]
    return [*captions, f"A man's {text.subject(rng)}, and {text.clause(rng)}."]


def _tokenised(caption: str) -> str:
    """As the treebank writes it: blanks before punctuation."""
    return caption.replace(".", " .").replace(",", " ,").replace("'s", " 's")


def _truth(mini: Miniature, photo: str, captions: list[str], *, unrelated: bool) -> None:
    if unrelated:
        mini.truth("caption_flickr30k", f"{photo}.jpg", dropped="a caption of another picture")
        return
    lines = [f"Caption {number}: {caption}" for number, caption in enumerate(captions, start=1)]
    mini.truth("caption_flickr30k", f"{photo}.jpg", target="\n".join(lines))
