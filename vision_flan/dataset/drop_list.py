"""Instances that a person had dropped from a config after it was compiled: `duplicates/<task>.json`.

`vflan duplicates --drop` writes the list, and every later compile of the task leaves the same records out. So
the list decides a config's bytes, and its manifest repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vision_flan.dataset.manifest import Manifest, write_atomically
from vision_flan.errors import Location, VflanError
from vision_flan.places.place import P, Place

FOLDER = "duplicates"
VERSION = 1
_HINT = "restore the file, or remove it: the next compile then makes the instances again"


class Drop(NamedTuple):
    """Why an instance is dropped.

    Attributes:
        reason: as the manifest counts it.
        of: id of the instance that stays; of a benchmark's, with the name of its folder.
    """

    reason: str
    of: str


@dataclass(frozen=True)
class DropList:
    """The instances that are dropped from one task, by upstream's key."""

    task: str
    drops: Mapping[str, Drop] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.drops)

    def facts(self) -> dict[str, list[str]]:
        """The list as a manifest has it: key -> reason and the instance that stays."""
        return {key: list(drop) for key, drop in sorted(self.drops.items())}

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> DropList:
        """The list that a config was made with."""
        return cls(manifest.task, {key: Drop(*facts) for key, facts in manifest.drop_list.items()})

    def added(self, drops: Mapping[str, Drop]) -> DropList:
        """The list with more instances; an instance that is on it keeps its first reason."""
        return DropList(self.task, {**drops, **self.drops})


def list_path(folder: P, task: str) -> P:
    """The list of a task in a compiled folder."""
    return folder / FOLDER / f"{task}.json"


def read_list(folder: Place, task: str) -> DropList:
    """The list of a task; empty if it has none.

    Raises:
        VflanError: the file cannot be read, or is none of ours.
    """
    path = list_path(folder, task)
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["version"] != VERSION or data["task"] != task:
            raise ValueError(f"it is version {data['version']} for the task {data['task']!r}")
        drops = {str(key): Drop(str(reason), str(of)) for key, (reason, of) in data["dropped"].items()}
    except FileNotFoundError:
        return DropList(task)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"not a list of dropped instances: {error}"
        raise VflanError(what, where=Location(str(path)), hint=_HINT) from error
    return DropList(task, drops)


def write_list(folder: Place, drops: DropList) -> None:
    """Write the list of a task; an empty one is removed.

    Raises:
        OSError: the folder cannot be written.
    """
    path = list_path(folder, drops.task)
    if not drops:
        path.unlink(missing_ok=True)
        return
    data = {"version": VERSION, "task": drops.task, "dropped": drops.facts()}
    write_atomically(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
