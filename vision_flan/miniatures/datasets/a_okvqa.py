"""A-OKVQA: questions with four choices, ten direct answers and three rationales, on COCO 2017 images.

`n` counts train questions; one image in ten has two. val and test get a tenth each. `source_id` is
the question id. Images are borrowed: `mscoco/train2017` and so on.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import partial
from random import Random

from vision_flan.miniatures import coco, draw, text
from vision_flan.miniatures.miniature import Miniature


@dataclass(frozen=True)
class Known:
    """Common knowledge about things: `{}` in the question is the thing with its color."""

    thing: str
    question: str
    answer: str
    reasons: tuple[str, str, str]


_KNOWN = (
    Known(
        "umbrella",
        "What kind of weather does the owner of the {} expect?",
        "rain",
        (
            "the umbrella keeps its owner dry",
            "people take an umbrella along when it may rain",
            "in the sun there is little use for an umbrella",
        ),
    ),
    Known(
        "bicycle",
        "Which city is known for people who ride to work on something like the {}?",
        "Amsterdam",
        (
            "Amsterdam has more bicycles than people",
            "most streets of that city have a lane for bicycles",
            "people there ride to work on bicycles in any weather",
        ),
    ),
    Known(
        "boat",
        "What should people put on before they board the {}?",
        "life jacket",
        (
            "a life jacket keeps people afloat",
            "people can fall into the water from a boat",
            "the water around a boat may be deep",
        ),
    ),
    Known(
        "clock",
        "What do people want to know when they look at the {}?",
        "time",
        (
            "the hands of a clock point to the hour",
            "people look at a clock so as not to be late",
            "it is what clocks are made for",
        ),
    ),
    Known(
        "snowboard",
        "In which season does the owner use the {}?",
        "winter",
        (
            "it slides on snow",
            "in winter there is snow on the mountains",
            "people ride snowboards down snowy slopes",
        ),
    ),
    Known(
        "suitcase",
        "What is the owner of the {} about to do?",
        "travel",
        (
            "people pack their clothes in a suitcase",
            "it is large enough for a long journey",
            "most travelers have one with them",
        ),
    ),
)


def generate(mini: Miniature) -> None:
    lender = mini.borrow("mscoco")
    with mini.pack("aokvqa_v1p0.tar.gz") as tree:
        for split, part in (("train", 1.0), ("val", 0.1), ("test", 0.1)):
            with tree.json_array(f"aokvqa_v1p0_{split}.json") as add:
                for index in range(max(int(mini.n * part), 1)):
                    # the second question of an image shares its number
                    image = index - 1 if index % 10 == 9 else index
                    image_id = mini.number(image, *coco.ids_of(split), split)
                    question_id = _question_id(mini, split, index)
                    things = _things(mini, split, image)
                    color, known = things[index - image]
                    record = _record(mini.rng(split, index), color, known)
                    add(
                        {
                            "split": split,
                            "image_id": image_id,
                            "question_id": question_id,
                            **record[split == "test"],
                        }
                    )
                    if image == index:
                        shown = ", ".join(f"{color} {known.thing}" for color, known in things)
                        card = partial(draw.caption_card, shown, note=question_id)
                        coco.lend(lender, f"{split}2017", image_id, card)
                    if split == "train":
                        _truth(mini, question_id, known)
        for kind in ("large_vocab_train", "specialized_vocab_train"):
            tree.write_lines(f"{kind}.csv", text.COLORS)


def _question_id(mini: Miniature, split: str, index: int) -> str:
    """22 letters and digits."""
    raw = bytes.fromhex(mini.hex_id(32, split, index))
    return base64.b64encode(raw, b"Aa").decode()[:22]


def _things(mini: Miniature, split: str, image: int) -> list[tuple[str, Known]]:
    """The two things that an image shows, each with its color."""
    rng = mini.rng("things", split, image)
    return list(zip(rng.sample(text.COLORS, 2), rng.sample(_KNOWN, 2), strict=True))


def _record(rng: Random, color: str, known: Known) -> tuple[dict[str, object], dict[str, object]]:
    """The record as in train, and as in test, which has no answers."""
    wrong = rng.sample([other.answer for other in _KNOWN if other is not known], 3)
    place = rng.randrange(4)
    question = known.question.format(f"{color} {known.thing}")
    shown = {"question": question, "choices": [*wrong[:place], known.answer, *wrong[place:]]}
    solved = {
        "correct_choice_idx": place,
        "direct_answers": [known.answer] * 7 + wrong,
        "difficult_direct_answer": False,
        "rationales": [_typed(rng, reason) for reason in known.reasons],
    }
    return {**shown, **solved}, {**shown, "difficult_direct_answer": False}


def _typed(rng: Random, reason: str) -> str:
    """Upstream's rationales differ in capitals, periods and spaces."""
    if rng.random() < 0.5:
        reason = reason[0].upper() + reason[1:]
    return reason + rng.choice((".", ".", "", ". ", " ."))


def _truth(mini: Miniature, question_id: str, known: Known) -> None:
    mini.truth("knowledge_aokvqa", question_id, target=known.answer)
    whole = [f"The answer is {known.answer} because {reason}." for reason in known.reasons]
    mini.truth("rationale_aokvqa_answer", question_id, one_of=whole)
    listed = [f"{n}. {reason[0].upper()}{reason[1:]}." for n, reason in enumerate(known.reasons, start=1)]
    mini.truth("rationale_aokvqa", question_id, target="\n".join(listed))
