"""LLaVA-Pretrain: pairs of request and caption in one JSON list; images.zip has no top folder.

`n` counts records. `source_id` is the nine-digit id.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature

_REQUESTS = (
    "Sum up the picture in a line.",
    "What is shown here, in brief?",
    "Tell me briefly what you see.",
    "Give a terse account of the image.",
)


def generate(mini: Miniature) -> None:
    with (
        mini.pack("images.zip", into="images") as tree,
        mini.json_array("blip_laion_cc_sbu_558k.json") as add,
        mini.json_array("blip_laion_cc_sbu_558k_meta.json") as add_meta,
    ):
        for index in range(mini.n):
            rng = mini.rng(index)
            key = f"{mini.number(index, 10, max(6_599_999, 2 * mini.n)):09d}"
            file = f"{key[:5]}/{key}.jpg"
            caption = f"{text.clause(rng)}{' - shop.example.org' if index % 20 == 7 else ''}"
            request = rng.choice(_REQUESTS)
            asked = f"<image>\n{request}" if rng.random() < 0.5 else f"{request}\n<image>"
            turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": caption}]
            add({"id": key, "image": file, "conversations": turns})
            url = f"https://example.org/{key}.jpg"
            add_meta({"id": key, "image": file, "blip_caption": caption, "url": url})
            tree.image(file, partial(draw.caption_card, caption, (96, 96)))
            mini.truth("stage0_llava_pretrain", key, target=caption, contains=request)
