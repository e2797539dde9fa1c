"""`vflan duplicates`: the same image twice, byte for byte or to the eye, within and across compiled folders.

Near duplicates have perceptual hashes (pHash, 64 bits) that differ in few bits. Candidates share 16 of the
bits, but for one, in the same place; that finds every pair that differs in at most `FURTHEST` bits, without
comparing all images with all.
"""

from __future__ import annotations

import hashlib
import importlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_flan.columns import IMAGE
from vision_flan.errors import VflanError, install_command
from vision_flan.instances.images import BadImageError
from vision_flan.report import Reporter
from vision_flan.review.same import Same, signatures, text_columns
from vision_flan.review.stored import manifests_of, shown_image, stored_batches
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import find_configs

#: Bits in which the hashes of near duplicates may differ; and by default.
FURTHEST, USUAL = 7, 6
_BANDS, _WIDTH = 4, 16
#: Standard deviation of gray below which an image is too plain to have a telling hash.
_PLAIN = 4.0
#: Pairs that are compared at a time.
_BLOCK = 1_000_000

Hashes = npt.NDArray[np.uint64]


class Place(NamedTuple):
    """An instance: the folder by its number (0 is the one that is examined), the task and the id."""

    folder: int
    task: str
    id: str


@dataclass
class Images:
    """All images that are compared.

    Attributes:
        digests: SHA-256 of the bytes.
        hashes, mirrored: perceptual hash of the image and of its mirror image; 0 for one that is too plain.
        signatures: what the instance asks and answers (`review.same`).
        unread: reason -> images without a hash.
    """

    places: list[Place] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    mirrored: list[int] = field(default_factory=list)
    signatures: list[bytes] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)

    def add(self, place: Place, data: bytes, hashes: tuple[int, int], signature: bytes) -> None:
        """Add an instance with its image."""
        self.places.append(place)
        self.digests.append(hashlib.sha256(data).digest())
        self.hashes.append(hashes[0])
        self.mirrored.append(hashes[1])
        self.signatures.append(signature)

    def differ_in(self, i: int, j: int) -> int:
        """Bits in which the hashes of two images differ, or that of one and the mirror image of the other."""
        if not (self.hashes[i] and self.hashes[j]):
            return 64
        return min((one ^ self.hashes[j]).bit_count() for one in (self.hashes[i], self.mirrored[i]))


@dataclass(frozen=True)
class Group:
    """Instances with one image; `bits` is the most that two of them that were compared differ by."""

    kind: Literal["exact", "near"]
    places: Sequence[Place]
    bits: int = 0

    @property
    def scope(self) -> Literal["within", "across", "against"]:
        """Within one task, across tasks of the folder, or with another folder."""
        if len({place.folder for place in self.places}) > 1:
            return "against"
        return "within" if len({place.task for place in self.places}) == 1 else "across"


@dataclass(frozen=True)
class Duplicates:
    """What was found, in the order of the first instance of each group.

    Attributes:
        bits: in which the hashes of near duplicates might differ; -1 if only bytes were compared.
    """

    folders: Sequence[Path]
    bits: int
    compared: Images
    groups: Sequence[Group]

    @property
    def images(self) -> int:
        """How many images were compared."""
        return len(self.compared.places)

    @property
    def unread(self) -> Mapping[str, int]:
        """Reason -> images without a hash."""
        return self.compared.unread

    def counts(self) -> dict[str, int]:
        """`exact within`, `near across`, ... -> groups."""
        found = Counter(f"{group.kind} {group.scope}" for group in self.groups)
        names = [f"{kind} {scope}" for kind in ("exact", "near") for scope in ("within", "across", "against")]
        return {name: found[name] for name in names}


class Hashing(Protocol):
    """What is used of imagehash."""

    def phash(self, image: Image.Image) -> _Hash: ...


class _Hash(Protocol):
    hash: npt.NDArray[np.bool_]


def find_duplicates(
    folders: Sequence[Path],
    catalog: Catalog,
    report: Reporter,
    tasks: Sequence[str] = (),
    bits: int = USUAL,
    same: Same = Same.ANSWER,
) -> Duplicates:
    """Compare the images of a compiled folder with one another and with those of others.

    Args:
        folders: the one that is examined, then those it is compared with.
        tasks: only these configs of the first folder.
        bits: in which the hashes of near duplicates may differ, at most `FURTHEST`; -1 finds exact ones only.
        same: what of the texts is kept, to tell which instances are the same.

    Raises:
        VflanError: no compiled config, a shard that cannot be read, or imagehash is not installed.
    """
    hashing = hashing_library() if bits >= 0 else None
    images = Images()
    for number, folder in enumerate(folders):
        manifests = manifests_of(folder)
        chosen = list(manifests)
        if not number:
            chosen = find_configs(catalog, tasks, chosen, folder) or chosen
        report.stage(f"hashing {folder.name}", sum(manifests[name].rows for name in chosen))
        for name in chosen:
            for batch in stored_batches(folder, manifests[name], ("id", IMAGE, *text_columns(same))):
                data, texts = batch.column(IMAGE).field("bytes"), signatures(batch, same)
                for key, image, text in zip(batch.column("id").to_pylist(), data, texts, strict=True):
                    _add(images, Place(number, name, key), image.as_py(), text, hashing)
                report.advance(batch.num_rows)
    ours = [group for group in groups_of(images, bits) if any(not place.folder for place in group.places)]
    return Duplicates(folders, bits, images, ours)


def groups_of(images: Images, bits: int) -> list[Group]:
    """Exact groups, then near ones; -1 bits finds exact ones only."""
    return [*_exact(images), *(_near(images, bits) if bits >= 0 else ())]


def hashing_library() -> Hashing:
    """imagehash.

    Raises:
        VflanError: it is not installed.
    """
    try:
        library: Hashing = importlib.import_module("imagehash")
    except ImportError as error:
        raise VflanError("imagehash is not installed", hint=install_command("review")) from error
    return library


def _add(images: Images, place: Place, data: bytes | None, text: bytes, hashing: Hashing | None) -> None:
    if data is None:
        images.unread["not in the folder"] += 1
        return
    hashes = 0, 0
    if hashing:
        try:
            hashes = hashes_of(shown_image(data), hashing)
        except BadImageError as error:
            images.unread[str(error)] += 1
    images.add(place, data, hashes, text)


def hashes_of(image: Image.Image, hashing: Hashing) -> tuple[int, int]:
    """The hash of an image as it is shown, and of its mirror image; 0 if it is nearly of one color."""
    small = image.convert("L").resize((64, 64), Image.Resampling.BOX)
    if float(np.asarray(small, np.float64).std()) < _PLAIN:
        return 0, 0
    mirror = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _number(hashing.phash(small)), _number(hashing.phash(mirror))


def _number(found: _Hash) -> int:
    return int.from_bytes(np.packbits(found.hash.reshape(-1)).tobytes(), "big")


def _exact(images: Images) -> Iterator[Group]:
    groups: dict[bytes, list[Place]] = {}
    for digest, place in zip(images.digests, images.places, strict=True):
        groups.setdefault(digest, []).append(place)
    yield from (Group("exact", places) for places in groups.values() if len(places) > 1)


def _near(images: Images, bits: int) -> Iterator[Group]:
    """Groups of near duplicates: one image stands for all that are the same byte for byte."""
    members: dict[int, dict[bytes, Place]] = {}
    mirrors: dict[int, int] = {}
    for place, digest, plain, mirrored in zip(
        images.places, images.digests, images.hashes, images.mirrored, strict=True
    ):
        if plain:
            members.setdefault(plain, {}).setdefault(digest, place)
            mirrors.setdefault(plain, mirrored)
    hashes = np.array(list(members), np.uint64)
    parents, furthest = list(range(len(hashes))), [0] * len(hashes)
    for queries in (hashes, np.array(list(mirrors.values()), np.uint64)):
        for i, j, distance in near_pairs(queries, hashes, bits):
            a, b = sorted((_root(parents, i), _root(parents, j)))
            parents[b] = a
            furthest[a] = max(furthest[a], furthest[b], distance)
    groups: dict[int, list[Place]] = {}
    for position, same in enumerate(members.values()):
        groups.setdefault(_root(parents, position), []).extend(same.values())
    for root, places in groups.items():
        if len(places) > 1:
            yield Group("near", places, furthest[root])


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


def near_pairs(queries: Hashes, hashes: Hashes, bits: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of different positions whose hashes differ in at most `bits` bits, with the number of bits.

    Of 64 bits in four bands, one band differs in at most one bit if all differ in at most seven.

    Args:
        bits: at most `FURTHEST`.
    """
    mask = np.uint64(2**_WIDTH - 1)
    flips = [np.uint64(0), *(np.uint64(1 << bit) for bit in range(_WIDTH))]
    for band in range(_BANDS):
        shift = np.uint64(_WIDTH * band)
        keys = (hashes >> shift) & mask
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for flip in flips:
            wanted = ((queries >> shift) & mask) ^ flip
            starts, ends = (np.searchsorted(ordered, wanted, side) for side in ("left", "right"))
            yield from _within(queries, hashes, order, (starts, ends - starts), bits)


def _within(
    queries: Hashes,
    hashes: Hashes,
    order: npt.NDArray[np.intp],
    ranges: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    bits: int,
) -> Iterator[tuple[int, int, int]]:
    starts, counts = ranges
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(queries):
        before = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, before + _BLOCK, "right")))
        some = counts[begin:stop]
        left = np.repeat(np.arange(begin, stop), some)
        offsets = np.arange(len(left)) - np.repeat(np.cumsum(some) - some, some)
        right = order[np.repeat(starts[begin:stop], some) + offsets]
        distances = np.bitwise_count(queries[left] ^ hashes[right])
        good = (distances <= bits) & (left != right)
        yield from zip(left[good].tolist(), right[good].tolist(), distances[good].tolist(), strict=True)
        begin = stop
