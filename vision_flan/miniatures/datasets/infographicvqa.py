"""InfographicVQA: questions about tall images full of numbers; images of all splits in one folder.

`n` counts train questions; val and test get an eighth each. `source_id` is the question id.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from PIL import Image

from vision_flan.miniatures import charts, draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree, encode

_TOPICS = text.listed("Coffee;Sleep;Recycling;Solar power;Online games", ";")
_PLACES = text.listed("Italy Spain India Brazil Japan Kenya Norway Chile")
Shares = list[tuple[str, float]]


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with (
        mini.pack("infographicsvqa_images.tar.gz") as images,
        mini.pack("infographicsvqa_qas.zip") as questions,
    ):
        _split(mini, images, questions, "train", "infographicsVQA_train_v1.0.json", mini.n)
        _split(mini, images, questions, "val", "infographicsVQA_val_v1.0_withQT.json", few)
        _split(mini, images, questions, "test", "infographicsVQA_test_v1.0.json", few)


def _split(mini: Miniature, images: Tree, questions: Tree, split: str, name: str, count: int) -> None:
    head = {"dataset_name": "infographicVQA", "dataset_split": split, "dataset_version": 1.0}
    with questions.json_array(name, "data", head) as add:
        for index in range(count):
            rng = mini.rng(split, index)
            topic = rng.choice(_TOPICS)
            percent = map(float, rng.sample(range(5, 96), 4))
            shares: Shares = list(zip(rng.sample(_PLACES, 4), percent, strict=True))
            number = 3 * index + ("train", "val", "test").index(split) + 30_000
            image = f"{number}.{('jpeg', 'jpeg', 'png', 'jpg')[index % 4]}"
            images.image(f"infographicsvqa_images/{image}", _infographic(topic, shares, index))
            asked, answers = _question(rng, topic, shares)
            question_id = mini.number(index, 60_000, 99_999_999, split)
            record: dict[str, object] = {
                "questionId": question_id,
                "question": asked,
                "image_local_name": image,
                "image_url": f"https://example.org/{topic.lower().replace(' ', '-')}",
                "ocr_output_file": f"{number}.json",
                "data_split": split,
            }
            if split != "test":
                record["answers"] = answers
            if split == "val":
                record |= {"answer_type": ["single span"], "operation/reasoning": []}
            add(record)
            if split == "train":
                mini.truth("reasoning_infographicvqa", question_id, target=answers[0])


def _question(rng: Random, topic: str, shares: Shares) -> tuple[str, list[str]]:
    """A question and its answers: annotators may differ in spelling; several parts are one text."""
    ranked = sorted(shares, key=lambda share: (-share[1], share[0]))
    kind = rng.randrange(3)
    if kind == 0:
        place, share = rng.choice(shares)
        return f"What percentage is given for {place}?", [
            f"{share:g}%",
            f"{share:g}",
        ]
    if kind == 1:
        return "Which two countries have the highest shares?", [", ".join(place for place, _ in ranked[:2])]
    return "how many countries are shown ", [str(len(shares)), "four"]


def _infographic(topic: str, shares: Shares, index: int) -> Callable[[], Drawing]:
    def image() -> Drawing:
        sheet = draw.blank((200, 4000 if index % 20 == 13 else 320), draw.color_of(topic, light=True))
        sheet.paste(charts.chart("pie", shares, (200, 140), title=f"{topic}: % of people"), (0, 0))
        sheet.paste(charts.chart("hbar", shares, (200, 140), title=f"{topic}: % of people"), (0, 150))
        return _png(sheet) if index % 9 == 4 else sheet

    return image


def _png(image: Image.Image) -> bytes:
    """Image data whose format does not follow from its name."""
    return encode(image, ".png")
