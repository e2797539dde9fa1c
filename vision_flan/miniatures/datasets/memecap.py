"""MemeCap: memes with literal captions and with what the poster means, two JSON lists.

`n` counts memes of trainval, test gets a tenth with several meanings each. `source_id` is the post's id and
the number of the caption from 0, `z6qxau_0`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import encode


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
    """The picture named .png: many are JPEG, others have an alpha channel."""
    card = draw.caption_card(record["title"].strip(), (128, 96), note=record["post_id"])
    return encode(card, ".jpg") if index % 2 else encode(card.convert("RGBA"), ".png")


def _record(mini: Miniature, split: str, index: int) -> dict[str, Any]:
    rng = mini.rng(split, index)
    key = mini.hex_id(12, split, index)[:10]
    meanings = 1 if split == "trainval" else rng.randint(3, 4)
    return {
        "category": "memes",
        "img_captions": [text.sentence(rng) + rng.choice(("", " ")) for _ in range(1 + (index % 15 == 4))],
        "meme_captions": [f" Meme poster thinks that {text.clause(rng)}." for _ in range(meanings)],
        "title": f"{text.subject(rng).capitalize()} be like{rng.choice(('', ' '))}",
        "url": f"https://i.redd.it/{key}.jpg",
        "img_fname": f"memes_{key}.png",
        "metaphors": [{"metaphor": text.subject(rng), "meaning": "Meme poster"}],
        "post_id": key,
    }


def _truth(mini: Miniature, record: dict[str, Any]) -> None:
    for task, field in (("caption_memecap", "img_captions"), ("rationale_memecap", "meme_captions")):
        for number, caption in enumerate(record[field]):
            shown = f"\nTitle: {record['title'].strip()}"
            mini.truth(task, f"{record['post_id']}_{number}", target=caption.strip(), contains=shown)
