"""What a reviewer is shown of one task: facts, sources, counts of targets, and a few of its instances.

They come from records (raw files or a miniature) or from a compiled folder. The instances are drawn over all
targets in turn, so that a rare answer is seen beside the frequent ones; the draw is the same every time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from vision_flan.build.open_task import OpenTask, open_task
from vision_flan.columns import TEXT_COLUMNS, Turn
from vision_flan.dataset.manifest import Manifest
from vision_flan.errors import VflanError
from vision_flan.instances.images import BadImageError
from vision_flan.instances.maker import Dropped, Instance, Text
from vision_flan.instances.rendering import instruction_of
from vision_flan.raw.roots import RawPlaces
from vision_flan.review.overview import TaskFacts, task_facts
from vision_flan.review.stored import stored_batches
from vision_flan.review.thumbnails import data_uri
from vision_flan.spec.catalog import Catalog

#: Candidates looked at for each instance shown, to find the rare targets among them.
LOOKED_AT = 30
#: Different targets in a histogram; the rest is added up.
TOP_TARGETS = 12
#: Words of a target above which a histogram of targets says nothing.
_LONG = 8
#: Upper ends, in words, of the bars of the histogram of lengths; the last bar is open.
_LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128)

T = TypeVar("T")


class Bar(NamedTuple):
    """One bar of a histogram; `share` is its length, 0 to 100, against the longest bar."""

    label: str
    number: int
    share: float


@dataclass(frozen=True)
class Shown:
    """An instance; `size` is that of the original image, in pixels and bytes, and its format."""

    text: Mapping[str, str]
    turns: Sequence[Turn]
    options: Sequence[str]
    image: str
    image_path: str
    size: str


@dataclass
class TaskShown:
    """A task as a page shows it.

    Attributes:
        facts: as `vflan list` has them; only the id where a compiled task has no spec here.
        origin: where the instances come from, in words.
        spec, instruction: the sources, empty where there are none.
        counts: what was counted, in words: records, instances, dropped.
        dropped: reason -> source ids, or their number.
        targets, lengths: histograms, over what was looked at.
        error: what stopped it; there are no instances then.
    """

    task: str
    title: str
    facts: TaskFacts | None
    origin: str
    spec: str = ""
    instruction: str = ""
    counts: Mapping[str, str] = field(default_factory=dict)
    dropped: dict[str, list[str] | int] = field(default_factory=dict)
    targets: Sequence[Bar] = ()
    lengths: Sequence[Bar] = ()
    instances: list[Shown] = field(default_factory=list)
    error: VflanError | None = None


@dataclass(frozen=True)
class Sample:
    """How instances are drawn and shown.

    Attributes:
        n: instances of a task.
        limits: side in pixels and bytes of an image (`thumbnails`).
    """

    n: int
    seed: int
    limits: tuple[int, int]


def from_records(catalog: Catalog, name: str, raw: RawPlaces, origin: str, sample: Sample) -> TaskShown:
    """A task with instances made from its records; what stops it is told in `error`, not raised."""
    task = catalog.task(name)
    shown = _of_catalog(catalog, task.id, origin)
    try:
        with open_task(task.id, raw, catalog, sample.seed) as opened:
            _fill(shown, opened, sample)
    except VflanError as error:
        shown.error = error
    return shown


def from_dataset(folder: Path, manifest: Manifest, catalog: Catalog, sample: Sample) -> TaskShown:
    """A task with instances of a compiled folder."""
    name = manifest.task
    if name in catalog.task_files:
        shown = _of_catalog(catalog, name, str(folder))
    else:
        shown = TaskShown(name, manifest.title, None, str(folder), instruction=manifest.instruction)
    shown.counts = {"instances": f"{manifest.rows:,}", "candidates": f"{manifest.counts['candidates']:,}"}
    shown.dropped = dict(manifest.counts["dropped"])
    targets: list[str] = []
    images: list[object] = []
    for batch in stored_batches(folder, manifest, ["target", "image.path"]):
        targets += batch["target"].to_pylist()
        images += (stored["path"] for stored in batch["image"].to_pylist())
    _count(shown, targets)
    wanted = set(in_turn(range(len(targets)), targets, sample.n, images))
    start = 0
    for batch in stored_batches(folder, manifest):
        inside = [number - start for number in wanted if start <= number < start + batch.num_rows]
        shown.instances += [_of_row(row, sample) for row in batch.take(sorted(inside)).to_pylist()]
        start += batch.num_rows
    return shown


def in_turn(items: Iterable[T], targets: Sequence[str], n: int, images: Sequence[object] = ()) -> list[T]:
    """At most n items, one of each target in turn, in the order in which targets and items come.

    Where several items are about one image, a turn takes those of images that were not taken yet first.

    Args:
        images: what the image of each item is; empty if all differ.
    """
    groups: dict[str, _Group[T]] = {}
    for at, (item, target) in enumerate(zip(items, targets, strict=True)):
        group = groups.setdefault(target, _Group(deque(), deque()))
        group.fresh.append((item, images[at] if images else at))
    chosen: list[T] = []
    taken: set[object] = set()
    waiting = list(groups.values())
    while waiting and len(chosen) < n:
        repeated = []
        for group in waiting:
            group.skip(taken)
            if group.fresh:
                item, image = group.fresh.popleft()
                taken.add(image)
                chosen.append(item)
            else:
                repeated.append(group.repeated.popleft())
        chosen += repeated
        waiting = [group for group in waiting if group.fresh or group.repeated]
    return chosen[:n]


@dataclass
class _Group(Generic[T]):
    """Items of one target with their images: those not looked at yet, and those of images that were taken."""

    fresh: deque[tuple[T, object]]
    repeated: deque[T]

    def skip(self, taken: set[object]) -> None:
        """Move the first items to the others as long as their images are taken."""
        while self.fresh and self.fresh[0][1] in taken:
            self.repeated.append(self.fresh.popleft()[0])


def histogram(counts: Iterable[tuple[str, int]]) -> list[Bar]:
    """Bars whose shares are against the longest."""
    pairs = list(counts)
    most = max((count for _, count in pairs), default=1) or 1
    return [Bar(label, count, round(100 * count / most, 1)) for label, count in pairs]


def lengths_in_words(texts: Iterable[str]) -> list[Bar]:
    """How many texts have how many words."""
    found: Counter[int] = Counter()
    for text in texts:
        words = len(text.split())
        found[next((i for i, end in enumerate(_LENGTHS) if words <= end), len(_LENGTHS))] += 1
    labels = [_range(i) for i in range(len(_LENGTHS) + 1)]
    last = max(found, default=-1)
    return histogram((labels[i], found[i]) for i in range(min(found, default=0), last + 1))


def _range(i: int) -> str:
    if i == len(_LENGTHS):
        return f"over {_LENGTHS[-1]} words"
    low = _LENGTHS[i - 1] + 1 if i else 1
    return f"{low} words" if low == _LENGTHS[i] > 1 else "1 word" if not i else f"{low}-{_LENGTHS[i]} words"


def _of_catalog(catalog: Catalog, name: str, origin: str) -> TaskShown:
    task = catalog.task(name)
    return TaskShown(
        task.id,
        task.title,
        task_facts(catalog, task.id),
        origin,
        spec=task.document.path.read_text("utf-8"),
        instruction=instruction_of(task, catalog.instruction_file(task.id)),
    )


def _fill(shown: TaskShown, opened: OpenTask, sample: Sample) -> None:
    rows, answers, images = [], [], []
    maker = opened.maker(sample.seed)
    for row, text in opened.texts(sample.n * LOOKED_AT, sample.seed):
        if isinstance(text, Text):
            rows.append(row)
            answers.append(text.target)
            images.append(tuple(maker.references(row)) or str(row["_key"]))
        else:
            _drop(shown, text.reason, str(row["_key"]))
    _count(shown, answers)
    for row in in_turn(rows, answers, len(rows), images):
        if len(shown.instances) == sample.n:
            break
        made = maker.make(row, opened.read, full_check=True)
        if isinstance(made, Dropped):
            _drop(shown, made.reason, str(row["_key"]))
        else:
            shown.instances.append(_of_instance(made, sample))
    for reason, count in opened.candidates.dropped.items():
        shown.dropped[f"{reason}, of all records"] = count
    shown.counts = {"records": f"{opened.candidates.total:,}", "looked at": f"{len(rows):,}"}


def _drop(shown: TaskShown, reason: str, key: str) -> None:
    keys = shown.dropped.setdefault(reason, [])
    if isinstance(keys, list):
        keys.append(key)


def _count(shown: TaskShown, targets: Sequence[str]) -> None:
    shown.lengths = lengths_in_words(targets)
    counts = Counter(targets)
    short = sum(len(target.split()) <= _LONG for target in targets)
    if len(counts) == len(targets) or short * 2 < len(targets):
        return
    top = counts.most_common(TOP_TARGETS)
    others = len(targets) - sum(count for _, count in top)
    rest = [(f"{len(counts) - len(top)} others", others)] if others else []
    shown.targets = histogram([*top, *rest])


def _of_instance(made: Instance, sample: Sample) -> Shown:
    text = dict(zip(TEXT_COLUMNS, made.values, strict=True))
    image, size = _image(made.image, sample)
    return Shown(text, made.turns, made.options, image, made.image_path, size)


def _of_row(row: dict[str, Any], sample: Sample) -> Shown:
    stored = row["image"] or {"bytes": None, "path": ""}
    text = {column: row[column] for column in TEXT_COLUMNS}
    turns = [Turn(**turn) for turn in row.get("turns") or ()]
    image, size = _image(stored["bytes"], sample)
    whole = turns or [Turn(text["prompt"], text["target"])]  # compiled before there were turns
    return Shown(text, whole, row["options"], image, stored["path"], size)


def _image(data: bytes | None, sample: Sample) -> tuple[str, str]:
    """The image as a data URI, empty if there is none, and its size in words."""
    if data is None:
        return "", "a recipe: the image is not in this folder"
    try:
        uri, facts = data_uri(data, sample.limits)
    except BadImageError as error:
        return "", f"no image: {error}"
    return uri, f"{facts.width} x {facts.height} pixels, {len(data):,} bytes, {facts.format}"
