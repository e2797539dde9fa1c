"""Checkpoints on disk: tensors read by rows under the model's own names, written with llava-hf's.

Reading by rows lets each rank take its shard straight from the file, so that no machine ever holds a second
copy of the model. Safetensors and PyTorch's zip files are both mapped into memory, not loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2  # what huggingface_hub speaks; its errors of the connection are not OSErrors
import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vision_flan.errors import Location, VflanError

LLM = ("model.language_model.", "lm_head.")
VISION = ("model.vision_tower.",)
PROJECTOR = ("model.multi_modal_projector.",)

#: (prefix on disk, prefix in the model); the first that fits is taken, what fits none is left out.
_RENAMES = (
    ("model.mm_projector.0.", "model.multi_modal_projector.linear_1."),  # LLaVA
    ("model.mm_projector.2.", "model.multi_modal_projector.linear_2."),
    ("model.vision_tower.vision_tower.vision_model.", "model.vision_tower."),
    ("language_model.lm_head.", "lm_head."),  # llava-hf
    ("language_model.model.", "model.language_model."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
    ("vision_tower.vision_model.", "model.vision_tower."),
    ("vision_tower.", "model.vision_tower."),
    ("vision_model.", "model.vision_tower."),  # CLIP, as published and as transformers 5 saves it
    *((part, f"model.vision_tower.{part}") for part in ("embeddings.", "encoder.", "pre_lay", "post_lay")),
    ("model.language_model.", "model.language_model."),  # the model's own
    ("model.multi_modal_projector.", "model.multi_modal_projector."),
    ("model.vision_tower.", "model.vision_tower."),
    ("lm_head.", "lm_head."),
    ("model.", "model.language_model."),  # Llama, last: the most general
)
#: (prefix in the model, prefix in llava-hf's published files)
_PUBLISHED = (
    ("model.language_model.", "language_model.model."),
    ("lm_head.", "language_model.lm_head."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
)
_PART = 2**24  # values of a tensor that are hashed at a time
_SMALL = ("*.json", "*.model", "*.jinja", "*.txt")
#: Bytes of a configuration, and of a tokenizer or another file that is read whole.
_MOST_CONFIG, _MOST_SMALL = 16 * 2**20, 256 * 2**20
#: Rows that an embedding may have beyond those on disk.
_MOST_ROWS = 65_536


class WeightsError(VflanError):
    """A checkpoint is not there, or not what the model needs."""


def fetch(name: str) -> Path:
    """The folder or file `name`, downloaded if it is a Hub id; safetensors where there are any."""
    if Path(name).exists():
        return Path(name)
    try:
        files = HfApi().list_repo_files(name)
    except (OfflineModeIsEnabled, HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
        try:
            return Path(snapshot_download(name, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError, OSError):
            raise WeightsError(
                f"no model at {name!r}, neither a folder nor on the Hub ({error})",
                hint=f"hf download {name}, or name a folder",
            ) from error
    kind = "*.safetensors" if any(file.endswith(".safetensors") for file in files) else "*.bin"
    return Path(snapshot_download(name, allow_patterns=[*_SMALL, kind]))


def check_small_files(folder: Path) -> None:
    """Refuse, before a library reads them whole, files beside the weights that are no files, or too large.

    Raises:
        WeightsError: names the first.
    """
    for path in sorted(path for pattern in _SMALL for path in folder.glob(pattern)):
        most = _MOST_CONFIG if path.name == "config.json" else _MOST_SMALL
        if not path.is_file():
            raise WeightsError("this is not a regular file", where=Location(path))
        if path.stat().st_size > most:
            raise WeightsError(f"{path.stat().st_size:,} bytes; the limit is {most:,}", where=Location(path))


def said(error: Exception) -> str:
    """An error of PyTorch or transformers in a line, without their advice to run the code in a file."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "trust_remote_code" in str(error) or isinstance(error, pickle.UnpicklingError):
        return "it comes with code of its own, which is never run"
    kind = f"{type(error).__name__}: " if isinstance(error, LookupError | TypeError) else ""
    return f"{kind}{text}"[:300]


def model_name(disk: str) -> str | None:
    """The model's name of a tensor on disk, or None for what the model does not have."""
    for prefix, ours in _RENAMES:
        if disk.startswith(prefix):
            return ours + disk[len(prefix) :]
    return None


def published_name(name: str) -> str:
    """llava-hf's name of a tensor of the model."""
    for prefix, theirs in _PUBLISHED:
        if name.startswith(prefix):
            return theirs + name[len(prefix) :]
    raise WeightsError(f"{name!r} is not a tensor of LLaVA")


class Weights:
    """Tensors of one or several checkpoints.

    Args:
        places: name in the model -> file and name in that file.
    """

    def __init__(self, places: Mapping[str, tuple[Path, str]]) -> None:
        self.places = dict(places)
        self._open: dict[Path, Any] = {}
        self._means: dict[str, Tensor] = {}

    @classmethod
    def read(cls, path: Path, prefixes: tuple[str, ...] = LLM + VISION + PROJECTOR) -> Weights:
        """The tensors of a checkpoint, folder or file, whose names in the model begin with `prefixes`."""
        weights = cls({})
        for file in _files(path):
            opened = weights._file(file)
            for disk in opened.keys():  # noqa: SIM118  safe_open cannot be iterated over
                name = model_name(disk)
                if name and name.startswith(prefixes):
                    weights.places[name] = (file, disk)
        if not weights.places:
            raise WeightsError(f"no tensor begins with {' or '.join(prefixes)}", where=Location(path))
        return weights

    def __or__(self, other: Weights) -> Weights:
        """Both; where both have a tensor, the other's."""
        return Weights({**self.places, **other.places})

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape on disk."""
        return tuple(self._slice(name).get_shape())

    def must_fit(self, name: str, shape: tuple[int, ...]) -> None:
        """Refuses a tensor that is not of the model's `shape`; only rows may be missing (see `rows`)."""
        have = self.shape(name)
        fits = len(have) == len(shape) and have[1:] == shape[1:]
        if not fits or (have and not have[0] <= shape[0] <= have[0] + _MOST_ROWS):
            where = Location(self.places[name][0])
            raise WeightsError(f"{name} is {have} on disk and {shape} in the model", where=where)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` in the type on disk.

        Rows beyond the end exist only where the model's vocabulary is larger than the checkpoint's (llava-hf
        has 64 more than Vicuna). They are the mean of the others: never learned, never the likeliest.
        """
        have = self.shape(name)[0]
        inside: Tensor = self._slice(name)[min(start, have) : min(stop, have)]
        extra = stop - max(start, have)
        if extra <= 0:
            return inside
        if not name.endswith(("embed_tokens.weight", "lm_head.weight")):
            raise WeightsError(
                f"{name} has {have} rows, the model wants {stop}", where=Location(self.places[name][0])
            )
        if name not in self._means:
            self._means[name] = self._slice(name)[:].float().mean(dim=0, keepdim=True)
        return torch.cat([inside, self._means[name].to(inside.dtype).expand(extra, -1)])

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """A digest of every value of some tensors, with shape and type; each is read whole, a part at a time.

        A thousand million bf16 parameters take two seconds; ranks share the tensors of a run.
        """
        return {name: self._digest(name) for name in names}

    def _digest(self, name: str) -> str:
        opened, shape = self._slice(name), self.shape(name)
        if not shape:
            raise WeightsError(f"{name} has no rows", where=Location(self.places[name][0]))
        digest = hashlib.blake2b(f"{name} {shape}".encode(), digest_size=16)
        rows = max(1, _PART // max(1, math.prod(shape[1:])))
        for start in range(0, shape[0], rows):
            part: Tensor = opened[start : start + rows].contiguous()
            if not start:
                digest.update(str(part.dtype).encode())
            digest.update(part.view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def full(self, name: str, rows: int) -> Tensor:
        """A whole tensor, its first dimension brought to `rows`."""
        return self.rows(name, 0, rows)

    def _slice(self, name: str) -> Any:
        if name not in self.places:
            raise WeightsError(f"the checkpoints have no tensor {name}", hint="look at `init` of the recipe")
        file, disk = self.places[name]
        return self._file(file).get_slice(disk)

    def _file(self, file: Path) -> Any:
        if file not in self._open:
            try:
                self._open[file] = (
                    safe_open(file, "pt") if file.suffix == ".safetensors" else _TorchFile(file)
                )
            except Exception as error:
                what = f"not a readable checkpoint: {said(error)}"
                raise WeightsError(what, where=Location(file)) from error
        return self._open[file]


class _TorchFile:
    """A PyTorch zip file with the two methods of `safe_open` used here."""

    def __init__(self, file: Path) -> None:
        found: object = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        if not isinstance(found, dict):
            raise ValueError("no mapping of names to tensors")  # noqa: TRY004
        self._tensors = {str(name): part for name, part in found.items() if isinstance(part, Tensor)}

    def keys(self) -> Iterable[str]:
        return self._tensors.keys()

    def get_slice(self, name: str) -> _TorchSlice:
        return _TorchSlice(self._tensors[name])


class _TorchSlice:
    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def get_shape(self) -> list[int]:
        return list(self._tensor.shape)

    def __getitem__(self, rows: slice) -> Tensor:
        return self._tensor[rows]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    for pattern in ("*.safetensors", "*.bin"):
        files = sorted(f for f in path.glob(pattern) if f.is_file() and f.name != "training_args.bin")
        if files:
            return files
    raise WeightsError("no .safetensors and no .bin file in this folder", where=Location(path))


def write(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Iterable[tuple[str, Tensor]],
    dtype: torch.dtype,
    limit: int = 5_000_000_000,
) -> None:
    """Writes safetensors files of at most `limit` bytes (one tensor at least), and their index.

    Args:
        folder: an existing folder.
        shapes: shape of every tensor, in the order of `tensors`.
        tensors: the model's names and values; used one at a time.
        dtype: type on disk.
    """
    shards: list[list[str]] = [[]]
    filled = 0
    for name, shape in shapes.items():
        size = math.prod(shape) * dtype.itemsize
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    stream: Iterator[tuple[str, Tensor]] = iter(tensors)
    index: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        single = len(shards) == 1
        file = "model.safetensors" if single else f"model-{number:05}-of-{len(shards):05}.safetensors"
        part = {}
        for expected in names:
            name, tensor = next(stream)
            if name != expected:
                raise WeightsError(f"{name} came where {expected} was due")
            part[published_name(name)] = tensor.detach().to("cpu", dtype).contiguous()
            index[published_name(name)] = file
        save_file(part, folder / file, metadata={"format": "pt"})
    if len(shards) > 1:
        total = sum(math.prod(shape) for shape in shapes.values()) * dtype.itemsize
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
        (folder / "model.safetensors.index.json").write_text(text + "\n", encoding="utf-8")


def replace_folder(made: Path, folder: Path) -> None:
    """Puts a finished folder in its place; the old one goes only when the new one is whole."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
