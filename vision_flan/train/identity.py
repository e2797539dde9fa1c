"""What makes a run this run: recipe, starting weights and data. Checkpoints of another are refused.

Paths are not compared, but what lies there: a folder may move, or be a local copy. What does not change
what is learned (`parallel`, `log`, `checkpoint`, `data.workers`, where to write) may differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from vision_flan.errors import Location, VflanError
from vision_flan.train.config import Config
from vision_flan.train.corpus import Corpus
from vision_flan.train.processes import Processes
from vision_flan.train.recipe import flat, is_free, is_path
from vision_flan.train.weights import LLM, PROJECTOR, VISION, Weights

FILE = "identity.json"


class AnotherRunError(VflanError):
    """The folder holds checkpoints of another run."""


@dataclass(frozen=True)
class Identity:
    """Everything that decides what a run learns.

    Attributes:
        recipe: each key that counts, and its value.
        init: a digest of each part of the model, and of the tokenizer.
        data: for each task of each source, its instances and a digest of the data.
        devices: how many, where the loss depends on it (`train.loss_norm=device_mean`).
    """

    recipe: Mapping[str, object]
    init: Mapping[str, str]
    data: Mapping[str, str]
    devices: int | None = None

    @property
    def digest(self) -> str:
        """One digest of all of it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Writes `identity.json`."""
        text = json.dumps({"digest": self.digest, **asdict(self)}, indent=1, ensure_ascii=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Identity:
        """Reads `identity.json`.

        Raises:
            OSError, ValueError, KeyError, TypeError: there is none, or it is damaged.
        """
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
        found = cls(**{name: stored[name] for name in ("recipe", "init", "data", "devices")})
        if found.digest != stored["digest"]:
            raise ValueError(f"{folder / FILE} does not have its digest")
        return found

    def differences(self, other: Identity) -> list[str]:
        """What is different in `other`, a line for each key."""
        lines = _changed(self.recipe, other.recipe, "{key}: {old} became {new}")
        lines += _changed(self.init, other.init, "init: the {key} has other weights or tokens")
        lines += _changed(self.data, other.data, "data: {key} had {old}, now {new}")
        if self.devices != other.devices:
            lines.append(f"devices: {self.devices} became {other.devices}")
        return lines


def _changed(old: Mapping[str, object], new: Mapping[str, object], form: str) -> list[str]:
    return [
        form.format(key=key, old=old.get(key, "nothing"), new=new.get(key, "nothing"))
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]


def identify(
    config: Config,
    corpus: Corpus,
    weights: Weights,
    tokenizer: PreTrainedTokenizerBase,
    processes: Processes,
) -> Identity:
    """The identity of a run that is about to start; every rank must call it.

    All values of the starting weights are read, each by one rank.
    """
    recipe = {key: value for key, value in flat(config).items() if not is_free(key) and not is_path(key)}
    parts = {"LLM": LLM, "vision tower": VISION, "projector": PROJECTOR}
    names = sorted(weights.places)
    shares = processes.gather(weights.digests(names[processes.rank :: processes.ranks]))
    tensors = {name: digest for share in shares for name, digest in share.items()}
    init = {
        part: _digest_of({name: tensors[name] for name in names if name.startswith(prefixes)})
        for part, prefixes in parts.items()
    }
    vocabulary = repr(sorted(tokenizer.get_vocab().items()))
    init["tokenizer"] = hashlib.sha256(vocabulary.encode()).hexdigest()[:32]
    data = {
        f"{task} of source {number}": f"{count} of {len(table)} instances ({table.fingerprint})"
        for (number, task), table, count in zip(
            corpus.mixture.tasks, corpus.tables, corpus.mixture.counts(), strict=True
        )
    }
    by_device = config.train.loss_norm == "device_mean"
    return Identity(json.loads(json.dumps(recipe)), init, data, processes.ranks if by_device else None)


def _digest_of(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:32]


def refuse_another(stored: Identity, now: Identity, folder: Path) -> None:
    """Stops a run that is not the one whose checkpoint is in `folder`.

    Raises:
        AnotherRunError: names each key that differs.
    """
    lines = stored.differences(now)
    if lines:
        more = f"\n    and {len(lines) - 20} more" if len(lines) > 20 else ""
        raise AnotherRunError(
            "this checkpoint is of another run:\n    " + "\n    ".join(lines[:20]) + more,
            where=Location(folder),
            hint="give another `out`, or the recipe, model and data the checkpoint was made with "
            "(a task that was added since is left out by `data.sources.N.exclude`)",
        )
