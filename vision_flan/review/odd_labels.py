"""Answers that do not fit: one image with two of them, and images that look like those with another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_flan.review.duplicates import Images, groups_of

#: Side of the small image that images are compared by; neighbors that must agree; distance to these, against
#: that to the nearest image with the same answer, below which an answer looks wrong.
_SIDE, NEIGHBORS, USUAL = 8, 5, 0.7
#: Images that are compared with one another; instances come shuffled, so that the first are any.
_MOST = 20_000
_BLOCK = 512

Features = npt.NDArray[np.float32]


class Odd(NamedTuple):
    """An instance by number, how odd it is (0 is worst, 1 best), and why."""

    number: int
    score: float
    note: str


def feature(image: Image.Image) -> Features:
    """Colors and their layout, in a few numbers."""
    small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32).reshape(-1) / np.float32(255)


def is_closed(answers: Sequence[str]) -> bool:
    """Whether answers repeat, as those of classes do and captions do not."""
    return len(set(answers)) * 2 <= len(answers)


def different_answers(images: Images, answers: Sequence[str], bits: int) -> Iterator[Odd]:
    """Instances that ask the same about the same image and have another answer than the first of them.

    Args:
        images: their signatures are those of the question.
        bits: as `find_duplicates`.
    """
    same: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(images.digests):
        same[digest].append(i)
    numbers = {place: i for i, place in enumerate(images.places)}
    done = set()
    for group in sorted(groups_of(images, bits), key=lambda group: group.kind, reverse=True):
        digests = {images.digests[numbers[place]] for place in group.places}
        first: dict[bytes, int] = {}
        for i in sorted(i for digest in digests for i in same[digest]):
            known = first.setdefault(images.signatures[i], i)
            exact = images.digests[i] == images.digests[known]
            apart = 0 if exact else images.differ_in(i, known)
            if i not in done and answers[i] != answers[known] and (exact or apart <= bits):
                done.add(i)
                alike = "the same image" if exact else f"an image {apart} of 64 bits away"
                note = f"{answers[i]!r}; {images.places[known].id}, {alike}, has {answers[known]!r}"
                yield Odd(i, apart / 64, note)


def outliers(features: Features, answers: Sequence[str], ids: Sequence[str], limit: float) -> Iterator[Odd]:
    """Images whose nearest images all have one other answer, and are nearer than any with the same answer.

    Two images that each look like the other's class are told as a pair: their answers may be swapped.
    """
    names = sorted(set(answers[:_MOST]))
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[answer] for answer in answers[:_MOST]], np.intp)
    if len(names) < 2 or len(labels) <= NEIGHBORS:
        return
    found = list(_outliers(features[:_MOST], labels, limit))
    pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, _, other in found:
        pairs[int(labels[i]), other].append(i)
    for i, score, other in found:
        back = pairs.get((other, int(labels[i])))
        note = f"{names[labels[i]]!r}, but it looks like images with {names[other]!r}"
        yield Odd(i, score, note + (f"; may be swapped with {ids[back[0]]}" if back else ""))


def _outliers(
    features: Features, labels: npt.NDArray[np.intp], limit: float
) -> Iterator[tuple[int, float, int]]:
    """(instance, score, the label of its neighbors)."""
    squares = (features**2).sum(1)
    for start in range(0, len(labels), _BLOCK):
        block = features[start : start + _BLOCK]
        distances = squares[start : start + _BLOCK, None] + squares - 2 * block @ features.T
        numbers = np.arange(start, start + len(block))
        distances[numbers - start, numbers] = np.inf
        nearest = np.argpartition(distances, NEIGHBORS, axis=1)[:, :NEIGHBORS]
        for row, i in enumerate(numbers):
            (label, votes), *_ = Counter(labels[nearest[row]].tolist()).most_common(1)
            own = distances[row][labels == labels[i]]
            if label == labels[i] or votes < NEIGHBORS or not np.isfinite(own).any():
                continue
            away = float(np.sqrt(max(distances[row, nearest[row]].mean(), 0)))
            home = float(np.sqrt(max(own.min(), 1e-12)))
            if away < limit * home:
                yield int(i), away / home, int(label)
