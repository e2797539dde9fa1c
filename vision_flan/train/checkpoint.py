"""Checkpoints to go on from: whole, checked, of this run, and never half of one.

A checkpoint is written beside its final name and renamed when every rank's part and checksum is there, so
a killed run never leaves half of one. It holds what learns, its optimizer state and the step; frozen
weights are read from where the run started. The data needs no state: its order is a function of the step.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_saver import async_save, save
from transformers import LlavaForConditionalGeneration

from vision_flan.errors import Location, MachineError, plain
from vision_flan.train.checkpoint_reader import CheckpointError, read_into
from vision_flan.train.config import Config
from vision_flan.train.identity import FILE, Identity, refuse_another
from vision_flan.train.processes import Processes
from vision_flan.train.recipe import dump

CHECKSUMS = "checksums.json"
_OPTIONS = StateDictOptions(ignore_frozen_params=True)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LITTLE = 16 * 2**20


@contextmanager
def machine_errors(folder: Path, needs: int = 0) -> Iterator[None]:
    """Turns what a full or locked disk makes of a write into an error that says so.

    Args:
        folder: where is written.
        needs: bytes of what is written.

    Raises:
        MachineError: in place of the library's error.
    """
    try:
        yield
    except (Exception, CheckpointException) as error:  # the latter is a BaseException only
        numbers = _errnos(error)
        full = numbers & set(_FULL) or "No space left" in str(error) or _free(folder) < _LITTLE
        if not full and not numbers & {errno.EACCES, errno.EROFS, errno.EPERM}:
            raise
        what = "the disk is full" if full else f"it cannot be written: {error}"
        size = f"; {gib(needs)} are written here, {gib(_free(folder))} are free" if needs else ""
        raise MachineError(
            f"{what}{size}",
            where=Location(folder),
            hint="free some space, then the same command resumes; checkpoint.keep says how many are kept",
        ) from error


def _errnos(error: BaseException) -> set[int]:
    """The numbers of all OSErrors behind an error, those of other ranks included."""
    found = {error.errno} if isinstance(error, OSError) and error.errno else set[int]()
    if isinstance(error, CheckpointException):
        for failure in error.failures.values():
            found |= _errnos(failure[0])
    for inner in (error.__cause__, error.__context__):
        found |= _errnos(inner) if inner and inner is not error else set()
    return found


def _free(folder: Path) -> int:
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path())
    return shutil.disk_usage(there).free


def gib(size: int) -> str:
    """A size for people."""
    return f"{size / 2**30:.1f} GiB"


class Checkpoints:
    """The checkpoints of one run, `<out>/checkpoints/step-000500`.

    Args:
        config: the run.
        model, optimizer: what is saved and restored.
        processes: who writes.
        identity: what a checkpoint must be of.
    """

    def __init__(
        self,
        config: Config,
        model: LlavaForConditionalGeneration,
        optimizer: torch.optim.Optimizer,
        processes: Processes,
        identity: Identity,
    ) -> None:
        self.config, self.model, self.optimizer = config, model, optimizer
        self.processes, self.identity = processes, identity
        self.folder = config.folder / "checkpoints"
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: tuple[int, Future[None]] | None = None
        self._group = dist.new_group(backend="gloo") if config.checkpoint.asynchronous else None

    @property
    def size(self) -> int:
        """Bytes of one checkpoint: what learns, and AdamW's two moments of it."""
        learning: int = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        return learning * 4 * (3 if self.config.train.optimizer == "adamw" else 1)

    def _state(self) -> dict[str, object]:
        model, optimizer = get_state_dict(self.model, self.optimizer, options=_OPTIONS)
        return {"model": model, "optimizer": optimizer}

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:06}"

    def steps(self) -> list[int]:
        """The steps of the checkpoints, newest first."""
        names = (re.fullmatch(r"step-(\d+)", path.name) for path in self.folder.glob("step-*"))
        return sorted((int(match[1]) for match in names if match), reverse=True)

    def restore(self) -> int:
        """Loads the newest whole checkpoint, whatever number of ranks wrote it; the step to go on with.

        A damaged one is named, set aside as `step-000500.damaged`, and the one before it is taken.

        Raises:
            AnotherRunError: they are of another recipe, model or data.
            CheckpointError: none is whole.
        """
        found = self.processes.on_main(self.steps)
        damages = []
        for step in found:
            damage = self._damage(step)
            if not damage:
                self._load(step)
                return step
            damages.append(damage)
            self.processes.on_main(functools.partial(_set_aside, self._path(step), damage))
        if damages:
            raise CheckpointError(
                "no checkpoint is whole: " + "; ".join(damages),
                where=Location(self.folder),
                hint="the run starts again from its model if this folder is removed",
            )
        return 0

    def _damage(self, step: int) -> str:
        """The first damaged file of a checkpoint, or nothing; every rank checks its share.

        Raises:
            AnotherRunError: the checkpoint is of another run.
        """
        path = self._path(step)

        def read() -> dict[str, str] | str:
            try:
                stored = Identity.read(path)
                sums = json.loads((path / CHECKSUMS).read_text(encoding="utf-8"))
                checked = {str(name): str(value) for name, value in sums.items()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                return f"{path.name}: {error}"
            refuse_another(stored, self.identity, path)
            return checked

        sums = self.processes.on_main(read)
        if isinstance(sums, str):
            return sums
        local = sorted(sums)[self.processes.rank :: self.processes.ranks]
        bad = next((name for name in local if _checksum(path / name) != sums[name]), "")
        worst = next((name for name in self.processes.gather(bad) if name), "")
        return f"{path / worst} is missing or damaged" if worst else ""

    def _load(self, step: int) -> None:
        state = self._state()
        read_into(state, self._path(step))
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state["model"],  # type: ignore[arg-type,unused-ignore]
            optim_state_dict=state["optimizer"],  # type: ignore[arg-type,unused-ignore]
            options=StateDictOptions(ignore_frozen_params=True, strict=False),
        )

    def save(self, step: int) -> None:
        """Writes a checkpoint; asynchronous ones are copied to the CPU first and written meanwhile.

        Raises:
            MachineError: there is no room for it.
        """
        self.finish()
        temporary = self._path(step).with_suffix(".tmp")
        with machine_errors(self.folder, self.size):
            self.processes.on_main(lambda: self._make_room(temporary))
            if self._group is None:
                save(self._state(), checkpoint_id=temporary)
                _write_checksums(temporary, self.processes.rank)
                self._complete(step)
                return
            writing = async_save(self._state(), checkpoint_id=temporary, process_group=self._group)

        def seal() -> None:
            assert isinstance(writing, Future)
            writing.result()
            _write_checksums(temporary, self.processes.rank)

        self._pending = (step, self._thread.submit(seal))

    def _make_room(self, temporary: Path) -> None:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        if _free(self.folder) < self.size:
            raise OSError(errno.ENOSPC, "No space left for a checkpoint")

    def finish(self) -> None:
        """Waits for the checkpoint still being written, and gives it its name.

        Raises:
            MachineError: the disk was full.
        """
        if self._pending:
            step, future = self._pending
            self._pending = None
            with machine_errors(self.folder, self.size):
                future.result()
                self._complete(step)

    def _complete(self, step: int) -> None:
        self.processes.barrier()  # every rank's part is on disk
        self.processes.on_main(lambda: self._rename(step))

    def _rename(self, step: int) -> None:
        """Joins the ranks' checksums, gives the checkpoint its name and removes the oldest ones."""
        path = self._path(step)
        temporary = path.with_suffix(".tmp")
        (temporary / "config.yaml").write_text(dump(self.config), encoding="utf-8")
        self.identity.write(temporary)
        sums = {name: _checksum(temporary / name) for name in (".metadata", "config.yaml", FILE)}
        for part in sorted(temporary.glob("checksums.*.json")):
            sums |= json.loads(part.read_text(encoding="utf-8"))
            part.unlink()
        (temporary / CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(path.with_suffix(".damaged"), ignore_errors=True)
        temporary.rename(path)
        for old in self.steps()[self.config.checkpoint.keep :]:
            shutil.rmtree(self._path(old), ignore_errors=True)


def _set_aside(path: Path, damage: str) -> None:
    print(plain(f"warning: {damage}; the checkpoint before it is taken"), file=sys.stderr)
    aside = path.with_suffix(".damaged")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def _checksum(path: Path) -> str:
    """The SHA-256 of a file; empty where it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _write_checksums(folder: Path, rank: int) -> None:
    """Checksums of the files that a rank has written."""
    sums = {path.name: _checksum(path) for path in sorted(folder.glob(f"__{rank}_*"))}
    (folder / f"checksums.{rank}.json").write_text(json.dumps(sums), encoding="utf-8")
