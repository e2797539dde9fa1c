"""PACS: seven classes in four domains, as folders, with lists of each domain's parts.

`n` counts images. `source_id` is domain, class and stem, `art_painting/dog/pic_001`.
"""

from __future__ import annotations

from contextlib import ExitStack

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature

#: Folder, name of the style, and the task about its objects.
_DOMAINS = (
    ("art_painting", "painting", "object_pacs_art"),
    ("cartoon", "cartoon", "object_pacs_cartoon"),
    ("photo", "photo", "object_pacs_photo"),
    ("sketch", "sketch", None),
)
_CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
_FAULTY = "n02103406_4068-1"


def generate(mini: Miniature) -> None:
    with mini.pack("PACS.zip") as tree, ExitStack() as stack:
        lists = [stack.enter_context(mini.lines(f"{domain}_test_kfold.txt")) for domain, _, _ in _DOMAINS]
        for index in range(mini.n):
            number = index % 4
            domain, style, task = _DOMAINS[number]
            label = index // 4 % 7
            kind, repeat = _CLASSES[label], index // 28
            # numbers with gaps, repeated across classes and domains
            name = f"pic_{2 * repeat + 1:03d}" if number < 2 else f"n02503517_{repeat + 10}"
            faulty = domain == "sketch" and label == 0 and repeat == 0
            if domain == "sketch":
                name = _FAULTY if faulty else str(index + 5281)
            key = f"{domain}/{kind}/{name}"
            path = f"{key}.png" if domain == "sketch" else f"{key}.jpg"
            card = draw.caption_card(kind, (114, 114), note=f"{style} {index}")
            tree.image(f"kfold/{path}", quirks.truncated(card, ".png") if faulty else card)
            lists[number](f"{path} {label + 1}")
            answer: dict[str, object] = {"dropped": "faulty"} if faulty else {"answer": style}
            mini.truth(f"style_pacs_{kind}", key, **answer)
            if task:
                mini.truth(task, key, target=kind)
