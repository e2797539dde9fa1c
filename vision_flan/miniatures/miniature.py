"""A miniature: a small raw tree in upstream's own layout, and the truth about it beside it.

A generator gets a `Miniature` and writes through it. Layout on disk, for `--out DIR` and dataset `textocr`:

- `DIR/textocr/...`: what upstream ships;
- `DIR/.truth/<task id>.jsonl`: what each record must become, known to the generator;
- `DIR/.truth/made/textocr.json`: marks the folder as ours, so that real data is never overwritten.

One module per dataset, `datasets/<slug>.py` (`_300w.py` where a slug starts with a digit), holding
`def generate(mini: Miniature) -> None`; its docstring says what `n` counts and what `source_id` is.

    rng = mini.rng("train", index)             # keyed draws; also np_rng, hex_id, number (distinct ids)
    mini.image("images/0.jpg", image)          # Pillow, uint8 array or bytes (quirks.*); format by suffix
    mini.write_json("x.json", value)           # small files; also write_text, write_bytes, write_lines
    with mini.json_document("x.json") as doc:  # streams, in any order: doc.field, .array, .object, .nest
    with mini.json_array("x.json", key="annotations", before={"info": {}}) as add: add(record)
    with mini.json_lines(rel) as add:          # also mini.csv(rel, header), .lines(rel), .json_object(rel)
    with mini.pack("images.zip") as tree: tree.image("train/0.jpg", image)  # the archive, or unpacked
    with mini.archive("noise.tar") as tree:    # always an archive; mini.borrow("mscoco").image(...)
    mini.truth(task_id, source_id, target=answer)  # or answer=, one_of=[...], dropped="why"

Images: `draw` (cards, words, shapes, digits), `scenes` (CLEVR, panels, faces, figures, maps), `charts`,
`corrupt`, `quirks` (odd and broken files), `coco` (borrowed images). File formats: `formats`. Sentences:
`text`. Truth semantics: `Miniature.truth`. Tests of every generator: tests/miniatures/test_every_dataset.py.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from vision_flan.errors import MachineError, to_type
from vision_flan.miniatures.tree import FolderTree, Tree, archive

TRUTH = ".truth"
#: Keys of a line of truth, exactly one of which is given.
_CLAIMS = ("target", "turns", "answer", "one_of", "if_input", "pairs", "dropped")


class Miniature(FolderTree):
    """The raw folder of one dataset, to write into.

    Args:
        root: the folder that stands for `--raw`.
        dataset: slug of the dataset, name of its folder.
        n: number of records of the dataset's main unit; each generator says which.
        seed: with `dataset` and a key, decides every draw.
        archives: make `pack` write the archive upstream ships, instead of its unpacked form.
        images: write images; without them, a million records can be used to measure annotations alone.
        resume: write again what a stopped run with the same arguments left unfinished.

    Raises:
        MachineError: the dataset's folder exists already, and was not created by borrowing.
    """

    def __init__(
        self,
        root: Path,
        dataset: str,
        n: int,
        seed: int,
        *,
        archives: bool = False,
        images: bool = True,
        resume: bool = False,
    ) -> None:
        super().__init__(root / dataset, images=images)
        self.root = root
        self.dataset = dataset
        self.n = n
        self.seed = seed
        self.archives = archives
        self.tasks: list[str] = []
        self.records = 0
        self._facts = _facts_of(n, seed, archives=archives, images=images)
        self._resume = resume
        self._truth: dict[str, IO[str]] = {}
        self._stack = ExitStack()
        self._claim(self.dataset, borrowed=False)

    def __enter__(self) -> Miniature:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if kind is None:
            self._mark(self.dataset, self._facts)

    # --- draws: each has a key, so that their order does not matter

    def _digest(self, key: Sequence[object]) -> bytes:
        text = "\x1f".join([str(self.seed), self.dataset, *map(str, key)])
        return hashlib.md5(text.encode(), usedforsecurity=False).digest()

    def rng(self, *key: object) -> random.Random:
        """A random number generator for this key."""
        return random.Random(int.from_bytes(self._digest(key), "big"))

    def np_rng(self, *key: object) -> np.random.Generator:
        """The same for arrays."""
        return np.random.default_rng(int.from_bytes(self._digest(key), "big"))

    def hex_id(self, digits: int, *key: object) -> str:
        """Lower-case hex digits for this key, at most 32; from 12 on, collisions are negligible."""
        return self._digest(("hex", *key)).hex()[:digits]

    def number(self, index: int, low: int, high: int, *key: object) -> int:
        """The `index`-th of distinct, scattered numbers in `low..high`, both included.

        Raises:
            ValueError: the range has fewer than `index + 1` numbers.
        """
        span = high - low + 1
        if not 0 <= index < span:
            raise ValueError(f"{low}..{high} holds {span} numbers, number {index} was asked for")
        rng = self.rng("number", low, high, *key)
        step = rng.randrange(1, span) if span > 1 else 1
        while math.gcd(step, span) != 1:
            step = step % span + 1
        return low + (rng.randrange(span) + index * step) % span

    # --- folders and archives

    def borrow(self, dataset: str) -> FolderTree:
        """Another dataset's folder, for images that this release borrows: `borrow("mscoco")`.

        Raises:
            MachineError: the folder has files that no miniature wrote.
        """
        self._claim(dataset, borrowed=True)
        return FolderTree(self.root / dataset, images=self.images)

    @contextmanager
    def pack(self, name: str, into: str = "") -> Iterator[Tree]:
        """The archive `name` that upstream ships, or its unpacked form in the dataset's folder, below `into`.

        Members are written under the archive's own paths either way:
        `with mini.pack("train_val_images.zip") as tree: tree.image("train_images/a.jpg", image)`.
        """
        if self.archives:
            with archive(self.path(name), images=self.images) as tree:
                yield tree
        else:
            yield FolderTree(self.folder / into, images=self.images) if into else self

    @contextmanager
    def archive(self, name: str) -> Iterator[Tree]:
        """An archive that is always written packed, and read in place: `.zip`, `.tar`, `.tar.gz`, `.tgz`."""
        with archive(self.path(name), images=self.images) as tree:
            yield tree

    # --- truth

    def truth(self, task: str, source_id: str | int, **claim: object) -> None:
        """What `task` must make of the record `source_id` (upstream's key).

        Exactly one of these, and what else a test may want to know (`words`, `contains`, `pixels`):

        - `target`: the exact string; `one_of`: the acceptable ones;
        - `turns`: all [request, answer] of a conversation;
        - `answer`: text of the right option, where options are shuffled or lettered;
        - `if_input`: [text, target if the input holds it, target if not], where a text may be foreign;
        - `pairs`: all [question, answer] of the image, where several are shown;
        - `dropped`: why the record must not be written.
        """
        if sum(name in claim for name in _CLAIMS) != 1:
            raise ValueError(f"truth of {task} {source_id} needs exactly one of {', '.join(_CLAIMS)}")
        out = self._truth.get(task)
        if out is None:
            path = self.root / TRUTH / f"{task}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            out = self._truth[task] = self._stack.enter_context(path.open("w", encoding="utf-8"))
            self.tasks.append(task)
        self.records += 1
        out.write(json.dumps({"source_id": str(source_id), **claim}, ensure_ascii=False) + "\n")

    # --- ownership of folders

    def _claim(self, dataset: str, *, borrowed: bool) -> None:
        folder = self.root / dataset
        marker = self._marker(dataset)
        state = json.loads(marker.read_text("utf-8")) if marker.exists() else None
        if state is None and folder.exists() and any(folder.iterdir()):
            raise MachineError(
                f"{folder} is there already, and no miniature made it",
                hint="choose another --out; real data and miniatures do not mix",
            )
        goes_on = self._resume and state == {"unfinished": True, **self._facts}
        if not borrowed and not goes_on and state not in (None, {"borrowed": True}):
            raise MachineError(
                f"{folder} holds a miniature already ({json.dumps(state)})",
                hint=f"choose another --out, or remove it first: {to_type('rm', '-r', folder, marker)}",
            )
        if state is None or not borrowed:
            self._mark(dataset, {"borrowed": True} if borrowed else {"unfinished": True, **self._facts})

    def _marker(self, dataset: str) -> Path:
        return _marker_of(self.root, dataset)

    def _mark(self, dataset: str, state: dict[str, object]) -> None:
        marker = self._marker(dataset)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps(state) + "\n", "utf-8")


def is_made(root: Path, dataset: str, n: int, seed: int, *, archives: bool, images: bool) -> bool:
    """Whether a miniature with these arguments is there and finished."""
    marker = _marker_of(root, dataset)
    try:
        state: object = json.loads(marker.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return state == _facts_of(n, seed, archives=archives, images=images)


def _marker_of(root: Path, dataset: str) -> Path:
    return root / TRUTH / "made" / f"{dataset}.json"


def _facts_of(n: int, seed: int, *, archives: bool, images: bool) -> dict[str, object]:
    """What a marker says of a finished miniature; usual choices go without saying."""
    unusual = ({"archives": True} if archives else {}) | ({} if images else {"images": False})
    return {"n": n, "seed": seed, **unusual}
