"""Names as a user types them: tasks by id or published name, datasets also by one of their tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vision_flan.errors import Location, SpecError, to_type
from vision_flan.places.place import Place
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.nearest import did_you_mean


def is_dataset(catalog: Catalog, name: str) -> bool:
    """Whether a name is a dataset's slug, and not a task's id or published name.

    Raises:
        SpecError: it is none of these; names the nearest ones.
    """
    if task_id(catalog, name) in catalog.task_files:
        return False
    if name in catalog.dataset_files:
        return True
    known = [*catalog.task_files, *catalog.aliases, *catalog.dataset_files]
    hint = did_you_mean(name, known, "`vflan list` shows all tasks")
    raise SpecError(f"there is no task {name!r}, and no dataset of that name", hint=hint)


def tasks_of(catalog: Catalog, dataset: str) -> tuple[str, ...]:
    """The task ids of a dataset, sorted; they lie in its folder."""
    return tuple(task for task, path in catalog.task_files.items() if path.parent.name == dataset)


def find_dataset(catalog: Catalog, name: str) -> str:
    """The slug of a dataset, from it or from the id or published name of one of its tasks.

    Raises:
        SpecError: neither a dataset nor a task; names the nearest ones.
    """
    if name in catalog.dataset_files:
        return name
    if name in catalog.task_files or name in catalog.aliases:
        return catalog.task(name).dataset
    known = [*catalog.dataset_files, *catalog.task_files, *catalog.aliases]
    raise SpecError(
        f"there is no dataset {name!r}, and no task of that name",
        hint=did_you_mean(name, known, "`vflan list` shows all datasets"),
    )


def find_configs(catalog: Catalog, names: Iterable[str], present: Sequence[str], folder: Place) -> list[str]:
    """The configs of a compiled folder that were named by task id or published name, each once.

    Args:
        present: the configs of the folder.

    Raises:
        SpecError: a name that the folder has no config of; names the nearest ones, or the next step.
    """
    return list(dict.fromkeys(_find_config(catalog, name, present, folder) for name in names))


def _find_config(catalog: Catalog, name: str, present: Sequence[str], folder: Place) -> str:
    task = task_id(catalog, name)
    if task in present:
        return task
    if task in catalog.task_files:
        what, hint = f"has no config {task}", to_type("vflan", "compile", "--task", task, "--out", folder)
    else:
        here = {one: one for one in present} | {a: t for a, t in catalog.aliases.items() if t in present}
        what = f"has no config {name!r}, and there is no task of that name"
        hint = did_you_mean(name, here, "") or did_you_mean(
            name, [*catalog.task_files, *catalog.aliases], "`vflan list` shows all tasks"
        )
    raise SpecError(what, where=Location(str(folder)), hint=hint)


def task_id(catalog: Catalog, name: str) -> str:
    """The id of a task named by id or published name; a name that no task has stays as it is."""
    return name if name in catalog.task_files else catalog.aliases.get(name, name)


def task_ids(catalog: Catalog, names: Iterable[str]) -> tuple[str, ...]:
    """`task_id` of each name, each once, in the order given.

    A name that no task has stays, for folders and repositories with tasks of other catalogs.
    """
    return tuple(dict.fromkeys(task_id(catalog, name) for name in names))


def slug_of(text: str, otherwise: str = "records") -> str:
    """A name for a table or a label table made of any text: lower-case letters, digits and underscores."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return plain if plain and plain[0].isalpha() else (f"{otherwise}_{plain}" if plain else otherwise)
