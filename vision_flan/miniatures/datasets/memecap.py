"""MemeCap: memes with literal captions and with what the poster means, in two JSON lists.

`n` counts memes of trainval, test gets a tenth with several meanings each. `source_id` is the post's id and
the number of the caption from 0, `z6qxau_0`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import encode

#: What memes are about, each read after "when".
_MOMENTS = text.listed(
    "the bus is late;the exam is tomorrow;the coffee is cold;the phone is dead;the weekend is over;"
    "the boss is away;the cake is gone;the game is on",
    ";",
)


def generate(mini: Miniature) -> None:
    with mini.pack("memes.zip", into="data") as tree:
        for split, count in (("trainval", mini.n), ("test", max(mini.n // 10, 1))):
            with mini.json_array(f"data/memes-{split}.json") as add:
                for index in range(count):
                    record = _record(mini, split, index)
                    add(record)
                    tree.image(f"memes/{record['img_fname']}", partial(_stored, record, index))
                    if split == "trainval":
                        _truth(mini, record)


def _stored(record: dict[str, Any], index: int) -> bytes:
    """The image named .png: many are JPEG, others have an alpha channel. Title above, scene below."""
    shown = f"{record['title'].strip()}: {record['img_captions'][0].strip()}"
    card = draw.caption_card(shown, (160, 120), note=record["post_id"])
    return encode(card, ".jpg") if index % 2 else encode(card.convert("RGBA"), ".png")


def _record(mini: Miniature, split: str, index: int) -> dict[str, Any]:
    rng = mini.rng(split, index)
    key = mini.hex_id(12, split, index)[:10]
    scene, moment = text.clause(rng), rng.choice(_MOMENTS)
    literal = [f"{scene[0].upper()}{scene[1:]}.{rng.choice(('', ' '))}", f"In the picture, {scene}."]
    meanings = [
        f" Meme poster feels that when {moment}, it is as if {scene}.",
        f"Meme poster says it is as if {scene} when {moment}. ",
        f"To the meme poster, {scene} every time {moment}.",
        f"Meme poster jokes that {scene} whenever {moment}.",
    ]
    return {
        "category": "memes",
        "img_captions": literal[: 1 + (index % 15 == 4)],
        "meme_captions": meanings[: 1 if split == "trainval" else rng.randint(3, 4)],
        "title": f"When {moment}{rng.choice(('', ' '))}",
        "url": f"https://i.redd.it/{key}.jpg",
        "img_fname": f"memes_{key}.png",
        "metaphors": [{"metaphor": scene, "meaning": moment}],
        "post_id": key,
    }


def _truth(mini: Miniature, record: dict[str, Any]) -> None:
    for task, field in (("caption_memecap", "img_captions"), ("rationale_memecap", "meme_captions")):
        for number, caption in enumerate(record[field]):
            shown = f"\nTitle: {record['title'].strip()}"
            mini.truth(task, f"{record['post_id']}_{number}", target=caption.strip(), contains=shown)
