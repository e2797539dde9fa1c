"""PlotQA: plots of statistics with many templated questions each, several of one template.

`n` counts train questions, four per plot; validation and test get an eighth each. `source_id` is
`<image_index>+<qid>#<place in the file>`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from vision_flan.miniatures import charts, quirks, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Drawing

_COUNTRIES = text.listed("Bulgaria Cuba Fiji Ghana Iraq Jordan Kenya Latvia Mali Nepal")
_KINDS = {"vbar_categorical": "bar", "hbar_categorical": "hbar", "dot_line": "line", "line": "line"}
_PER_PLOT = 4
Asked = tuple[str, str, str, str | int | float]  # qid, template, question, answer
Bars = list[tuple[str, float]]
#: What a target says for an answer.
_YES_NO = {"Yes": "yes", "No": "no"}


def generate(mini: Miniature) -> None:
    few = max(mini.n // 8, 1)
    for split, count, first in (("train", mini.n, 0), ("validation", few, 157_070), ("test", few, 190_720)):
        folder = f"PlotQA/{split}"
        with (
            mini.pack(f"{folder}/png.tar.gz", into=folder) as images,
            mini.json_array(f"{folder}/qa_pairs_V1.json", "qa_pairs") as add,
        ):
            for start in range(0, count, _PER_PLOT):
                plot = first + start // _PER_PLOT
                rng = mini.rng(split, plot)
                kind = rng.choice(list(_KINDS))
                # shares of a small country: some are below 0.01
                scale = rng.choice((0.004, 1.0, 250.0))
                bars = [
                    (name, _value(rng.random() * scale + scale / 9)) for name in rng.sample(_COUNTRIES, 3)
                ]
                images.image(f"png/{plot}.png", partial(_plot, kind, bars))
                for place, asked in enumerate(_questions(bars, rng.randint(1990, 2015))):
                    index = start + place
                    if index < count:
                        add(_record(plot, kind, index, asked))
                        if split == "train":
                            key = f"{plot}+{asked[0]}#{index}"
                            mini.truth("ocr_plotqa", key, target=_shown(asked[3]))


def _value(drawn: float) -> float:
    """Large values are whole, in the plot as in the answer."""
    return round(drawn) if drawn > 100 else drawn


def _plot(kind: str, bars: Bars) -> Drawing:
    image = charts.chart(_KINDS[kind], bars, (200, 150), title="Labor force (% of total)")
    return quirks.rgba(image)


def _questions(bars: Bars, year: int) -> Iterator[Asked]:
    (first, one), (second, two), _ = bars
    yield "S3", "structural", "How many countries are there in the graph ?", len(bars)
    # whole values are numbers without a decimal point, or strings
    yield "D2", "data_retrieval", f"What is the labor force in {first} ?", one
    yield "D2", "data_retrieval", f"What is the labor force in {second} ?", str(two)
    if year % 3 == 0:
        yield "S7", "structural", "What is the title of the graph ?", "Labor force (% of total)"
    elif year % 3 == 1:
        yield (
            "CM1",
            "comparison",
            f"Is the labor force in {first} less than in {second} ?",
            "Yes" if one < two else "No",
        )
    else:
        yield "A1", "arithmetic", f"What is the difference between {first} and {second} ?", one - two


def _shown(answer: str | int | float) -> str:
    """The number with two decimals, or with three significant digits below 1; other answers unchanged."""
    try:
        number = float(answer)
    except ValueError:
        return _YES_NO.get(str(answer), str(answer))
    digits = 2 if abs(number) >= 1 or number == 0 else 2 - math.floor(math.log10(abs(number)))
    return f"{number:.{digits}f}".rstrip("0").rstrip(".")


def _record(plot: int, kind: str, index: int, asked: Asked) -> dict[str, object]:
    qid, template, question, answer = asked
    return {
        "question_string": question,
        "answer_bbox": {"y": 21.0, "x": 40.0, "w": 30.0, "h": 9.0} if template == "structural" else {},
        "template": template,
        "answer": answer,
        "answer_id": 0,
        "type": kind,
        "qid": qid,
        "image_index": plot,
        "question_id": index % _PER_PLOT,
    }
