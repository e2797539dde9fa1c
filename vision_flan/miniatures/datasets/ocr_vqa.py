"""OCR-VQA: book covers with templated questions, one JSON object keyed by the cover's id.

`n` counts questions of train, four per cover; validation and test get an eighth each. `source_id` is
`<cover>+<number of the question, from 1>`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from PIL import Image

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, encode

_AUTHORS = text.listed("Jane K. Cleland;John Müller;The Editors of Time;Dr. A. B. Smith;Sandi Doughton", ";")
_TITLES = text.listed(
    "Blood Rubies: A Mystery;Mom's Family Calendar 2016;Full-Rip 9.0;Tea & Bread, Vol. 2", ";"
)
_GENRES = text.listed("Mystery, Thriller & Suspense;Calendars;Science & Math;Cookbooks, Food & Wine", ";")
_PER_COVER = 4
_SUFFIXES = (".jpg", ".jpg", ".jpg", ".gif", ".png")
#: What a target says for an answer.
_YES_NO = {"Yes": "yes", "No": "no"}


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.json_object("dataset.json") as put:
        for split, (name, count) in enumerate((("train", mini.n), ("val", few), ("test", few)), start=1):
            for start in range(0, count, _PER_COVER):
                _cover(mini, put, split, name, start // _PER_COVER, min(_PER_COVER, count - start))


def _cover(mini: Miniature, put: Any, split: int, name: str, index: int, questions: int) -> None:
    rng = mini.rng(name, index)
    # ids of ten digits lose their leading zeros; splits take turns, so that no id occurs twice
    cover = str(3 * mini.number(index, 100_000, 500_000_000, name) + split)
    title, author, genre = rng.choice(_TITLES), rng.choice(_AUTHORS), rng.choice(_GENRES)
    suffix = rng.choice(_SUFFIXES)
    asked = _questions(rng, title, author, genre)[:questions]
    put(
        cover,
        {
            "imageURL": f"http://ecx.images-amazon.com/images/I/51{cover}L{suffix}",
            "questions": [question for question, _ in asked],
            "answers": [answer for _, answer in asked],
            "title": title,
            "authorName": author,
            "genre": genre,
            "split": split,
        },
    )
    dead = index % 9 == 7
    if not dead:
        # in some copies every file is named .jpg, whatever its URL says
        stored = ".jpg" if index % 4 == 1 else suffix
        mini.image(f"images/{cover}{stored}", partial(_image, f"{title} by {author}. {genre}", index, suffix))
    if split == 1:
        for n, (_, answer) in enumerate(asked, start=1):
            claim = {"target": _YES_NO.get(answer, answer)}
            if mini.images and (dead or _is_placeholder(index)):
                claim = {"dropped": "the cover is no longer there" if dead else "one pixel"}
            mini.truth("ocr_ocrvqa", f"{cover}+{n}", **claim)


def _is_placeholder(index: int) -> bool:
    return index % 16 == 11


def _image(cover: str, index: int, suffix: str) -> Drawing:
    if _is_placeholder(index):
        return encode(Image.new("RGB", (1, 1)), ".gif")
    return encode(draw.caption_card(cover, (110, 160)), suffix)


def _questions(rng: Random, title: str, author: str, genre: str) -> list[tuple[str, str]]:
    guess = rng.choice((genre, rng.choice(_GENRES)))
    return [
        ("Who is the author of this book? ", author),
        ("What is the title of this book?", title),
        ("What type of book is this?", genre),
        (f"Is this book related to {guess}?", "Yes" if guess == genre else "No"),
    ]
