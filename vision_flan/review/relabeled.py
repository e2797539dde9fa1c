"""What a change does to label tables: a name that is wrong shows in no miniature that lacks the label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from vision_flan.errors import SpecError
from vision_flan.spec.catalog import Catalog, load_labels
from vision_flan.spec.findings import Finding, at
from vision_flan.spec.model import DatasetSpec, TaskSpec
from vision_flan.spec.names import tasks_of

#: Entries of one table that are named.
_SHOWN = 10
_HINT = "compare it with upstream's own list: a miniature may have no record of this label"


def changed_labels(catalog: Catalog, before: Catalog, datasets: Iterable[str]) -> Iterator[Finding]:
    """A warning for each label that has another name than before, or is gone.

    Args:
        before: the catalog as it was.
        datasets: those that the change touches.
    """
    for slug in datasets:
        if slug in before.dataset_files:
            yield from _changed(catalog.dataset(slug), before.dataset(slug))
            for task in tasks_of(catalog, slug):
                if task in before.task_files:
                    yield from _changed(catalog.task(task), before.task(task))


def _changed(now: DatasetSpec | TaskSpec, then: DatasetSpec | TaskSpec) -> Iterator[Finding]:
    try:
        tables, old = (load_labels(one, one.document.path.parent) for one in (now, then))
    except SpecError:
        return  # `valid` says what is wrong with it
    for name, table in tables.items():
        yield from _of_table(now, name, table, old.get(name, {}))


def _of_table(
    owner: DatasetSpec | TaskSpec, name: str, now: Mapping[str, str], then: Mapping[str, str]
) -> Iterator[Finding]:
    differ = [key for key, shown in then.items() if now.get(key) != shown]
    for key in differ[:_SHOWN]:
        after = f"{now[key]!r} now" if key in now else "gone now"
        what = f"the label {key!r} of {name!r} was {then[key]!r}, and is {after}"
        place = owner.document.place("labels", name, key)
        yield at(place, "relabeled", what, _HINT, "warning")
    if len(differ) > _SHOWN:
        what = f"{len(differ) - _SHOWN:,} more labels of {name!r} have another name than before, or are gone"
        yield at(owner.document.place("labels", name), "relabeled", what, _HINT, "warning")
