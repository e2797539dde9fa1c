"""Precision and recall of near duplicates; `python -m tests.review.likeness` prints the table of the docs.

Every image is compared with its own change and with all other images; photographs are real files of upstream
if there are some (`tests.real_samples`), scenes are drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from tests.real_samples import sample_of
from tests.review.test_duplicates import CHANGES, encoded, scene
from vision_flan.review.duplicates import FURTHEST, hashes_of, hashing_library
from vision_flan.review.stored import shown_image

#: Datasets whose samples are photographs of different things.
PHOTOGRAPHS = (
    "mscoco", "concadia", "set5", "road_anomaly", "cub_200_2011", "objectnet", "total_text", "expw",
)  # fmt: skip
Change = Callable[[Image.Image], bytes]


def photographs() -> Iterator[Image.Image]:
    """Real photographs; none where there are no samples."""
    seen = set()
    for dataset in PHOTOGRAPHS:
        folder = sample_of(dataset)
        for path in sorted(folder.rglob("*")) if folder else ():
            masks_or_copies = ".labels" in str(path) or "CSet5" in path.parts
            if path.suffix.lower() not in (".jpg", ".jpeg", ".png") or masks_or_copies:
                continue
            if path.stat().st_size > 5_000_000:
                continue
            data = path.read_bytes()
            if data in seen:
                continue
            seen.add(data)
            image = shown_image(data)
            if min(image.size) >= 64:
                yield image


def scenes(count: int) -> list[Image.Image]:
    """Drawn images."""
    return [scene(seed) for seed in range(count)]


@dataclass(frozen=True)
class Likeness:
    """How far apart images are: each and its change, and the nearest of all pairs of different ones."""

    changed: Sequence[int]
    unrelated: Sequence[int]

    def recall(self, bits: int) -> float:
        """The share of changes that are found."""
        return sum(distance <= bits for distance in self.changed) / len(self.changed)

    def wrong(self, bits: int) -> int:
        """Pairs of different images that are taken for one."""
        return sum(distance <= bits for distance in self.unrelated)


def likeness(images: Sequence[Image.Image], change: Change) -> Likeness:
    """Compare every image, encoded, with its change and with the others."""
    hashing = hashing_library()
    originals = [hashes_of(shown_image(encoded(image)), hashing) for image in images]
    changed = [hashes_of(shown_image(change(image)), hashing)[0] for image in images]
    pairs = itertools.combinations(originals, 2)
    return Likeness(
        [_apart(original, other) for original, other in zip(originals, changed, strict=True)],
        [_apart(one, two[0]) for one, two in pairs],
    )


def _apart(one: tuple[int, int], other: int) -> int:
    return min((hash_ ^ other).bit_count() for hash_ in one) if one[0] and other else 64


def table() -> str:
    """Recall by change and bits, and the pairs of different images that are taken for one."""
    lines = []
    for name, images in (("photographs", list(photographs())), ("drawn scenes", scenes(200))):
        if not images:
            continue
        lines.append(f"{len(images)} {name}")
        for change, make in CHANGES.items():
            found = likeness(images, make)
            recalls = ", ".join(f"{bits}: {found.recall(bits):.0%}" for bits in range(FURTHEST + 1))
            lines.append(f"  {change:10} {recalls}")
        nearest = sorted(found.unrelated)[:5]
        wrong = ", ".join(f"{bits}: {found.wrong(bits)}" for bits in range(FURTHEST + 1))
        lines.append(f"  unrelated  {len(found.unrelated)} pairs, wrong {wrong}; nearest {nearest}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
