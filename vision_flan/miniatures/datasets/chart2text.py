"""Chart2Text: a chart, its table, title and tokenized text, one file each; and charts with several columns.

`n` counts charts of two columns; an eighth as many have several. `source_id` is the chart's number.
"""

from __future__ import annotations

from functools import partial
from random import Random

from vision_flan.miniatures import charts, text
from vision_flan.miniatures.miniature import Miniature

_TOPICS = text.listed("hotel rooms;coffee shops;public libraries;electric cars", ";")
_PLACES = text.listed("Normandy;Corsica;Île-de-France;Auvergne-Rhône-Alpes;Brittany", ";")
#: A sentence as it is in the files, and as people write it.
_BACKGROUND = (
    (
        "Their number has grown ( from 12,000 in 2010 ) , by about 4 % a year .",
        "Their number has grown (from 12,000 in 2010), by about 4% a year.",
    ),
    (
        "France 's market is the third largest in Europe ; it does n't stand still .",
        "France's market is the third largest in Europe; it doesn't stand still.",
    ),
    ("Is the trend going on ? In the U.S. it is not .", "Is the trend going on? In the U.S. it is not."),
)


def generate(mini: Miniature) -> None:
    for index in range(mini.n):
        number = index + index // 5  # the numbering has gaps
        rng = mini.rng(index)
        topic = rng.choice(_TOPICS)
        rows = [(place, float(rng.randint(100, 9_999))) for place in rng.sample(_PLACES, 3)]
        tokens, shown = _commentary(rng, topic, rows)
        mini.write_lines(f"dataset/titles/{number}.txt", [f"Number of {topic} in France 2019 , by region"])
        mini.write_lines(f"dataset/captions/{number}.txt", [tokens])
        with mini.csv(f"dataset/data/{number}.csv", ["Region", topic.capitalize()]) as add:
            for place, value in rows:
                add([place, f"{value:g}"])
        chart = partial(charts.chart, "hbar", rows, (240, 150), title=f"{topic} in France, 2019")
        mini.image(f"images/statista/{number}.png", chart)
        mini.truth("caption_chart2text", number, target=shown)
    for number in range(max(mini.n // 8, 1)):
        _several_columns(mini, number)


def _commentary(rng: Random, topic: str, rows: list[tuple[str, float]]) -> tuple[str, str]:
    """The text as it is in the file, and what it must become."""
    place, value = max(rows, key=lambda row: row[1])
    first = f"In 2019 , the region with the most {topic} was {place} , with {value:,.0f} ."
    tokens, shown = rng.choice(_BACKGROUND)
    readable = f"In 2019, the region with the most {topic} was {place}, with {value:,.0f}. {shown}"
    return f"{first} {tokens}", readable


def _several_columns(mini: Miniature, number: int) -> None:
    """Charts numbered separately; which images belong to them is not known."""
    folder = "dataset/multiColumn"
    mini.write_lines(f"{folder}/titles/{number}.txt", ["Nintendo 's unit sales 1997 to 2019"])
    mini.write_text(f"{folder}/captions/{number}.txt", "The statistic shows Nintendo 's unit sales .")
    with mini.csv(f"{folder}/data/{number}.csv", ["unknown", "Wii", "Wii U"]) as add:
        add(["FY '16", "0.11", "3.26"])
        add(["FY '15", "0.46", "-"])
