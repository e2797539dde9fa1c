"""Concadia: images of Wikipedia with description, caption and context, all splits in one JSON file.

`n` counts images of train; val and test get an eighth each. `source_id` is the file name. Images with a
number of the form 8k + 7 belong to knowledge_concadia_context, the others to knowledge_concadia.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.pack("resized.zip") as tree, mini.json_array("wiki_split.json", "images") as add:
        for index in range(mini.n + 2 * few):
            split = "train" if index < mini.n else "val" if index < mini.n + few else "test"
            number = mini.number(index, 1, max(101_443, 2 * mini.n))
            thing, texts = _texts(mini, index)
            card = partial(draw.caption_card, _readable(texts["description"]), (256, 256), note=str(number))
            tree.image(f"resized/{number}.jpg", card)
            add(_record(thing, texts, f"{number}.jpg", split))
            if split == "train":
                _truth(mini, number, texts)


def _texts(mini: Miniature, index: int) -> tuple[str, dict[str, str]]:
    """The thing shown, and what is written about it, with the line breaks that upstream deleted."""
    rng = mini.rng(index)
    thing = text.subject(rng)
    description = f"Photo of {text.article(thing)}"
    # non-ASCII letters were dropped; there are spaces at either end
    caption = f" {thing.capitalize()} by Mller, {rng.randint(1800, 2020)}"
    context = f" The {thing} is well known.\n{text.paragraph(rng, 2)} "
    if index % 5 == 1:
        description = f" {description}.\nThe ground behind it is plain."
    if index % 2 == 0:
        caption += ".\nIt is in a private collection. "
    if index % 15 == 4:
        description = caption.strip()
    if index % 15 == 7:
        description = caption.strip().partition(",")[0].lower() + "."
    if index % 15 == 12:
        description = ("Photo", "a photograph.")[index % 2]
    if index % 15 == 9:
        context = " "
    return thing, {"description": description, "caption": caption, "context": context}


def _record(thing: str, texts: dict[str, str], file: str, split: str) -> dict[str, object]:
    return {
        "article_id": thing.title(),
        "filename": file,
        "orig_filename": f"https://upload.wikimedia.org/wikipedia/commons/thumb/{file}",
        "split": split,
        **{name: _told(raw.replace("\n", "")) for name, raw in texts.items()},
    }


def _told(raw: str) -> dict[str, object]:
    return {"raw": raw, "tokens": raw.split()}


def _readable(raw: str) -> str:
    return " ".join(raw.split())


def _truth(mini: Miniature, number: int, texts: dict[str, str]) -> None:
    file = f"{number}.jpg"
    description, caption, context = (_readable(texts[name]) for name in ("description", "caption", "context"))
    if description.lower().rstrip(".") in caption.lower():
        mini.truth("caption_concadia", file, dropped="the description is in the caption")
    elif description.lower().rstrip(".") in ("photo", "a photograph"):
        mini.truth("caption_concadia", file, dropped="it says no more than photo")
    else:
        mini.truth("caption_concadia", file, target=description)
    task = "knowledge_concadia_context" if number % 8 == 7 else "knowledge_concadia"
    if context:
        mini.truth(task, file, target=f"{caption}\n{context}")
    else:
        mini.truth(task, file, dropped="no context")
