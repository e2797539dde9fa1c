"""Specs, instructions and cut miniatures as they were at a git revision."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.roots import Root


@contextmanager
def catalog_at(catalog: Catalog, ref: str) -> Iterator[Catalog]:
    """The catalog with its last root as it was at a revision, in a temporary folder.

    Only regular files are taken: a link in the history cannot lead out of the folder.

    Raises:
        SpecError: the specs are not in a git checkout, or there is no such revision.
    """
    commit = commit_of(catalog, ref)
    with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
        root = Root.of(Path(folder))
        now = catalog.home
        pairs = (
            (now.specs, root.specs),
            (now.instructions, root.instructions),
            (now.miniatures, root.miniatures),
        )
        for source, copy in pairs:
            copy.mkdir(parents=True)
            if source.is_dir():
                _extract(source, commit, copy)
        yield Catalog.of((*catalog.roots[:-1], root))


def commit_of(catalog: Catalog, ref: str, *, where_left: bool = False) -> str:
    """The commit that a revision names.

    Args:
        where_left: the last commit that it and the current branch have in common.

    Raises:
        SpecError: the specs are not in a git checkout, or there is no such revision.
    """
    folder = catalog.specs
    done = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        what = reason or f"git knows no revision {ref!r}"
        raise SpecError(what, where=Location(folder), hint=known_revision(folder, ref))
    commit = done.stdout.decode("ascii").strip()
    if where_left:
        base = _git(folder, "merge-base", commit, "HEAD")
        if base.returncode:
            what = f"{ref!r} and HEAD have no common ancestor"
            raise SpecError(what, where=Location(folder), hint=known_revision(folder, ref))
        commit = base.stdout.decode("ascii").strip()
    return commit


def known_revision(folder: Path, ref: str) -> str:
    """The next step after a revision that cannot be used: where its branch is, or the branches there are."""
    listed = _git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes")
    branches = listed.stdout.decode("utf-8", "replace").split()
    same = [branch for branch in branches if branch.endswith(f"/{ref}")]
    if same:
        return f"this clone has it as {same[0]}: give that"
    others = [branch for branch in branches if branch != ref and not branch.endswith("/HEAD")]
    return (
        f"give a branch, tag or commit; branches are {', '.join(others[:5])}" if others else "give a commit"
    )


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)


def _extract(source: Path, commit: str, copy: Path) -> None:
    """Write the regular files of a folder as they were in a commit; none if it was not there."""
    if _git(source, "cat-file", "-e", f"{commit}:./").returncode:
        return
    command = ["git", "-C", str(source), "archive", "--format=tar", commit]
    try:
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            for member in archive:
                if member.isreg():
                    archive.extract(member, copy, filter="data")
    except tarfile.TarError as error:
        raise SpecError(
            f"git cannot read {commit}: {error}", where=Location(source), hint="git fsck"
        ) from error


def digest_of(catalog: Catalog, task: str) -> str:
    """A checksum of the files that a task's instances on a miniature depend on.

    These are its spec, dataset.yaml and label tables, its instruction and a cut miniature.
    """
    spec = catalog.task_files[task]
    others = set(catalog.task_files.values()) - {spec}
    files = [path for path in sorted(spec.parent.iterdir()) if path.is_file() and path not in others]
    files.append(catalog.instruction_file(task))
    miniature = catalog.miniature_folder(spec.parent.name)
    if miniature:
        files += sorted(path for path in miniature.rglob("*") if path.is_file())
    total = hashlib.sha256()
    for path in files:
        root = miniature if miniature and miniature in path.parents else path.parent
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"
        total.update(f"{path.relative_to(root)}\0{content}\n".encode())
    return total.hexdigest()
