"""Tasks that their makers forbid to train on: left out unless somebody asks for them and says why."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from vision_flan.errors import VflanError, plain
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import FORBIDDEN


class ForbiddenError(VflanError):
    """A task whose makers forbid to train on it was asked for without a reason."""


def forbidden(tasks: Iterable[str], catalog: Catalog | None = None) -> dict[str, str]:
    """Task -> why its makers forbid to train on it; tasks that the catalog does not know are allowed.

    Raises:
        SpecError: a dataset.yaml that is not valid.
    """
    catalog = catalog or Catalog.default()
    found = {}
    for name in tasks:
        use = catalog.dataset_of(catalog.task(name)).use if name in catalog.task_files else None
        if use and use.train == FORBIDDEN:
            found[name] = use.reason
    return found


def permitted(
    tasks: Sequence[str], include: Sequence[str] = (), reason: str = "", catalog: Catalog | None = None
) -> list[str]:
    """Tasks without those that are forbidden and not included; says on stderr which stay out.

    Args:
        include: forbidden tasks to take all the same.
        reason: why.

    Raises:
        ForbiddenError: tasks to include, and no reason.
    """
    if include and not reason.strip():
        raise ForbiddenError(
            f"{include[0]}: no reason is given why you may train on it",
            hint='--reason "...", or data.reason="..." of a recipe',
        )
    known = forbidden(tasks, catalog)
    for name, why in known.items():
        said = f"taken all the same: {reason}" if name in include else "left out"
        print(plain(f"{name}: {said}. {why}"), file=sys.stderr)
    return [name for name in tasks if name not in known or name in include]
