"""DocVQA: questions about scanned pages, as the zip of questions and the archive of pages of one task.

`n` counts train questions, about two per page; val and test get an eighth each. `source_id` is the question
id, of reasoning_infographicvqa_document `<page>+<question id>`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from vision_flan.miniatures import draw, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing, Tree

#: Label on the page, question about it, values.
_FIELDS = (
    (
        "To:",
        "To whom is this document addressed?",
        text.listed("Dr. W. J. Darby;Mr. R. Smith;Müller & Co.", ";"),
    ),
    ("Date", "what is the date mentioned ?", text.listed("May 1, 1974;12/31/83;1/8/93", ";")),
    ("Total", "What is the total cost?", text.listed("$ 1,250;$975.00;DM 12.50", ";")),
    ("Page", "What is the page number at the bottom of the page?", text.listed("4 17 -2-")),
    (
        "Subject",
        "what is the subject of this letter",
        text.listed("Meeting of the board;Diet study;R&D", ";"),
    ),
)
Fields = dict[str, tuple[str, str]]


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    with mini.pack("spdocvqa_images.tar.gz") as images, mini.pack("spdocvqa_qas.zip") as questions:
        _split(mini, images, questions, "train", "train_v1.0_withQT.json", mini.n)
        _split(mini, images, questions, "val", "val_v1.0_withQT.json", few)
        _split(mini, images, questions, "test", "test_v1.0.json", few)


def _split(mini: Miniature, images: Tree, questions: Tree, split: str, name: str, count: int) -> None:
    head = {"dataset_name": "SP-DocVQA", "dataset_version": "1.0", "dataset_split": split}
    with questions.json_array(name, "data", head) as add:
        for index in range(count):
            page = index // 2
            rng = mini.rng(split, page)
            shown = {label: (asked, rng.choice(values)) for label, asked, values in rng.sample(_FIELDS, 3)}
            number = mini.number(page, 1000, 9999_9999, split)
            document = "".join(rng.choices("fghjklmnpqrstxyz", k=4)) + f"{number % 10_000:04d}"
            image = f"{document}_{number // 10_000}.png"
            if index % 2 == 0:
                images.image(f"spdocvqa_images/{image}", _page(shown, rng))
            label = list(shown)[index % 2]
            asked, answer = shown[label]
            question_id = mini.number(index, 1, 99_999_999, "question", split)
            record: dict[str, object] = {
                "questionId": question_id,
                "question": asked,
                "question_types": [rng.choice(("form", "table/list", "layout", "handwritten"))],
                "image": f"documents/{image}",
                "docId": number,
                "ucsf_document_id": document,
                "ucsf_document_page_no": str(number // 10_000),
                "data_split": split,
            }
            if split != "test":
                record["answers"] = [answer, answer.lower()] if index % 3 else [answer]
            add(record)
            if split == "train":
                mini.truth("ocr_docvqa", question_id, target=answer, contains=asked)
                key = f"{image.removesuffix('.png')}+{question_id}"
                mini.truth("reasoning_infographicvqa_document", key, target=answer, contains=asked)


def _page(shown: Fields, rng: Random) -> Callable[[], Drawing]:
    """A black and white page with its number at the bottom: grayscale, or one bit per pixel."""
    one_bit = rng.random() < 0.5
    lines = {label: f"{label}  {value}" for label, (_, value) in shown.items()}
    number = lines.pop("Page", "")
    padding = [""] * (5 - len(lines))

    def image() -> Drawing:
        page = draw.page([*lines.values(), *padding, number], (240, 120))
        return page.convert("1") if one_bit else quirks.grayscale(page, ".png")

    return image
