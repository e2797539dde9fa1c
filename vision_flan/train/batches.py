"""From a step's samples to padding-free rows, the same on any number of ranks and workers.

Every rank encodes the texts of the whole step (cheap), so all of them know the same plan: which sample goes
into which row of which rank, and how many tokens the step supervises. A rank then reads its own images only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vision_flan.errors import VflanError
from vision_flan.instances.images import decoded
from vision_flan.train.balance import Balanced, BalanceWindow
from vision_flan.train.corpus import Corpus, Sample
from vision_flan.train.mixture import Ref
from vision_flan.train.prompts import Document, Encoder


class SampleError(VflanError):
    """An instance that cannot be learned from."""


@dataclass(frozen=True)
class Row:
    """Documents end to end, without padding between them.

    Args:
        token_ids: int64 [length]; an image is its placeholders.
        positions: int64 [length]; starts at 0 with each document, which is all that keeps them apart.
        predicting: int64 [supervised]; places whose next token is supervised.
        labels: int64 [supervised]; those next tokens.
        sample: int64 [supervised]; which sample of the step each belongs to.
        images: uint8 [images, side, side, 3], in the order of the documents.
        padding: padding tokens at the end.
        lengths: tokens of each document, without padding.
    """

    token_ids: Tensor
    positions: Tensor
    predicting: Tensor
    labels: Tensor
    sample: Tensor
    images: Tensor
    padding: int
    lengths: tuple[int, ...]

    def pin_memory(self) -> Row:
        """The same in page-locked memory, from which a GPU copies while it computes."""
        return dataclasses.replace(
            self,
            token_ids=self.token_ids.pin_memory(),
            positions=self.positions.pin_memory(),
            predicting=self.predicting.pin_memory(),
            labels=self.labels.pin_memory(),
            sample=self.sample.pin_memory(),
            images=self.images.pin_memory(),
        )


@dataclass(frozen=True)
class Step:
    """One rank's share of a step, and what all ranks know of the whole."""

    number: int
    rows: list[Row]
    samples: list[Sample]
    supervised_of: tuple[int, ...]  # supervised tokens of each sample
    local_supervised: int  # supervised tokens on this rank
    tokens: int  # tokens of the whole step, without padding
    dropped: int  # samples cut before their answer
    balance: float = 1.0  # mean over largest tokens of a rank, rows one after another

    @property
    def supervised(self) -> int:
        """Supervised tokens of the whole step."""
        return sum(self.supervised_of)

    def pin_memory(self) -> Step:
        """Called by the loader where there is a GPU."""
        return dataclasses.replace(self, rows=[row.pin_memory() for row in self.rows])


def plan_rows(lengths: Sequence[int], ranks: int, limit: int) -> list[list[list[int]]]:
    """Which documents go into which row: `plan[rank][row]` is a list of places in `lengths`.

    Longest first, each into the shortest row so far; every rank gets the same number of rows, the
    smallest for which none is longer than `limit`.

    Raises:
        SampleError: a document longer than a row.
    """
    if max(lengths, default=0) > limit:
        raise SampleError(f"a document of {max(lengths)} tokens does not fit a row of {limit}")
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    rows = max(1, -(-sum(lengths) // (ranks * limit)))
    while True:
        filled = [0] * (ranks * rows)
        bins: list[list[int]] = [[] for _ in filled]
        for i in order:
            shortest = filled.index(min(filled))
            bins[shortest].append(i)
            filled[shortest] += lengths[i]
        if max(filled) <= limit:
            return [[sorted(bins[row * ranks + rank]) for row in range(rows)] for rank in range(ranks)]
        rows += 1


def balance_of(tokens: Sequence[Sequence[int]]) -> float:
    """How busy the average rank is: 1 where all have the same tokens in each row.

    Args:
        tokens: of each row of each rank; all ranks wait for the longest row before they go on.
    """
    longest = sum(max(row) for row in zip(*tokens, strict=True))
    return sum(map(sum, tokens)) / (len(tokens) * longest) if longest else 1.0


def to_square(data: bytes, side: int, mean: Sequence[float]) -> Tensor:
    """Decodes an image, pads it to a square with the mean color, scales it: uint8 [side, side, 3].

    It is turned as its EXIF asks, as `load_dataset` does. What is transparent becomes white; LLaVA shows the
    color stored below it, often black under black lines.

    Args:
        data: the encoded file.
        side: pixels of the tower's input.
        mean: the tower's mean color, 0 to 1 (LLaVA pads with it, cut to whole numbers).

    Raises:
        OSError, ValueError: Pillow cannot decode it.
    """
    image = decoded(data)
    if image.width != image.height:
        size = max(image.size)
        square = Image.new("RGB", (size, size), tuple(int(channel * 255) for channel in mean))
        square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
        image = square
    if image.width != side:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image))


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How the samples of a step become the rows of a rank.

    Attributes:
        batch: samples of a step, over all ranks.
        rank, ranks: whose share.
        limit: the longest row, in tokens.
        side, mean: of the vision tower's input, in pixels and per channel.
        multiple: rows are padded to a multiple of this many tokens (flex attention wants few shapes).
        blocks: deal samples out in order, equally many a rank, as LLaVA does, instead of by length.
    """

    batch: int
    rank: int
    ranks: int
    limit: int
    side: int
    mean: Sequence[float]
    multiple: int = 1
    blocks: bool = False


class Steps:
    """Step number -> this rank's share of it: a pure function, so a resume reads nothing it skips."""

    def __init__(
        self, corpus: Corpus, encoder: Encoder, packing: Packing, window: BalanceWindow | None = None
    ) -> None:
        self.corpus, self.encoder, self.packing = corpus, encoder, packing
        self._balanced = Balanced(corpus.mixture, window, self._length) if window else None

    def _length(self, ref: Ref) -> int:
        return len(self.encoder.encode(self.corpus.sample(ref)).token_ids)

    def refs(self, step: int) -> list[Ref]:
        """The samples of a step, on all ranks."""
        if self._balanced:
            return self._balanced.step(step)
        return self.corpus.mixture.step(step, self.packing.batch)

    def __getitem__(self, step: int) -> Step:
        return self.of(step, self.refs(step))

    def of(self, step: int, refs: Sequence[Ref]) -> Step:
        """This rank's share of the given samples."""
        samples = [self.corpus.sample(ref) for ref in refs]
        documents = [self.encoder.encode(sample) for sample in samples]
        useful = [i for i, document in enumerate(documents) if document.supervised_count]
        rows, plans = [], self._plans(useful, documents)
        for places in plans[self.packing.rank]:
            images = [self._image(refs[i], samples[i]) for i in places if samples[i].has_image]
            rows.append(self._row([(i, documents[i]) for i in places], images))
        return Step(
            number=step,
            rows=rows,
            samples=samples,
            supervised_of=tuple(document.supervised_count for document in documents),
            local_supervised=sum(len(row.labels) for row in rows),
            tokens=sum(len(documents[i].token_ids) for i in useful),
            dropped=len(samples) - len(useful),
            balance=balance_of(
                [[sum(len(documents[i].token_ids) for i in row) for row in plan] for plan in plans]
            ),
        )

    def _plans(self, useful: list[int], documents: list[Document]) -> list[list[list[int]]]:
        """Places of the documents in each row of each rank."""
        ranks, limit = self.packing.ranks, self.packing.limit
        if not self.packing.blocks:
            plan = plan_rows([len(documents[i].token_ids) for i in useful], ranks, limit)
            return [[[useful[i] for i in row] for row in rows] for rows in plan]
        share = -(-self.packing.batch // ranks)
        blocks = [[i for i in useful if i // share == rank] for rank in range(ranks)]
        plans = [
            [
                [block[i] for i in row]
                for row in plan_rows([len(documents[i].token_ids) for i in block], 1, limit)[0]
            ]
            for block in blocks
        ]
        most = max(map(len, plans))
        return [plan + [[] for _ in range(most - len(plan))] for plan in plans]

    def _image(self, ref: Ref, sample: Sample) -> Tensor:
        try:
            return to_square(self.corpus.image(ref), self.packing.side, self.packing.mean)
        except Exception as error:  # Pillow lets out whatever a damaged file makes it stumble over
            raise SampleError(
                f"the image of {sample.id} does not decode: {error}", hint="vflan verify <compiled folder>"
            ) from error

    def _row(self, documents: list[tuple[int, Document]], images: list[Tensor]) -> Row:
        """Joins documents; a rank without any gets one unsupervised token, so that it takes part."""
        length = sum(len(document.token_ids) for _, document in documents)
        padding = max(-length % self.packing.multiple, 0 if length else 1)
        token_ids = [document.token_ids for _, document in documents] + [np.zeros(padding, dtype=np.int64)]
        positions = [np.arange(len(part)) for part in token_ids]
        predicting, labels, sample, start = [], [], [], 0
        for place, document in documents:
            predicting.append(start + np.flatnonzero(document.supervised) - 1)
            labels.append(document.token_ids[document.supervised])
            sample.append(np.full(document.supervised_count, place))
            start += len(document.token_ids)
        none = [np.zeros(0, dtype=np.int64)]
        side = self.packing.side
        return Row(
            token_ids=torch.from_numpy(np.concatenate(token_ids)),
            positions=torch.from_numpy(np.concatenate(positions)),
            predicting=torch.from_numpy(np.concatenate(predicting or none)),
            labels=torch.from_numpy(np.concatenate(labels or none)),
            sample=torch.from_numpy(np.concatenate(sample or none)),
            images=torch.stack(images) if images else torch.zeros(0, side, side, 3, dtype=torch.uint8),
            padding=padding,
            lengths=tuple(len(document.token_ids) for _, document in documents),
        )


class _Guarded(Dataset["Step | VflanError"]):  # type: ignore[misc,unused-ignore]
    """`Steps` whose errors travel as values: a loader's worker would wrap them in a traceback."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __getitem__(self, step: int) -> Step | VflanError:
        try:
            return self.steps[step]
        except VflanError as error:
            return error


def steps_from(steps: Steps, start: int, stop: int, workers: int) -> Iterator[Step]:
    """The steps `start` to `stop`, made ahead of time by `workers` processes (0: made when asked for)."""
    loader: DataLoader[Step | VflanError] = DataLoader(
        _Guarded(steps),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    for made in loader:
        if isinstance(made, VflanError):
            raise made
        yield made
