"""Which tasks differ from a git revision, and findings with paths a pull request shows."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.miniatures import registry
from vision_flan.review.revision import known_revision
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.findings import Finding


def changed_tasks(catalog: Catalog, ref: str) -> list[str]:
    """Tasks whose files differ from a git revision: spec, dataset, label tables, instruction.

    Raises:
        SpecError: the specs are not in a git checkout, or there is no such revision.
    """
    return tasks_of_files(catalog, changed_files(catalog, ref))


def changed_files(catalog: Catalog, ref: str, *, own_only: bool = False) -> set[Path]:
    """Files of specs, instructions and miniatures that differ from a git revision, new ones too.

    Args:
        own_only: compare with where this branch left the revision, so that what was added there later is no
            change.

    Raises:
        SpecError: the specs are not in a git checkout, or there is no such revision.
    """
    if own_only:
        ref = _git(catalog.specs, ["merge-base", ref, "HEAD"])[0]
    listings = (
        ["diff", "--name-only", "--relative", "--end-of-options", ref, "--", "."],
        ["ls-files", "--others", "--exclude-standard"],
    )
    changed: set[Path] = set()
    generators = Path(registry.__file__).parent / "datasets"
    folders = (catalog.specs, catalog.instructions, catalog.home.miniatures, generators)
    for folder in folders:
        is_ours = folder != generators or generators.is_relative_to(catalog.specs.parent)
        for arguments in listings if folder.is_dir() and is_ours else ():
            changed |= {folder / line for line in _git(folder, arguments)}
    return changed


def _git(folder: Path, arguments: list[str]) -> list[str]:
    if arguments[1].startswith("-") and arguments[0] == "merge-base":
        raise SpecError(f"{arguments[1]!r} is not a revision", hint="give a branch, tag or commit")
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no common ancestor"]
        hint = known_revision(folder, next((one for one in arguments[1:] if not one.startswith("-")), ""))
        raise SpecError(reason[0], where=Location(folder), hint=hint)
    return done.stdout.splitlines()


def tasks_of_files(catalog: Catalog, changed: Collection[Path]) -> list[str]:
    """Tasks that depend on a file: their own, their dataset's, and label tables."""
    return [
        task
        for task, path in catalog.task_files.items()
        if path in changed
        or catalog.instruction_file(task) in changed
        or any(other in changed for other in path.parent.glob("*.yaml") if _shared(other, catalog))
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
