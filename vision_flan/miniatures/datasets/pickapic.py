"""Pick-a-Pic: Parquet shards, one row per comparison of two generated images.

`n` counts comparisons of train, in two shards; the other splits get a tenth each. `source_id` is the uid of
the preferred image. A winning image is compared again, so it is in several rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa

from vision_flan.miniatures import draw, formats, text
from vision_flan.miniatures.miniature import Miniature
from vision_flan.miniatures.tree import encode

_SCHEMA = pa.schema(
    [
        ("are_different", pa.bool_()),
        ("best_image_uid", pa.string()),
        ("caption", pa.string()),
        ("created_at", pa.timestamp("ns")),
        ("has_label", pa.bool_()),
        ("image_0_uid", pa.string()),
        ("image_0_url", pa.string()),
        ("image_1_uid", pa.string()),
        ("image_1_url", pa.string()),
        ("jpg_0", pa.binary()),
        ("jpg_1", pa.binary()),
        ("label_0", pa.float64()),
        ("label_1", pa.float64()),
        ("model_0", pa.string()),
        ("model_1", pa.string()),
        ("ranking_id", pa.int64()),
        ("user_id", pa.int64()),
        ("num_example_per_prompt", pa.int64()),
        ("__index_level_0__", pa.int64()),
    ]
)
_TIME = datetime(2023, 2, 1, tzinfo=UTC).replace(tzinfo=None)
_STYLES = ("oil painting", "highly detailed, 8k, trending on artstation", "photo", "pixel art")


def generate(mini: Miniature) -> None:
    few = max(mini.n // 10, 1)
    middle = mini.n // 2
    _shard(mini, "train-00000-of-00002-3f9c1d2e4b5a6078", "train", range(middle))
    _shard(mini, "train-00001-of-00002-9a8b7c6d5e4f3021", "train", range(middle, mini.n))
    for split in ("validation", "test", "validation_unique", "test_unique"):
        _shard(mini, f"{split}-00000-of-00001-0123456789abcdef", split, range(few))


def _shard(mini: Miniature, name: str, split: str, rows: range) -> None:
    formats.parquet(mini.path(f"data/{name}.parquet"), _SCHEMA, _rows(mini, split, rows))


def _rows(mini: Miniature, split: str, rows: range) -> Iterator[dict[str, object]]:
    """Two comparisons per prompt: the winner of the first is the left image of the second."""
    told: set[str] = set()
    for index in rows:
        prompt, turn = divmod(index, 2)
        rng = mini.rng(split, prompt)
        caption = f"{text.clause(rng)}, {rng.choice(_STYLES)}" if prompt % 6 else text.THINGS[prompt % 20]
        winner = rng.randrange(2)
        pair = (0, 1) if turn == 0 else (winner, 2)
        tie = prompt % 5 == 3
        labeled = prompt % 9 != 7
        left = 0.5 if tie else float(winner == 0) if turn == 0 else 1.0
        yield _row(mini, (split, prompt), caption, pair, left if labeled else 0.0, labeled=labeled)
        best = _uid(mini, split, prompt, winner)
        if split == "train" and labeled and not tie and best not in told:
            mini.truth("caption_pickapic", best, target=caption)
        told = {best}


def _uid(mini: Miniature, split: str, prompt: int, number: int) -> str:
    digits = mini.hex_id(32, split, prompt, number)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _row(
    mini: Miniature, key: tuple[str, int], caption: str, pair: tuple[int, int], left: float, *, labeled: bool
) -> dict[str, object]:
    uids = [_uid(mini, *key, number) for number in pair]
    row: dict[str, object] = {
        "are_different": True,
        "best_image_uid": "tie" if left == 0.5 else uids[0] if left else uids[1],
        "caption": caption,
        "created_at": _TIME,
        "has_label": labeled,
        "num_example_per_prompt": 2,
        "ranking_id": key[1],
        "user_id": key[1] % 7,
        "__index_level_0__": key[1],
    }
    for side, uid in enumerate(uids):
        row[f"image_{side}_uid"] = uid
        row[f"image_{side}_url"] = f"https://example.org/{uid}.png"
        row[f"jpg_{side}"] = _image(mini, caption, uid, ".png" if pair[side] == 1 else ".jpg")
        row[f"label_{side}"] = (left if side == 0 else 1 - left) if labeled else None
        row[f"model_{side}"] = "dreamlike-art/dreamlike-photoreal-2.0"
    return row


def _image(mini: Miniature, caption: str, uid: str, suffix: str) -> bytes:
    return encode(draw.caption_card(caption, (96, 96), note=uid), suffix) if mini.images else b""
