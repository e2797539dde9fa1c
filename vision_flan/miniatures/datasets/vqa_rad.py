"""VQA-RAD: questions about radiology images in one JSON list, the split in phrase_type.

`n` counts questions of train, test gets a quarter. `source_id` is the qid. Every 20th question of train
is there twice, one in 25 is in test as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from vision_flan.miniatures import draw, quirks
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

_JSON = "VQA_RAD Dataset Public.json"
_FOLDER = "VQA_RAD Image Folder"
_ORGANS = ("HEAD", "CHEST", "ABD")
_PAIRS: tuple[tuple[str, str | int, str], ...] = (
    ("Is there a fracture?", "No", "PRES"),
    ("Is the heart enlarged?", "yes", "SIZE"),
    ("What imaging modality was used?", "CT with contrast", "MODALITY"),
    ("How many lesions are seen?", 4, "COUNT"),
    ("Where is the mass?", "Right upper lobe", "POS, ABN"),
)


def generate(mini: Miniature) -> None:
    with mini.pack(f"{_FOLDER}.zip", into=_FOLDER) as tree, mini.json_array(_JSON) as add:
        for index in range(mini.n):
            image = f"synpic{mini.number(index, 100, max(69_999, 2 * mini.n))}.jpg"
            question, answer, _ = _PAIRS[index % len(_PAIRS)]
            tree.image(image, partial(_scan, f"{question} {answer}", image, gray=index % 2 == 1))
            kind = "freeform" if index % 3 else "para"
            add(_record(mini.rng(index), str(index) if index % 7 == 3 else index, image, index, kind))
            _copies(mini, add, image, index)
            if index % 4 == 0:
                other = _record(mini.rng("test", index), 200_000_000 + index, image, index + 1, "test_para")
                add(other)


def _scan(words: str, image: str, *, gray: bool) -> Drawing:
    """All look grayscale; some are stored as RGB."""
    card = draw.caption_card(words, (96, 96), note=image).convert("L")
    return quirks.grayscale(card) if gray else card.convert("RGB")


def _copies(mini: Miniature, add: Callable[[object], None], image: str, index: int) -> None:
    """Repeat a question, in train or in test, and write the truth of all copies."""
    answer = str(_PAIRS[index % len(_PAIRS)][1])
    target = answer.lower() if answer.lower() in ("yes", "no") else answer
    if index % 25 == 13:
        add(_record(mini.rng("leaked", index), 100_000_000 + index, image, index, "test_freeform"))
        mini.truth("knowledge_vqarad", index, dropped="in test as well")
        return
    mini.truth("knowledge_vqarad", index, target=target)
    if index % 20 == 6:
        again = int(f"{index}0000")  # comes after the first as text, which is how qids are compared
        add(_record(mini.rng("again", index), again, image, index, "freeform"))
        mini.truth("knowledge_vqarad", again, dropped="stands twice")


def _record(rng: Random, qid: int | str, image: str, index: int, kind: str) -> dict[str, object]:
    question, answer, question_type = _PAIRS[index % len(_PAIRS)]
    if isinstance(answer, str):
        answer = rng.choice((answer, f"{answer} ", f"{answer}\t"))
        if answer.strip().lower() in ("yes", "no"):
            answer = rng.choice((answer.lower(), answer.capitalize()))
    return {
        "qid": qid,
        "phrase_type": kind,
        "qid_linked_id": f"03f451ca{index}",
        "image_case_url": "https://medpix.nlm.nih.gov/case",
        "image_name": image,
        "image_organ": _ORGANS[index % 3],
        "evaluation": "not evaluated",
        "question": rng.choice((question, f"{question} ", f" {question}")),
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": "NULL",
        "question_type": question_type,
        "answer": answer,
        "answer_type": "CLOSED " if index % 5 == 0 else "OPEN",
    }
