"""CrisisMMD v2.0: tweets and images of seven disasters, tab-separated tables without quoting.

`n` counts images of the train lists; dev and test get a sixth each. `source_id` is the image id,
`917791044158185473_0`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from vision_flan.miniatures import draw, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import Tree

_EVENTS = text.listed(
    "california_wildfires hurricane_harvey hurricane_irma hurricane_maria iraq_iran_earthquake "
    "mexico_earthquake srilanka_floods"
)
_HEADER = text.listed(
    "tweet_id image_id text_info text_info_conf image_info image_info_conf text_human text_human_conf "
    "image_human image_human_conf image_damage image_damage_conf tweet_text image_url image_path"
)
_SPLIT_HEADER = "event_name tweet_id image_id tweet_text image label label_text label_image label_text_image"
_HUMAN = text.listed(
    "affected_individuals infrastructure_and_utility_damage injured_or_dead_people missing_or_found_people "
    "not_humanitarian other_relevant_information rescue_volunteering_or_donation_effort vehicle_damage"
)
_DAMAGE = ("severe_damage", "mild_damage", "little_or_no_damage")
#: Task -> column of its label for the text, for the image.
_TASKS = {
    "informative": ("text_info", "image_info"),
    "humanitarian": ("text_human", "image_human"),
    "damage": ("", "image_damage"),
}
_TEXTS = (
    '"This is a wildfire',
    "RT @user: Help! https://t.co/x",
    'We\'re safe &amp; "sound"',
    "Río Piedras: lluvia",
)


def generate(mini: Miniature) -> None:
    few = max(mini.n // 6, 1)
    ends = {"train": mini.n, "dev": mini.n + few, "test": mini.n + 2 * few}
    with mini.pack("CrisisMMD_v2.0.tar.gz") as tree, ExitStack() as stack:
        lists = stack.enter_context(mini.pack("crisismmd_datasplit_all.zip"))
        tree.write_text("CrisisMMD_v2.0/Readme.txt", "CrisisMMD v2.0 (miniature)\n")
        add = {}
        for event in _EVENTS:
            path = f"CrisisMMD_v2.0/annotations/{event}_final_data.tsv"
            add[event] = stack.enter_context(tree.lines(path))
            add[event]("\t".join(_HEADER))
        puts = {key: _split_list(stack, lists, *key) for key in ((t, s) for t in _TASKS for s in ends)}
        for index in range(ends["test"]):
            row, event = _row(mini, index), _EVENTS[index % len(_EVENTS)]
            split = next(name for name, end in ends.items() if index < end)
            add[event]("\t".join(str(row[name]) for name in _HEADER))
            _image(tree, row)
            for task, (of_text, of_image) in _TASKS.items():
                label = row[of_image]
                if label and label != "dont_know_or_cant_judge":
                    cells = (event, row["tweet_id"], row["image_id"], row["tweet_text"], row["image_path"])
                    labels = (label, row.get(of_text, ""), label, "Positive")
                    puts[task, split]("\t".join((*cells, *labels)))
                    if split == "train":
                        _truth(mini, task, row)


def _split_list(stack: ExitStack, tree: Tree, task: str, split: str) -> Callable[[str], None]:
    path = f"crisismmd_datasplit_all/task_{task}_text_img_{split}.tsv"
    put = stack.enter_context(tree.lines(path))
    put("\t".join(_SPLIT_HEADER.split()))
    return put


def _row(mini: Miniature, index: int) -> dict[str, Any]:
    """Two images share a tweet, whose text says what it is labeled with."""
    rng, tweet = mini.rng(index), mini.rng("tweet", index // 2)
    tweet_id = str(mini.number(index // 2, 910_000_000_000_000_000, 929_999_999_999_999_999, "tweet"))
    event, image_id = _EVENTS[index % len(_EVENTS)], f"{tweet_id}_{index % 2}"
    human = rng.choice(_HUMAN)
    info, about = tweet.choice(("informative", "not_informative")), tweet.choice(_HUMAN)
    damage = ""
    if human in ("infrastructure_and_utility_damage", "vehicle_damage") or index % 3 == 0:
        damage = rng.choice((*_DAMAGE, *_DAMAGE, "dont_know_or_cant_judge"))
    values = {
        "tweet_id": tweet_id,
        "image_id": image_id,
        "text_info": info,
        "image_info": rng.choice(("informative", "not_informative")),
        "text_human": about,
        "image_human": human,
        "image_damage": damage,
        "tweet_text": f"{tweet.choice(_TEXTS)} {text.clause(tweet)} #{info} #{about}",
        "image_url": f"http://pbs.twimg.com/media/{tweet_id}.jpg",
        "image_path": f"data_image/{event}/10_10_2017/{image_id}.jpg",
    }
    sure = {f"{name}_conf": 0.6766 for name in ("text_info", "image_info", "text_human", "image_human")}
    return {**values, **sure, "image_damage_conf": 1.0 if damage else ""}


def _image(tree: Tree, row: dict[str, Any]) -> None:
    shown = f"{row['image_info']}, {row['image_human']}, {row['image_damage']}".replace("_", " ")
    card = partial(draw.caption_card, shown, (160, 112), note=row["image_id"])
    tree.image(f"CrisisMMD_v2.0/{row['image_path']}", card)


def _truth(mini: Miniature, task: str, row: dict[str, Any]) -> None:
    of_text, of_image = _TASKS[task]
    said = row.get(of_text, "").replace("_", " ").replace("rescue v", "rescue, v")
    seen = row[of_image].replace("_", " ").replace("rescue v", "rescue, v")
    claim = {
        "damage": {"answer": seen},
        "humanitarian": {"target": f"Tweet: {said}; image: {seen}"},
        "informative": {"target": f"The tweet text is {said} and the image is {seen}."},
    }[task]
    tweet = row["tweet_text"].replace("&amp;", "&")
    mini.truth(f"crisis_crisismmd_{task}", row["image_id"], contains=tweet, **claim)
