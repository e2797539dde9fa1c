"""The plan of a publish: decided completely before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vision_flan.dataset.attribution import FOLDER as ATTRIBUTION
from vision_flan.dataset.attribution import attribution_path, permitted, read_attribution
from vision_flan.dataset.gallery import image_path, read_example, refresh_gallery
from vision_flan.dataset.manifest import Manifest, manifest_path, read_manifests
from vision_flan.dataset.overlaps import read_overlaps
from vision_flan.dataset.publication import (
    MIXED,
    MIXED_FOLDER,
    RECIPE,
    RECIPE_FOLDER,
    WHOLE,
    Publication,
    PublishedTask,
    decide,
    lacks,
    license_of,
    recipes_cached,
    terms_of,
    write_recipes,
)
from vision_flan.errors import Location, VflanError, to_type
from vision_flan.hub.corrections import corrections, renewed, with_current_facts
from vision_flan.hub.documents import Documents
from vision_flan.hub.progress import listed
from vision_flan.hub.remote import Remote, ids_of
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import NO

#: Inside the compiled folder: recipes of its shards, cached so that they are made once.
CACHE = ".publish"
ADDED, CHANGED, UNCHANGED, REMOVED, KEPT = "added", "changed", "unchanged", "removed", "kept"


@dataclass(frozen=True)
class Choices:
    """The options of a publish.

    Attributes:
        include_unclear: publish images whose license is unclear.
        allowed: task -> reason, for restricted tasks whose rights the publisher holds.
        remove: tasks to remove from the Hub.
        only: tasks to publish; empty for all in the folder.
        gated: auto or manual, empty for none.
        contact: whom to write to, for the card; empty keeps what it says.
    """

    include_unclear: bool = False
    allowed: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    private: bool = False
    gated: str = ""
    tag: str = ""
    contact: str = ""


@dataclass(frozen=True)
class Upload:
    """A local file and its path in the repository.

    Attributes:
        git: its blob id, of a file so small that the Hub may keep it in git; else empty.
    """

    path: str
    local: Path
    bytes: int
    sha256: str
    git: str = ""

    def is_in(self, remote: Remote) -> bool:
        """Whether the repository has it."""
        return remote.files.get(self.path) in ((self.sha256, self.git) if self.git else (self.sha256,))


@dataclass(frozen=True)
class Change:
    """The change to one task, and its files.

    Attributes:
        published: the task as it is to be; None to remove it.
        content: all its shards.
        uploads: those of them that the repository lacks.
        deletes: files of the task that are not its own any more.
    """

    task: str
    action: str
    published: PublishedTask | None
    content: tuple[Upload, ...] = ()
    uploads: tuple[Upload, ...] = ()
    deletes: tuple[str, ...] = ()
    was_form: str = ""

    @property
    def bytes(self) -> int:
        return sum(upload.bytes for upload in self.uploads)

    @property
    def files(self) -> int:
        """Number of files its commit touches, its manifest and notices included."""
        notices = len(self.published.manifest.notices) if self.published else 0
        return len(self.uploads) + len(self.deletes) + notices + 1


@dataclass(frozen=True)
class PublishPlan:
    """All changes, and the documents as they will be."""

    repo_id: str
    remote: Remote
    changes: tuple[Change, ...]
    documents: Mapping[str, bytes]
    changed_documents: tuple[str, ...]

    @property
    def to_do(self) -> list[Change]:
        return [change for change in self.changes if change.action in (ADDED, CHANGED, REMOVED)]

    @property
    def bytes(self) -> int:
        return sum(change.bytes for change in self.to_do)

    @property
    def is_empty(self) -> bool:
        return not self.to_do and not self.changed_documents

    def having(self, action: str) -> list[Change]:
        return [change for change in self.changes if change.action == action]


def local_tasks(
    folder: Path, choices: Choices, catalog: Catalog, say: Callable[[str], None] = lambda text: None
) -> dict[str, tuple[PublishedTask, tuple[Upload, ...]]]:
    """The tasks of a compiled folder in the form they may be published in, with the files to send.

    Args:
        catalog: licenses as they are known now.
        say: receives what the publisher should know before the plan.

    Raises:
        VflanError: no compiled folder; a shard that differs from its manifest; an unknown task name; a
            dataset.yaml that is not valid.
    """
    manifests = read_manifests(folder)
    if not manifests:
        raise VflanError(
            "no compiled task in this folder",
            where=Location(folder),
            hint=to_type("vflan", "compile", "--task", "ocr_textocr", "--raw", "RAW", "--out", folder),
        )
    _check_names(manifests, choices, folder)
    refresh_gallery(folder, manifests)
    overlaps = read_overlaps(folder, manifests)
    found = {}
    newer: dict[str, list[str]] = {}
    for task, manifest in manifests.items():
        if choices.only and task not in choices.only:
            continue
        _check_sizes(folder, manifest)
        compiled, manifest = manifest, with_current_facts(manifest, catalog)
        for change in corrections(compiled, manifest):
            say(f"{task}: {change}")
        for what in renewed(compiled, manifest):
            newer.setdefault(what, []).append(task)
        if terms_of(manifest).annotations.verdict == NO and task not in choices.allowed:
            say(f"{task}: stays here, its annotations must not be passed on")
            continue
        published, uploads = _published(folder, manifest, choices, say)
        publication = replace(published.publication, overlaps=overlaps.get(task, {}))
        found[task] = (replace(published, publication=publication), uploads)
    for what, tasks in newer.items():
        say(f"{what} as in the specs by now, newer than compiled: {listed(tasks)}")
    return found


def _published(
    folder: Path, manifest: Manifest, choices: Choices, say: Callable[[str], None]
) -> tuple[PublishedTask, tuple[Upload, ...]]:
    """A task in the form its license allows, and its files."""
    if lacks(manifest) and license_of(manifest) != NO:
        say(f"{manifest.task}: {lacks(manifest)} missing in the raw folder, so its images count as unclear")
    credits = read_attribution(folder, manifest)
    credited = permitted(terms_of(manifest).images, credits)
    publication = decide(
        manifest,
        include_unclear=choices.include_unclear,
        allowed=choices.allowed,
        credited=credited,
    )
    uploads = _attribution(folder, manifest, publication)
    if publication.form == WHOLE:
        uploads += tuple(Upload(s.path, folder / s.path, s.bytes, s.sha256) for s in manifest.shards)
        publication, shown = _with_example(folder, manifest, publication)
        return PublishedTask(manifest, publication), uploads + shown
    keep = credited if publication.form == MIXED else frozenset()
    if not recipes_cached(manifest, folder / CACHE, keep):
        say(f"making the recipe of {manifest.task}: {manifest.rows:,} images to checksum")
    recipes = list(write_recipes(folder, manifest, folder / CACHE, keep))
    publication = replace(publication, shards=tuple(facts for _, facts in recipes))
    uploads += tuple(Upload(f.path, local, f.bytes, f.sha256) for local, f in recipes)
    return PublishedTask(manifest, publication), uploads


def _attribution(folder: Path, manifest: Manifest, publication: Publication) -> tuple[Upload, ...]:
    """The attribution table, which goes with every image that goes out."""
    facts = manifest.attribution
    if publication.form == RECIPE or not facts.get("sha256"):
        return ()
    path = attribution_path(folder, manifest.task)
    name = path.relative_to(folder).as_posix()
    return (Upload(name, path, int(facts["bytes"]), str(facts["sha256"])),)


def _with_example(
    folder: Path, manifest: Manifest, publication: Publication
) -> tuple[Publication, tuple[Upload, ...]]:
    """A whole task with its example in the gallery, if its images may be shown to anybody."""
    example = read_example(folder, manifest)
    if example is None:
        return publication, ()
    local = folder / example.path
    git, sha256 = ids_of(local.read_bytes())
    if sha256 != example.sha256:  # in a folder of others it may be a link to any file
        return publication, ()
    upload = Upload(example.path, local, example.bytes, sha256, git)
    return replace(publication, example=replace(example, sha256=sha256)), (upload,)


def _check_names(manifests: Mapping[str, Manifest], choices: Choices, folder: Path) -> None:
    for option, names in (("--task", choices.only), ("--allow-restricted", tuple(choices.allowed))):
        unknown = [name for name in names if name not in manifests]
        if unknown:
            raise VflanError(
                f"{option} {unknown[0]}: no such task in this folder",
                where=Location(folder),
                hint=f"tasks here: {', '.join(sorted(manifests)[:8])}{' …' if len(manifests) > 8 else ''}",
            )


def _check_sizes(folder: Path, manifest: Manifest) -> None:
    for shard in manifest.shards:
        path = folder / shard.path
        size = path.stat().st_size if path.is_file() else -1
        if size != shard.bytes:
            state = "is missing" if size < 0 else f"has {size:,} bytes, its manifest says {shard.bytes:,}"
            raise VflanError(
                f"shard of {manifest.task} {state}",
                where=Location(path),
                hint=f"{to_type('vflan', 'verify', folder)}, then compile {manifest.task} again",
            )


def make_plan(
    local: Mapping[str, tuple[PublishedTask, tuple[Upload, ...]]],
    remote: Remote,
    choices: Choices,
    documents: Documents,
) -> PublishPlan:
    """Compare the folder with the Hub, by checksums."""
    changes = [_change(published, uploads, remote) for published, uploads in local.values()]
    for task, published in remote.tasks.items():
        if task in choices.remove:
            changes = [change for change in changes if change.task != task]
            changes.append(_removal(task, remote))
        elif task not in local:
            changes.append(Change(task, KEPT, published))
    changes.sort(key=lambda change: change.task)
    texts = documents.render(after(remote.tasks, changes), remote)
    changed = tuple(path for path, content in texts.items() if not remote.has(path, content))
    return PublishPlan(remote.repo_id, remote, tuple(changes), texts, changed)


def after(tasks: Mapping[str, PublishedTask], changes: Sequence[Change]) -> dict[str, PublishedTask]:
    """The tasks on the Hub after these changes, sorted."""
    result = dict(tasks)
    for change in changes:
        if change.action == REMOVED:
            result.pop(change.task, None)
        elif change.published:
            result[change.task] = change.published
    return dict(sorted(result.items()))


def _change(published: PublishedTask, uploads: tuple[Upload, ...], remote: Remote) -> Change:
    task = published.task
    there = _files_of(task, remote)
    missing = tuple(upload for upload in uploads if not upload.is_in(remote))
    wanted = {upload.path for upload in uploads} | {manifest_name(task)}
    deletes = tuple(path for path in there if path not in wanted)
    was = remote.tasks.get(task)
    same_manifest = was is not None and was.to_json() == published.to_json()
    if not missing and not deletes and same_manifest:
        return Change(task, UNCHANGED, published, uploads)
    action = CHANGED if was else ADDED
    return Change(task, action, published, uploads, missing, deletes, was.publication.form if was else "")


def _removal(task: str, remote: Remote) -> Change:
    was, files = remote.tasks.get(task), _files_of(task, remote)
    action = REMOVED if was or files else UNCHANGED
    return Change(task, action, None, deletes=files, was_form=was.publication.form if was else "")


def rebased(change: Change, remote: Remote) -> Change:
    """The same wish for a repository in another state: what is uploaded and deleted to fulfill it there."""
    if change.published is None:
        return _removal(change.task, remote)
    return _change(change.published, change.content, remote)


def _files_of(task: str, remote: Remote) -> tuple[str, ...]:
    """Files of a task in the repository, in either form."""
    folders = (f"{task}/", f"{RECIPE_FOLDER}/{task}/", f"{MIXED_FOLDER}/{task}/")
    others = (f"{ATTRIBUTION}/{task}.parquet", image_path(task))
    names = [path for path in remote.files if path.startswith(folders) or path in others]
    return (*sorted(names), *([manifest_name(task)] if manifest_name(task) in remote.files else []))


def manifest_name(task: str) -> str:
    return manifest_path(Path(), task).as_posix()
