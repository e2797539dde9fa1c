"""The folders that specs come from: the package's own, and private ones beside it.

A root has `task_specs/`, `instructions/` and, for miniatures, `tests/miniatures/`. Beside the package's own
come, in this order: roots that installed packages register under the entry point group `vision_flan.roots`,
and those of `--root` or the environment variable `VFLAN_ROOT`. New specs are written to the last one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.spec.files import read_text

#: Entry points of this group name a package whose folder is a root. No code of it runs.
GROUP = "vision_flan.roots"
VARIABLE = "VFLAN_ROOT"


@dataclass(frozen=True)
class Root:
    """Where specs, instructions and miniatures lie."""

    specs: Path
    instructions: Path
    miniatures: Path

    @classmethod
    def of(cls, folder: Path) -> Root:
        """The root in a folder, which may not exist yet."""
        return cls(folder / "task_specs", folder / "instructions", folder / "tests" / "miniatures")

    @classmethod
    def of_package(cls) -> Root:
        """The root that ships with the package, or is beside it in a checkout."""
        package = Path(__file__).resolve().parent.parent
        if (package / "task_specs").is_dir():
            return cls(package / "task_specs", package / "instructions", package / "cut_miniatures")
        return cls.of(package.parent)


@dataclass(frozen=True)
class _Chosen:
    """What the command line says; None of the folders means that it says nothing."""

    folders: tuple[Path, ...] | None = None
    may_be_new: bool = False


_chosen: ContextVar[_Chosen | None] = ContextVar("roots", default=None)


@contextmanager
def chosen_roots(folders: Sequence[Path], *, may_be_new: bool = False) -> Iterator[None]:
    """Use these folders instead of those of the environment, until the end of the block.

    Args:
        may_be_new: a folder without specs is no mistake, because they will be written to it.
    """
    before = _chosen.set(_Chosen(tuple(folders), may_be_new))
    try:
        yield
    finally:
        with suppress(ValueError):  # click leaves a misused command open: it ends outside of its context
            _chosen.reset(before)


def roots() -> tuple[Root, ...]:
    """All roots, the package's own first.

    Raises:
        SpecError: a folder has no specs.
    """
    chosen = _chosen.get() or _Chosen()
    folders = chosen.folders
    if folders is None:
        folders = tuple(Path(one) for one in os.environ.get(VARIABLE, "").split(os.pathsep) if one)
    for folder in folders:
        if not chosen.may_be_new and not (folder / "task_specs").is_dir():
            raise SpecError(
                "this root has no folder task_specs/",
                where=Location(folder),
                hint="give a folder with task_specs/ and instructions/; vflan new --root DIR starts one",
            )
    registered = [Root.of(_folder_of(entry)) for entry in sorted(entry_points(group=GROUP))]
    own = Root.of_package()
    found = [own, *registered, *(Root.of(folder.resolve()) for folder in folders)]
    return tuple(dict.fromkeys(found))


def _folder_of(entry: EntryPoint) -> Path:
    """The folder of the package that an entry point names; finding a top-level package runs nothing."""
    name = entry.value.partition(":")[0].strip()
    spec = find_spec(name) if name.isidentifier() else None
    places = spec.submodule_search_locations if spec else None
    folder = next((Path(place) for place in places or () if (Path(place) / "task_specs").is_dir()), None)
    if folder is None:
        raise SpecError(
            f"the entry point {entry.name!r} of the group {GROUP!r} names {entry.value!r}, which is no "
            "installed top-level package with a folder task_specs/",
            hint=f"fix the package that registers it: {entry.dist.name if entry.dist else 'unknown'}",
        )
    return folder


def refuse_another(roots: Sequence[Root], first: Path, pattern: str, what: str) -> None:
    """Refuse a name that other roots give another file: one of them would be left out without a word.

    Args:
        first: the file that counts, of the earliest root.
        pattern: of files with the same name, below `task_specs/`.

    Raises:
        SpecError: such a file differs from the first.
    """
    others = (path for root in roots[1:] for path in sorted(root.specs.glob(pattern)) if path != first)
    for other in others:
        if read_text(other) != read_text(first):
            raise SpecError(
                f"{what} is taken by {first.parent.name}/{first.name} of another root",
                where=Location(other),
                hint="give it another name, here and in its instruction",
            )
