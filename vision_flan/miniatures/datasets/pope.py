"""POPE: three files of JSON lines named .json, about borrowed COCO val2014 images.

`n` counts questions of all three files, half of them with the answer yes. `source_id` is "<file>/<question
id>"; ids start again in each file. The images show their objects.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature

_OBJECTS = ("snowboard", "dining table", "umbrella", "cat", "oven", "bottle")


def generate(mini: Miniature) -> None:
    lender = mini.borrow("mscoco")
    for kind in ("random", "popular", "adversarial"):
        with mini.json_lines(f"output/coco/coco_pope_{kind}.json") as add:
            for index in range(max(mini.n // 3, 2)):
                image = index // 2  # the same images and the same questions with yes in each file
                image_id = mini.number(image, 1, coco.MAX_ID)
                rng = mini.rng(image)
                present = rng.choice(_OBJECTS)
                absent = mini.rng(kind, image).choice([name for name in _OBJECTS if name != present])
                asked, label = (present, "yes") if index % 2 == 0 else (absent, "no")
                scene = partial(draw.objects_scene, (120, 90), [(present, (20, 20, 80, 50))])
                coco.lend(lender, "val2014", image_id, scene)
                add(
                    {
                        "question_id": index + 1,
                        "image": coco.file_name("val2014", image_id),
                        "text": f"Is there {text.article(asked)} in the image?",
                        "label": label,
                    }
                )
                shown = f"\nIs there {text.article(asked)} in the image?\n"
                mini.truth("eval_pope", f"{kind}/{index + 1}", target=label, contains=shown)
