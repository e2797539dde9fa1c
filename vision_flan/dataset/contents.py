"""What a config holds, counted while it is written: its distinct images, and the tokens of its answers.

An image is known by the XXH3 of its bytes. A manifest has the exact number, and the smallest of the hashes:
from these alone follows how many distinct images several configs hold together (k minimum values: exact for
few images, else within about 3 percent), so that nobody has to read shards for a card.

A token is a run of letters and digits, or one punctuation mark. That is no trainer's tokenizer, which cuts
long words in pieces and counts more.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from vision_flan.columns import IMAGE, TURNS
from vision_flan.dataset.image_arrays import viewed_images, with_views

Hashes = npt.NDArray[np.uint64]

#: Hashes that a manifest keeps, and the bits of each.
KEPT = 1024
BITS = 40
_BYTES = BITS // 8
_NONE: Hashes = np.empty(0, np.uint64)
#: The class of a byte: 1 for what words are made of, UTF-8 beyond ASCII included; 2 for punctuation; 0 else.
_CLASSES = np.array(
    [1 if byte > 127 or chr(byte).isalnum() else 2 if 32 < byte < 127 else 0 for byte in range(256)], np.uint8
)


class Contents:
    """Counts of rows that are being written."""

    def __init__(self, hashes: Hashes = _NONE, tokens: int = 0) -> None:
        self._found = [hashes]
        #: Tokens of all answers.
        self.tokens = tokens

    @property
    def hashes(self) -> Hashes:
        """Of the distinct images, sorted."""
        if len(self._found) > 1:
            found = np.sort(np.concatenate(self._found))
            is_new = np.ones(len(found), np.bool_)  # not `np.unique`, which loads numpy.ma
            np.not_equal(found[1:], found[:-1], out=is_new[1:])
            self._found = [found[is_new]]
        return self._found[0]

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch with views of images."""
        found = [xxhash.xxh3_64_intdigest(image) for image in viewed_images(batch)]
        self._found.append(np.array(found, np.uint64))
        self.tokens += count_tokens(batch.column(TURNS).flatten().field("assistant"))

    def merge(self, other: Contents) -> None:
        """Count other rows, too."""
        self._found.append(other.hashes)
        self.tokens += other.tokens

    def to_json(self) -> dict[str, object]:
        """For a file of a build."""
        return {
            "hashes": base64.b64encode(self.hashes.astype("<u8").tobytes()).decode(),
            "tokens": self.tokens,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Read back what `to_json` made. Raises KeyError, TypeError or ValueError."""
        hashes = np.frombuffer(base64.b64decode(str(data["hashes"])), "<u8").astype(np.uint64)
        return cls(hashes, int(str(data["tokens"])))

    def facts(self) -> dict[str, object]:
        """For a manifest: counts, and the smallest hashes."""
        least = (self.hashes[:KEPT] >> np.uint64(64 - BITS)).astype(">u8")
        packed = least.view(np.uint8).reshape(-1, 8)[:, 8 - _BYTES :].tobytes()
        return {
            "images": len(self.hashes),
            "answer_tokens": self.tokens,
            "image_hashes": base64.b64encode(packed).decode(),
        }


def contents_of(shards: Iterable[Path]) -> Contents:
    """Counts of finished shards; reads all of their images.

    Raises:
        OSError, pa.ArrowException: a shard is missing or damaged.
    """
    contents = Contents()
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=100, columns=[IMAGE, TURNS]):
                contents.add(with_views(batch))
    return contents


def count_tokens(texts: pa.StringArray) -> int:
    """Tokens of all texts; see this module for what one is."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = texts.buffers()[2]
    if data is None or offsets[0] == offsets[-1]:
        return 0
    first = int(offsets[0])
    kinds = _CLASSES[np.frombuffer(data, np.uint8)[first : int(offsets[-1])]]
    in_word = kinds == 1
    begins = in_word.copy()
    begins[1:] &= ~in_word[:-1]
    starts = offsets[:-1] - first  # a word that follows the end of another text begins all the same
    starts = starts[starts < len(kinds)]
    begins[starts] = in_word[starts]
    return int(np.count_nonzero(begins) + np.count_nonzero(kinds == 2))


def images_of(facts: Mapping[str, object]) -> int | None:
    """Distinct images of a config, by its manifest; None if it was compiled before they were counted."""
    return _number(facts.get("images"))


def tokens_of(facts: Mapping[str, object]) -> int | None:
    """Tokens of a config's answers, None as for `images_of`."""
    return _number(facts.get("answer_tokens"))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


@dataclass(frozen=True)
class Distinct:
    """A number of distinct images; an estimate unless `exact`."""

    images: int
    exact: bool

    def __str__(self) -> str:
        if self.exact:
            return f"{self.images:,}"
        digits = max(len(str(self.images)) - 2, 0)
        return f"about {round(self.images, -digits):,}"


def distinct_images(configs: Iterable[Mapping[str, object]]) -> Distinct | None:
    """How many distinct images these configs hold together, by their manifests.

    Returns:
        None if one of them was compiled before images were counted.
    """
    least: set[int] = set()
    whole = True
    for facts in configs:
        found = _hashes_in(facts.get("image_hashes"))
        if found is None:
            return None
        least |= found
        whole = whole and (images_of(facts) or 0) <= KEPT
    if len(least) < KEPT or (whole and len(least) == KEPT):
        return Distinct(len(least), exact=True)
    at = sorted(least)[KEPT - 1]
    return Distinct(round((KEPT - 1) * 2**BITS / max(at, 1)), exact=False)


def _hashes_in(text: object) -> set[int] | None:
    if not isinstance(text, str) or re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text) is None or len(text) % 4:
        return None
    data = base64.b64decode(text)
    return {int.from_bytes(data[at : at + _BYTES]) for at in range(0, len(data) - _BYTES + 1, _BYTES)}
