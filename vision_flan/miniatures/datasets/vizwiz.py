"""VizWiz: photos of blind people with questions, captions and quality flaws, in three releases.

`n` counts train images, of which seven in eight have a question; val and test get a tenth each. `source_id`
is the image's name without suffix. Each release has its own folder, since archive names repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from PIL import Image, ImageDraw

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.json_stream import Add
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

_FLAWS = {
    "FRM": "bad framing",
    "BLR": "blur",
    "DRK": "too dark",
    "BRT": "too bright",
    "OBS": "obscured",
    "OTH": "another flaw",
    "NON": "no flaw",
    "ROT": "rotated",
}
#: Of an image before a flaw is drawn; question, answer and captions are written on it, from the top.
_SIZE = (250, 180)
_PRECANNED = "Quality issues are too severe to recognize visual content."


@dataclass(frozen=True)
class _Out:
    """Writers for the records of one split."""

    question: Add
    caption_image: Add
    caption: Add | None
    quality: Add


def generate(mini: Miniature) -> None:
    # members are read as if unpacked in the archive's folder
    place: Callable[[str], str] = (lambda folder: "") if mini.archives else (lambda folder: f"{folder}/")
    with (
        mini.pack("vqa/Annotations.zip") as vqa,
        mini.pack("captions/annotations.zip") as captions,
        mini.pack("image_quality/annotations.zip") as quality,
    ):
        for split, part in (("train", 1.0), ("val", 0.1), ("test", 0.1)):
            with ExitStack() as stack:
                questions = f"{place('vqa')}Annotations/{split}.json"
                coco_like = f"{place('captions')}annotations/{split}.json"
                document = stack.enter_context(captions.json_document(coco_like))
                document.field("info", {"description": "VizWiz-Captions (miniature)"})
                out = _Out(
                    stack.enter_context(vqa.json_array(questions)),
                    document.array("images"),
                    document.array("annotations") if split != "test" else None,
                    stack.enter_context(quality.json_array(f"{place('image_quality')}{split}.json")),
                )
                images = stack.enter_context(mini.pack(f"{split}.zip"))
                for index in range(max(int(mini.n * part), 1)):
                    _photo(mini, images, out, split, index)


def _photo(mini: Miniature, images: Tree, out: _Out, split: str, index: int) -> None:
    rng = mini.rng(split, index)
    name = f"VizWiz_{split}_{index:08d}"
    image, hidden, told = f"{name}.jpg", split == "test", split == "train"
    question, answer = text.question_answer(rng)
    flaws = _flaws(rng, index)
    captions = _captions(rng, index)
    top = [flaw for flaw, votes in flaws.items() if votes == max(flaws.values())]
    shown = "; ".join(str(one["caption"]).strip(" .") for one in captions if not one.get("is_precanned"))
    card = partial(draw.caption_card, f"{question} {answer}; {shown}", _SIZE, note=name)
    images.image(f"{split}/{image}", lambda: _taken(card(), top[0], index))
    if index % 8 != 7:
        answers = _answers(rng, index, answer)
        out.question({"image": image, "question": question, **({} if hidden else answers)})
        if told:
            _question_truth(mini, name, answers, answer)
    out.caption_image(
        {
            "file_name": image,
            "vizwiz_url": f"https://example.org/{image}",
            "id": index,
            "text_detected": False,
        }
    )
    for place, record in enumerate(captions):
        if out.caption:
            out.caption({**record, "image_id": index, "id": index * 5 + place, "text_detected": False})
    out.quality({"image": image} if hidden else {"flaws": flaws, "image": image, "unrecognizable": 0})
    if told:
        _caption_truth(mini, name, captions)
        if len(top) == 1:
            mini.truth("quality_vizwiz", name, answer=_FLAWS[top[0]])
        else:
            mini.truth("quality_vizwiz", name, dropped="a tie")


def _taken(card: Image.Image, flaw: str, index: int) -> Drawing:
    """The card with the flaw that most people saw."""
    if flaw == "BLR":
        return card.resize((card.width // 3, card.height // 3)).resize(card.size)
    if flaw in ("DRK", "BRT"):
        return card.point(lambda level: level // 4 if flaw == "DRK" else 192 + level // 4)
    if flaw == "ROT":
        return card.rotate(90, expand=True)
    if flaw == "FRM":
        return card.crop((card.width // 10, 0, card.width, card.height // 2))
    if flaw == "OBS":  # a finger
        card.paste((200, 150, 130), (0, card.height // 3, card.width, card.height))
    if flaw == "OTH":  # a scratched lens
        for left in range(0, card.width, card.width // 6):
            ImageDraw.Draw(card).line((left, card.height, left + card.width // 4, 0), (120, 120, 120), 2)
    return quirks.exif_rotated(card) if index % 10 == 4 else card


def _flaws(rng: Random, index: int) -> dict[str, int]:
    """Votes of five people, who may name several; all eight keys are always there."""
    top = list(_FLAWS)[index % len(_FLAWS)]
    votes = {flaw: rng.randint(3, 5) if flaw == top else rng.randint(0, 2) for flaw in _FLAWS}
    if index % 7 == 5:
        votes["OTH"] = votes["ROT"] = 5
    return votes


def _answers(rng: Random, index: int, answer: str) -> dict[str, Any]:
    """Ten answers: mostly one majority answer; sometimes no answer, "unsuitable", unanimity, or a tie."""
    strays = rng.sample([word for word in (*text.COLORS, *text.THINGS) if word != answer], 4)
    kind = index % 10
    if kind == 3:
        given = ["unanswerable"] * 7 + strays[:3]
    elif kind == 5:
        given = [answer] * 10
    elif kind == 6:
        given = [answer] * 4 + [strays[0]] * 4 + strays[1:3]
    elif kind == 8:
        given = ["unsuitable"] * 6 + strays
    else:
        given = [*strays[:2], "unanswerable", *[answer] * 5, *strays[2:]]
        if index % 4 == 0:  # the same answer, written otherwise
            given = [
                *strays[:2],
                "unanswerable",
                *[answer] * 3,
                f"the {answer}",
                f"{answer.upper()}.",
                *strays[2:],
            ]
        elif index % 20 == 7:  # more than any other, and yet few
            given = [*[answer] * 3, strays[0], strays[0], *strays[1:], "another", "something else"]
    if kind not in (5, 6):
        given = rng.sample(given, 10)
    yes_no = answer in ("yes", "no")
    return {
        "answers": [{"answer": word, "answer_confidence": "yes"} for word in given],
        "answer_type": "unanswerable" if kind == 3 else "yes/no" if yes_no else "other",
        "answerable": int(kind != 3),
    }


def _question_truth(mini: Miniature, name: str, record: dict[str, Any], answer: str) -> None:
    given = [one["answer"] for one in record["answers"]]
    if (
        not record["answerable"]
        or len(set(given)) == 1
        or sum(one.lower().strip(".").removeprefix("the ") == answer for one in given) < 5
    ):
        mini.truth("vqa_vizwiz", name, dropped="no one answer that most people gave")
    else:
        mini.truth("vqa_vizwiz", name, answer=answer)


def _captions(rng: Random, index: int) -> list[dict[str, Any]]:
    """Five, of which some say only that nothing can be seen, and some are rejected; or some without marks."""
    captions = []
    for place in range(5):
        precanned = index % 9 == 4 or rng.random() < 0.1
        captions.append(
            {
                "caption": _PRECANNED if precanned else text.clause(rng) + rng.choice(("", ".", " ")),
                "is_precanned": precanned,
                "is_rejected": (precanned and place == 0) or rng.random() < 0.05,
            }
        )
    if index % 11 == 6:  # as in v1.0: no marks
        return [{"caption": one["caption"]} for one in captions if not one["is_precanned"]]
    return captions


def _caption_truth(mini: Miniature, name: str, captions: list[dict[str, Any]]) -> None:
    kept = [one["caption"] for one in captions if not (one.get("is_precanned") or one.get("is_rejected"))]
    if not kept:
        mini.truth("caption_vizwiz", name, dropped="no caption of its own")
        return
    sentences = (text.closed(caption.strip()) for caption in kept)
    lines = [f"Caption {n}: {one[0].upper()}{one[1:]}" for n, one in enumerate(sentences, start=1)]
    mini.truth("caption_vizwiz", name, target="\n".join(lines), contains=f"captions: {len(kept)}")
