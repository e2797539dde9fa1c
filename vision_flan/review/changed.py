"""Which tasks differ from a git revision, and findings with paths a pull request shows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.findings import Finding


def changed_tasks(catalog: Catalog, ref: str) -> list[str]:
    """Tasks whose files differ from a git revision: spec, dataset, label tables, instruction.

    Raises:
        SpecError: the specs are not in a git checkout, or there is no such revision.
    """
    listings = (
        ["diff", "--name-only", "--relative", "--end-of-options", ref, "--", "."],
        ["ls-files", "--others", "--exclude-standard"],
    )
    changed: set[str] = set()
    for folder in (catalog.specs, catalog.instructions):
        for arguments in listings:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
            if done.returncode:
                reason = done.stderr.strip().splitlines() or ["git failed"]
                raise SpecError(
                    reason[0], where=Location(folder), hint="give a revision git knows, such as main"
                )
            changed |= {str(folder / line) for line in done.stdout.splitlines()}
    return [
        task
        for task, path in catalog.task_files.items()
        if str(path) in changed
        or str(catalog.instruction_file(task)) in changed
        or any(str(other) in changed for other in path.parent.glob("*.yaml") if _shared(other, catalog))
    ]


def _shared(path: Path, catalog: Catalog) -> bool:
    """Whether all tasks of a folder depend on the file: dataset.yaml or a label table."""
    return catalog.task_files.get(path.stem) != path


def relative_to(findings: Iterable[Finding], folder: Path) -> list[Finding]:
    """Findings with paths relative to a folder, as editors and pull requests need them."""
    root = f"{folder.resolve()}/"
    return [
        replace(found, file=found.file.removeprefix(root), hint=found.hint.replace(root, ""))
        for found in findings
    ]
