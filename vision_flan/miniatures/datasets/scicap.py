"""SciCap: figures of arXiv papers, one JSON document each, in one zip with lists of the figures to use.

`n` counts figures of train that the list First-Sentence without subfigures has; every fifth as many have
subfigures, and val and test get an eighth each. `source_id` is the figure's name without suffix.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from PIL import Image

from vision_flan.miniatures import charts, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

_TOP = "scicap_data"
_COLLECTIONS = ("First-Sentence", "Single-Sentence-Caption", "Caption-No-More-Than-100-Tokens")
_PLOTTED = text.listed(
    "Impact of the replay attack, as a function of its duration.;ROC curves (best viewed in color).;"
    "Mass ratio $M_1/M_2$ vs. radius: model (solid) and data (dots).;accuracy of U-Net on CIFAR-10",
    ";",
)
_HEADS = text.listed("Figure {}:|Fig. {}.|FIG. {}. |Figure {}.|Figure A{}:|Fig. {}", "|")


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.pack("scicap_data.zip") as tree:
        tree.write_lines(f"{_TOP}/arxiv-metadata-oai-snapshot.json", ['{"id": "1001.0025"}'])
        for split, count in (("train", mini.n), ("val", few), ("test", few)):
            _split(mini, tree, split, count, subfigures=False)
            _split(mini, tree, split, max(count // 5, 1), subfigures=True)


def _split(mini: Miniature, tree: Tree, split: str, count: int, *, subfigures: bool) -> None:
    kind = "Yes-Subfig" if subfigures else "No-Subfig"
    lists = [
        f"{_TOP}/List-of-Files-for-Each-Experiments/{name}/{kind}/{split}/file_idx.json"
        for name in _COLLECTIONS
    ]
    with (
        tree.json_array(lists[0]) as first,
        tree.json_array(lists[1]) as one,
        tree.json_array(lists[2]) as short,
    ):
        for index in range(count):
            rng = mini.rng(split, kind, index)
            name = _name(mini, rng, index, split, subfigures=subfigures)
            for add in (first, one, short):
                add(f"{name}.png")
            caption = rng.choice(_PLOTTED)
            tree.write_json(
                f"{_TOP}/SciCap-Caption-All/{split}/{name}.json",
                _record(rng, name, caption, subfigures=subfigures),
            )
            values = [(letter, float(rng.randint(1, 99))) for letter in "abcd"]
            tree.image(f"{_TOP}/SciCap-{kind}-Img/{split}/{name}.png", _figure(values, caption, index))
            if split == "train" and not subfigures:
                mini.truth("caption_scicap", name, target=caption[0].upper() + caption[1:])
        if not subfigures:
            _unlisted(tree, split)


def _name(mini: Miniature, rng: Random, index: int, split: str, *, subfigures: bool) -> str:
    """A figure of its own paper; figures with and without subfigures share a caption folder."""
    number = mini.number(2 * index + subfigures, 0, 12_000_000 - 1, split)
    month, paper = divmod(number, 100_000)
    identifier = f"{7 + month // 12:02d}{month % 12 + 1:02d}.{paper:05d}"
    if index % 8 == 5:  # papers before 2007
        identifier = f"cs{identifier.replace('.', '')}"
    return f"{identifier}v{rng.randint(1, 3)}-Figure{rng.randint(1, 9)}-1"


def _unlisted(tree: Tree, split: str) -> None:
    """A figure that is in no list: its caption is empty."""
    name = f"0912.0001v1-{split}-Figure1-1"
    record = {"contains-subfigure": False, "figure-ID": f"{name}.png", "0-originally-extracted": "Figure 1:"}
    tree.write_json(f"{_TOP}/SciCap-Caption-All/{split}/{name}.json", record)


def _record(rng: Random, name: str, caption: str, *, subfigures: bool) -> dict[str, object]:
    tokens = caption.lower().replace(".", " .").replace(",", " ,").split()
    plain = " ".join(tokens)
    head = rng.choice(_HEADS)
    # without a separator, a capital letter marks the start of the caption
    shown = f"{caption[0].upper()}{caption[1:]}" if head.endswith("}") else caption
    return {
        "contains-subfigure": subfigures,
        "Img-text": ["a", "b", "c", "d"],
        "paper-ID": name.split("-")[0],
        "figure-ID": f"{name}.png",
        "figure-type": "Graph Plot",
        "0-originally-extracted": f"{head.format(rng.randint(1, 12))} {shown}",
        "1-lowercase-and-token-and-remove-figure-index": {
            "caption": plain,
            "sentence": [plain],
            "token": tokens,
        },
        "2-normalized": {
            "2-1-basic-num": {"caption": plain, "sentence": [plain], "token": tokens},
            "2-2-advanced-euqation-bracket": {"caption": plain, "sentence": [plain], "tokens": tokens},
        },
    }


def _figure(values: list[tuple[str, float]], caption: str, index: int) -> Callable[[], Drawing]:
    def image() -> Drawing:
        plot: Image.Image = charts.chart("line", values, (300, 130), title=caption)
        if index % 4 == 1:
            return quirks.palette(plot)
        if index % 4 == 2:
            return quirks.rgba(plot)
        return plot.convert("LA") if index % 4 == 3 else plot

    return image
