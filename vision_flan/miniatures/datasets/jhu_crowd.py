"""JHU-CROWD++: images of crowds; for each, a line of labels and a file of heads.

`n` counts train images; val and test get a fifth. Ids are unique across splits. `source_id` is the id,
`0007`.
"""

from __future__ import annotations

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

#: Scene as typed upstream, and as shown; what is not a scene is dropped.
_SCENES: dict[str, str | None] = {
    "stadium": "stadium",
    "street": "street",
    "marathon": "marathon",
    "prortest": "protest",
    "protest": "protest",
    "water park": "water park",
    "waterpark": "water park",
    "Kite-festival": "kite festival",
    "kite-festival": "kite festival",
    "railway station": "railway station",
    "cocnert": "concert",
    "celebratiobn": "celebration",
    "no-crowd": None,
    "China": None,
}


def generate(mini: Miniature) -> None:
    few = max(mini.n // 5, 1)
    first = 1
    with mini.pack("jhu_crowd_v2.0.zip") as tree:
        for split, count in (("train", mini.n), ("val", few), ("test", few)):
            folder = f"jhu_crowd_v2.0/{split}"
            with tree.lines(f"{folder}/image_labels.txt") as add:
                for index in range(count):
                    rng = mini.rng(split, index)
                    key = f"{first + index:04d}"
                    heads = 0 if index % 10 == 2 else rng.randint(1, 9)
                    # every second distractor (no heads) says so in place of the scene
                    unnamed = not heads and index % 20 == 2
                    scene = "no-crowd" if unnamed else rng.choice(list(_SCENES))
                    add(f"{key},{heads},{scene},{rng.randrange(4)},{int(heads == 0)}")
                    points = (f"{rng.randrange(120)} {rng.randrange(90)} 9 11 1 0" for _ in range(heads))
                    tree.write_lines(f"{folder}/gt/{key}.txt", points)
                    card = draw.caption_card(_SCENES[scene] or scene, (120, 90), note=f"{heads} heads, {key}")
                    tree.image(f"{folder}/images/{key}.jpg", card)
                    if split != "test":
                        shown = _SCENES[scene]
                        claim = {"target": shown} if shown else {"dropped": f"{scene} is no scene"}
                        mini.truth("scene_jhu_crowd", key, **claim)
            first += count
