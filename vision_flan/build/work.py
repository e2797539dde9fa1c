"""The work folder of a task, `.vflan/<task>/`: unfinished files, and records of what is finished."""

from __future__ import annotations

import shutil
from pathlib import Path

from vision_flan.build.facts import BLOCKS
from vision_flan.build.identity import BuildRecord, Identity
from vision_flan.build.locks import records_folder, remove_litter
from vision_flan.build.looked_up import LookedUp
from vision_flan.dataset.manifest import FOLDER
from vision_flan.places.place import P, Place
from vision_flan.places.remote import RemotePath

#: What the blocks in the folder are being made from.
STARTED = "build.json"
#: The image files that its blocks looked up.
IMAGES = "images.jsonl"
#: The config is complete but not yet installed.
COMPLETE = "complete.json"
#: The config in the compiled folder; see `installed_record`.
_INSTALLED = "installed.json"

_LOCK = "lock"


def installed_record(out: P, task: str) -> P:
    """From what the config in a compiled folder was made."""
    return records_folder(out, task) / _INSTALLED


def tidy(work: Path, out: Place, task: str) -> None:
    """Remove what a killed run of this task left behind, except what the next run can use."""
    clear(work, keep={_LOCK, COMPLETE, _INSTALLED, STARTED, BLOCKS})
    for path in (work / BLOCKS).glob("*.tmp"):
        path.unlink(missing_ok=True)
    remove_litter(out / FOLDER, f"{task}.json")
    if isinstance(out, RemotePath):
        (out / task).abandon_uploads()


def open_or_reset(work: Path, identity: Identity) -> None:
    """Keep the blocks of an interrupted run of the same build; remove those of any other build.

    The record of the installed config stays until it is replaced.
    """
    started = BuildRecord.read(work / STARTED)
    if started is None or started.identity.change(identity):
        reset(work)
        BuildRecord(identity.recipe, identity.annotations, LookedUp(), "").write(work / STARTED)
    (work / BLOCKS).mkdir(exist_ok=True)


def reset(work: Path) -> None:
    """Remove everything but the lock and the record of the installed config."""
    clear(work, keep={_LOCK, _INSTALLED})


def clear(work: Path, keep: set[str]) -> None:
    """Empty a work folder, except for some names."""
    for path in work.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
