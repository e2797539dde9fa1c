"""MME: two questions per image in a text file with its name; five subtasks keep images and questions apart.

`n` counts questions. `source_id` is "<subtask>/<name>/<line from 0>". Names repeat between subtasks.
"""

from __future__ import annotations

from functools import partial

from vision_flan.miniatures import draw
from vision_flan.miniatures.miniature import Miniature

_TOP = "MME_Benchmark_release_version"
_APART = ("artwork", "celebrity", "landmark", "posters", "scene")
_TOGETHER = (
    "OCR", "code_reasoning", "color", "commonsense_reasoning", "count", "existence", "numerical_calculation",
    "position", "text_translation",
)  # fmt: skip
_PNG = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")
_THINGS = ("lighthouse", "bridge", "violin", "tiger")


def generate(mini: Miniature) -> None:
    subtasks = _APART + _TOGETHER
    with mini.pack(f"{_TOP}.zip") as tree:
        for index in range(max(mini.n // 2, 1)):
            subtask = subtasks[index % len(subtasks)]
            name = f"{index // len(subtasks) + 1:04}"
            rng = mini.rng(subtask, name)
            shown, other = rng.sample(_THINGS, 2)
            mark = "" if subtask == "position" and name == "0001" else "?"
            lines = [
                f"Does this picture show a {thing}{mark} Please answer yes or no.\t{answer}"
                for thing, answer in ((shown, "Yes"), (other, "No"))
            ]
            folder = f"{_TOP}/{subtask}"
            apart = subtask in _APART
            text_path = f"{folder}/questions_answers_YN/{name}.txt" if apart else f"{folder}/{name}.txt"
            tree.write_text(text_path, "\n".join(lines) + ("\n\n" if index % 4 == 0 else "\n"))
            suffix = "png" if subtask in _PNG else "jpg"
            place = f"{folder}/images" if apart else folder
            tree.image(f"{place}/{name}.{suffix}", partial(draw.caption_card, shown, note=subtask))
            for line, answer in enumerate(("Yes", "No")):
                asked = lines[line].partition("\t")[0]
                mini.truth("eval_mme", f"{subtask}/{name}/{line}", target=answer, contains=f"\n{asked}\n")
