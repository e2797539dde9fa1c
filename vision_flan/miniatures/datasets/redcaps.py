"""RedCaps: Reddit posts, one JSON file per subreddit and year; images as upstream's downloader saves them.

`n` counts posts over five files. `source_id` is the post's id in base 36. Every tenth image is gone, one
in twenty left an error page, captions may be empty after cleaning.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature

_FILES = ("abandoned_2017", "itookapicture_2020", "birding_2019", "birding_2020", "food_2018")
_TASKS = ("caption_redcaps", "caption_redcaps_subreddit")
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def generate(mini: Miniature) -> None:
    with mini.pack("redcaps_v1.0_annotations.zip") as tree:
        for place, stem in enumerate(_FILES):
            head = {"info": {"start_date": "2008-01-01", "version": "1.0", "nsfw_filter": True}}
            with tree.json_array(f"annotations/{stem}.json", "annotations", head) as add:
                for index in range(place, mini.n, len(_FILES)):
                    add(_post(mini, stem.partition("_")[0], index))


def _post(mini: Miniature, subreddit: str, index: int) -> dict[str, object]:
    rng = mini.rng(index)
    key = _base36(mini.number(index, 36**5, 36**6 - 1))
    caption = "" if index % 20 == 11 else f"my <usr> found {text.article(text.subject(rng))}"
    told = caption.replace(" <usr>", "")
    if index % 20 == 12:
        caption, told = f"{caption}, by <usr>.", f"{told}."
    if index % 20 == 14:
        caption, told = "<usr>", ""
    _image(mini, subreddit, key, index, told)
    record = {
        "image_id": key,
        "author": f"user{index}",
        "url": f"https://i.redd.it/{mini.hex_id(13, index)}.{rng.choice(('jpg', 'png', 'gif'))}",
        "raw_caption": f"[OC] {caption} \N{CAMERA}",
        "caption": caption,
        "subreddit": subreddit,
        "created_utc": 1_500_000_000 + index,
        "permalink": f"/r/{subreddit}/comments/{key}/title/",
    }
    return record | _extras(rng)


def _extras(rng: Random) -> dict[str, object]:
    """Fields that many records lack."""
    return {"score": rng.randint(1, 999), "crosspost_parents": None} if rng.random() < 0.7 else {}


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return digits


def _image(mini: Miniature, subreddit: str, key: str, index: int, caption: str) -> None:
    """The downloaded image, if it still exists, and what the post must become."""
    file = f"images/{subreddit}/{key}.jpg"
    claim: dict[str, object] = {"target": caption}
    card = partial(draw.caption_card, caption or subreddit, (128, 96), note=key)
    if not caption:
        claim = {"dropped": "no caption"}
    if index % 10 == 8:
        claim = {"dropped": "the picture is gone"}
    elif index % 20 == 3:
        mini.image(file, quirks.not_an_image())
        claim = {"dropped": "an error page, not a picture"}
    else:
        mini.image(file, (lambda: quirks.rgba(card())) if index % 10 == 5 else card)
    mini.truth(_TASKS[0], key, **claim)
    mini.truth(_TASKS[1], key, **claim, contains=f"Subreddit: r/{subreddit}")
