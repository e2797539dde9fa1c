"""VQG: five questions per image in CSV files of three sources, and captions of the Bing images.

`n` counts train images, a third from each source; val and test get half as many. `source_id` is
`<image_id>_<place>`, from 0. Upstream ships no images: they are at `images/<image_id>.jpg`, some COCO images
only where COCO has them; every tenth is a dead link.
"""

from __future__ import annotations

import uuid
from functools import partial

from vision_flan.miniatures import coco, draw, quirks, text
from vision_flan.miniatures.miniature import Miniature

_URLS = {
    "bing": "http://example.org/{}.jpg",
    "coco": "http://mscoco.org/images/{}",
    "flickr": "http://example.org/photos/{}_z.jpg",
}
_LISTED = "---"
_PEOPLE = text.listed("man woman boy girl child surfer skier chef player")
_PLACES = text.listed("in a park;on the beach;on a street;at a station;by a river;under a bridge", ";")
_CAPTIONS = (
    "{who} is standing near {what} {where}",
    "{who} waits beside {what} {where}",
    "there is {what} next to {who} {where}",
    "{who} has stopped in front of {what} {where}",
    "someone took a photo of {who} by {what} {where}",
)
_QUESTIONS = (
    "Was the {who} hurt, or only scared?",
    "How long has the {what} been there?",
    'Who said "stop" to the {who}?',
    "What happened to the {what}?",
    "Why did the {who} come here?",
)


def generate(mini: Miniature) -> None:
    for split, count in (("train", mini.n), ("val", max(mini.n // 2, 3)), ("test", max(mini.n // 2, 3))):
        for place, source in enumerate(_URLS):
            header = ["image_id", "image_url", "questions", "ratings"]
            if source == "bing":
                header = ["image_id", "image_url", "query_term", "questions", "captions"]
            # some editors put a byte order mark before the header
            encoding = "utf-8-sig" if source == "coco" else "utf-8"
            with mini.csv(f"{source}_{split}_all.csv", header, encoding=encoding) as add:
                for index in range(place, count, len(_URLS)):
                    add(_row(mini, source, split, index))


def _is_dead(index: int) -> bool:
    return index % 10 == 7


def _row(mini: Miniature, source: str, split: str, index: int) -> list[str]:
    rng = mini.rng(source, split, index)
    if source == "bing":
        image_id = str(uuid.UUID(mini.hex_id(32, split, index)))
    else:
        # what COCO must not have is beyond its ids: a dead image, which another dataset of the raw folder
        # might draw, and Flickr's
        beyond = 2 * (source == "flickr") + _is_dead(index)
        low = beyond * coco.MAX_ID + 1
        image_id = str(mini.number(index, low, low + coco.MAX_ID - 1, split, source))
    who, what, where = rng.choice(_PEOPLE), text.subject(rng), rng.choice(_PLACES)
    questions = [question.format(who=who, what=what) for question in rng.sample(_QUESTIONS, 5)]
    scene = {"who": text.article(who), "what": text.article(what), "where": where}
    captions = [caption.format(**scene) for caption in _CAPTIONS]
    if index % 15 == 4:
        questions[3] = ""
    dead = _is_dead(index)
    _image(mini, source, split, index, image_id, captions[0])
    if split == "train":
        for place, question in enumerate(questions):
            if dead or not question:
                claim = {"dropped": "no picture" if dead else "an empty part"}
            else:
                claim = {"target": question}
            mini.truth("rationale_vqg", f"{image_id}_{place}", **claim)
    url, joined = _URLS[source].format(image_id), f" {_LISTED}".join(questions)
    if source != "bing":
        return [image_id, url, joined, _LISTED.join("3" for _ in questions)]
    if split == "train":
        for place, caption in enumerate(captions):
            claim = {"dropped": "no picture"} if dead else {"target": f"{caption[0].upper()}{caption[1:]}."}
            mini.truth("caption_vqg", f"{image_id}_{place}", **claim)
    return [image_id, url, "earthquake", joined, _LISTED.join(captions)]


def _image(mini: Miniature, source: str, split: str, index: int, image_id: str, shown: str) -> None:
    card = partial(draw.caption_card, shown, (128, 96), note=image_id)
    if _is_dead(index):
        if index % 20 == 7:  # the response of a dead link, saved as if it were the image
            mini.image(f"images/{image_id}.jpg", quirks.not_an_image())
    elif source == "coco" and index % 2:
        coco.lend(mini.borrow("mscoco"), "val2014" if index % 3 else "train2014", int(image_id), card)
    else:
        mini.image(f"images/{image_id}.jpg", card)
