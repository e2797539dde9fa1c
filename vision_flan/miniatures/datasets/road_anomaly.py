"""Road Anomaly: frames whose names begin with the kind of danger, their list, and masks beside each.

`n` counts frames. `source_id` is the file name without suffix, `lost_tires08`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

#: Prefix of a file, and the danger it stands for.
_KINDS = {
    "animals": "animals",
    "cones": "traffic cones",
    "lost_tires": "lost tires",
    "obstacles": "obstacles",
    "vehicle": "vehicles",
}
_SIZE = (160, 90)


def generate(mini: Miniature) -> None:
    top = "RoadAnomaly_jpg"
    with (
        mini.pack("RoadAnomaly_jpg.zip") as tree,
        tree.json_array(f"{top}/frame_list.json") as add,
    ):
        tree.write_text(f"{top}/readme.md", "# Road Anomaly (miniature)\n")
        tree.write_text(f"{top}/credits.txt", _credits(mini))
        for index in range(mini.n):
            stem, danger = _frame(mini, index)
            add(f"{stem}.jpg")
            box, below = (60, 40, 50, 30), (0, 72, 160, 18)
            tree.image(f"{top}/frames/{stem}.jpg", draw.objects_scene(_SIZE, [(danger, box), (stem, below)]))
            mask = draw.blank(_SIZE, (0, 0, 0)).convert("L")
            mask.paste(2, (60, 40, 110, 70))
            tree.image(f"{top}/frames/{stem}.labels/labels_semantic.png", mask)
            if index % 4:  # not for every frame
                corners = [[60, 40], [110, 70]]
                instance = {"id": 1, "cls": 2, "crop_rect": corners, "roi_rect": corners}
                tree.write_json(f"{top}/frames/{stem}.labels/index.json", {"instances": [instance]})
            mini.truth("anomaly_road", stem, target=f"The dangers are {danger}.")


def _credits(mini: Miniature) -> str:
    """Authors as upstream lists them: a block a frame, every fourth from a site without a license."""
    blocks = [
        "The images are provided for research purposes.\nWe do not own them; the authors are listed below."
    ]
    for index in range(mini.n):
        license = ("CC BY-SA 4.0 https://creativecommons.org/licenses/by-sa/4.0/", "CC0", "public domain")
        who = f"Jane Doe {index}, {license[index % 4]}" if index % 4 < 3 else "news.example.org"
        blocks.append(
            f"{_frame(mini, index)[0]}\n\t{who}\n\thttps://commons.example.org/wiki/File:{index}.jpg"
        )
    return "\n\n".join(blocks) + "\n"


def _frame(mini: Miniature, index: int) -> tuple[str, str]:
    """Name of a frame without suffix, and its danger; obstacles12 comes with several rocks."""
    kind, danger = list(_KINDS.items())[index % len(_KINDS)]
    number = index // len(_KINDS) + 1
    if kind == "obstacles" and number % 3 == 0:
        return f"obstacles12_rocks{number}", danger
    place = mini.rng(index).choice(("", "_Kilometre_17", "_on_the_road_to_Papigko"))
    return f"{kind}{number:02d}{place}", danger
