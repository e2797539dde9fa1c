"""Flickr30k: five tokenized captions per image in one .token file, with the split of Flickr30k Entities.

`n` counts images of train; val and test get a tenth each. `source_id` is the image's file name.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_PEOPLE = text.listed("man woman boy girl child skier surfer")
_ACTS = text.listed(
    "standing near;sitting beside;looking at;walking past;running towards;resting against", ";"
)
_PLACES = text.listed("on the beach;in a park;on a street;at a station;in the snow;by a river", ";")


def generate(mini: Miniature) -> None:
    few = max(mini.n // 10, 1)
    with ExitStack() as stack:
        images = stack.enter_context(mini.pack("flickr30k-images.tar.gz"))
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
                        add_caption(f"{photo}.jpg#{number}\t{_tokenized(caption)}")
                    card = partial(draw.caption_card, captions[0], (160, 120))
                    images.image(f"flickr30k-images/{photo}.jpg", card)
                    if _unrelated(index):
                        add_unrelated(f"{photo} 5")
                    if split == "train":
                        _truth(mini, photo, captions, unrelated=_unrelated(index))
            first += count


def _captions(mini: Miniature, index: int) -> list[str]:
    """Five captions of one scene; the third starts in lower case and has no period, as upstream's may."""
    rng = mini.rng(index)
    who, what, where = rng.choice(_PEOPLE), rng.choice(_ACTS), rng.choice(_PLACES)
    color, thing = rng.choice(text.COLORS), text.article(text.subject(rng))
    captions = [
        f'{text.article(who).capitalize()} in {text.article(color)} "GO" shirt is {what} {thing} {where}.',
        f"{where.capitalize()}, {text.article(who)} is {what} {thing}.",
        f"{text.article(who)} {what} {thing}",
        f"The {who}'s shirt is {color}, and there is {thing} nearby.",
        f"{text.article(who).capitalize()} (wearing {color}) is {where} with {thing}.",
    ]
    return [*captions[:4], text.sentence(rng)] if _unrelated(index) else captions


def _unrelated(index: int) -> bool:
    """Whether the fifth caption is of another image."""
    return index % 20 == 13


def _tokenized(caption: str) -> str:
    """Penn Treebank style: spaces around punctuation, quotes and parentheses."""
    for mark in '.,()"':
        caption = caption.replace(mark, f" {mark} ")
    return " ".join(caption.replace("'s", " 's").split())


def _truth(mini: Miniature, photo: str, captions: list[str], *, unrelated: bool) -> None:
    if unrelated:
        mini.truth("caption_flickr30k", f"{photo}.jpg", dropped="a caption of another picture")
        return
    sentences = [text.closed(caption[0].upper() + caption[1:]) for caption in captions]
    lines = [f"Caption {number}: {caption}" for number, caption in enumerate(sentences, start=1)]
    mini.truth("caption_flickr30k", f"{photo}.jpg", target="\n".join(lines))
