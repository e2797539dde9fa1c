"""`vflan diff`: the same instances before and after a change of specs, or in two compiled folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vision_flan.build.open_task import open_task
from vision_flan.columns import IMAGE
from vision_flan.errors import SpecError, VflanError
from vision_flan.instances.images import BadImageError
from vision_flan.miniatures import registry
from vision_flan.raw.roots import RawPlaces, RawRoots
from vision_flan.report import Reporter
from vision_flan.review.revision import catalog_at, digest_of
from vision_flan.review.sides import COMPARED, FolderSide, RecordsSide, Row, Side
from vision_flan.review.stored import manifests_of
from vision_flan.review.thumbnails import SMALL, data_uri
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.names import task_ids

#: Records of a generated miniature.
RECORDS = 60
#: Rows of a task that are shown by default; all are counted.
SHOWN = 20


@dataclass(frozen=True)
class DiffOptions:
    """What is compared and shown.

    Attributes:
        tasks: by id or published name; empty for all that differ.
        raw: raw files; None takes miniatures.
        limit: instances of a task made from records; "spec" takes the number of its spec, None all.
        shown: rows of a task whose texts are kept; None keeps all.
        images: keep small images of the rows that are shown.
    """

    tasks: tuple[str, ...] = ()
    raw: RawRoots | None = None
    seed: int = 0
    limit: int | Literal["spec"] | None = "spec"
    shown: int | None = SHOWN
    images: bool = False


@dataclass
class RowDiff:
    """An instance that differs.

    Attributes:
        before, after: the columns that differ; of one that was added or dropped, all that hold something.
        reason: why it was dropped.
        images: small images as data URIs, before and after; empty if there is none to show.
    """

    kind: Literal["added", "dropped", "changed"]
    id: str
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    images: tuple[str, str] = ("", "")


@dataclass
class TaskDiff:
    """What differs in one task.

    Attributes:
        state: of the task itself: in both, only in the new version, or only in the old one.
        instances: number before and after.
        columns: column -> changed rows in which it differs.
        reasons: reason -> records dropped for it before and after, where the numbers differ.
        rows: those that are shown.
        error: what stopped it, and on which side; the numbers are not complete then.
    """

    task: str
    state: Literal["both", "added", "removed"] = "both"
    instances: tuple[int, int] = (0, 0)
    added: int = 0
    dropped: int = 0
    changed: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, tuple[int, int]] = field(default_factory=dict)
    rows: list[RowDiff] = field(default_factory=list)
    error: str = ""

    @property
    def differs(self) -> bool:
        """Whether anything changed, or could not be compared."""
        rows = self.added + self.dropped + self.changed
        return bool(rows or self.reasons or self.error) or self.state != "both"


@dataclass
class Diff:
    """All tasks that were compared, and the names of the two versions."""

    before: str
    after: str
    tasks: list[TaskDiff] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether any task differs."""
        return any(task.differs for task in self.tasks)


def diff_revision(catalog: Catalog, ref: str, options: DiffOptions, report: Reporter) -> Diff:
    """Compare what the specs make now with what they made at a git revision, for the tasks that differ.

    Raises:
        SpecError: the specs are not in a git checkout; there is no such revision, or no such task.
    """
    result = Diff(ref, "working tree")
    with catalog_at(catalog, ref) as old:
        names = _differing(old, catalog, options.tasks)
        report.stage("comparing", len(names))
        groups: dict[str, list[str]] = {}
        for name in names:
            home = catalog if name in catalog.task_files else old
            groups.setdefault(home.task_files[name].parent.name, []).append(name)
        for dataset, group in groups.items():
            for one in _compare_dataset(dataset, group, (old, catalog), options):
                one.error = one.error.replace(f"{old.home.specs.parent}/", f"{ref}:")
                result.tasks.append(one)
                report.advance(1)
    result.tasks.sort(key=lambda task: task.task)
    return result


def diff_folders(before: Path, after: Path, catalog: Catalog, options: DiffOptions, report: Reporter) -> Diff:
    """Compare two compiled folders, a task at a time.

    Raises:
        VflanError: a folder holds no compiled config, or a manifest is damaged.
        SpecError: neither folder has a config of a task that is asked for.
    """
    sides = (manifests_of(before), manifests_of(after))
    present = sorted({*sides[0], *sides[1]})
    chosen = sorted(task_ids(catalog, options.tasks)) or present
    for name in chosen:
        if name not in present:
            hint = f"they have {', '.join(present[:5])}{' ...' if len(present) > 5 else ''}"
            raise SpecError(f"neither folder has a config {name!r}", hint=hint)
    report.stage("comparing", len(chosen))
    result = Diff(str(before), str(after))
    for name in chosen:
        old, new = (manifests.get(name) for manifests in sides)
        one = TaskDiff(name, _state(old is not None, new is not None))
        before_side = FolderSide(before, old) if old else None
        compare(one, before_side, FolderSide(after, new) if new else None, options)
        result.tasks.append(one)
        report.advance(1)
    return result


def _differing(old: Catalog, new: Catalog, asked: Sequence[str]) -> list[str]:
    """Tasks of the last root whose files differ, of those that are asked for."""
    before, after = set(old.tasks_at_home), set(new.tasks_at_home)
    if asked:
        wanted = {name if name in before else new.resolve(name) for name in asked}
        before, after = before & wanted, after & wanted
    same = {name for name in before & after if digest_of(old, name) == digest_of(new, name)}
    return sorted((before | after) - same)


@contextmanager
def _raw(dataset: str, mine: Catalog, other: Catalog, options: DiffOptions) -> Iterator[RawPlaces]:
    """The raw files of one version: those given, its own miniature, or that of the other version."""
    if options.raw is not None:
        yield options.raw
        return
    owner = mine if dataset in registry.available(mine) else other
    with registry.temporary(dataset, RECORDS, options.seed, owner) as folder:
        yield folder


def _compare_dataset(
    dataset: str, names: Sequence[str], catalogs: tuple[Catalog, Catalog], options: DiffOptions
) -> Iterator[TaskDiff]:
    """The tasks of one dataset; they share its miniatures."""
    found = [TaskDiff(name, _state(*(name in one.task_files for one in catalogs))) for name in names]
    try:
        with (
            _raw(dataset, *catalogs, options) as before,
            _raw(dataset, *catalogs[::-1], options) as after,
        ):
            for one in found:
                _compare_records(one, catalogs, (before, after), options)
                yield one
    except VflanError as error:  # there is no miniature
        for one in found:
            one.error = error.what
            yield one


def _compare_records(
    one: TaskDiff, catalogs: tuple[Catalog, Catalog], raws: tuple[RawPlaces, RawPlaces], options: DiffOptions
) -> None:
    with ExitStack() as stack:
        sides: list[Side | None] = []
        for label, catalog, raw in zip(("before", "after"), catalogs, raws, strict=True):
            if one.task not in catalog.task_files:
                sides.append(None)
                continue
            try:
                opened = stack.enter_context(open_task(one.task, raw, catalog, options.seed))
            except VflanError as error:
                one.error = f"{label}: {error.what}"
                return
            limit = opened.task.limit if options.limit == "spec" else options.limit
            sides.append(RecordsSide(opened, options.seed, limit))
        compare(one, sides[0], sides[1], options)


def _state(before: bool, after: bool) -> Literal["both", "added", "removed"]:
    return "both" if before and after else "added" if after else "removed"


def compare(one: TaskDiff, before: Side | None, after: Side | None, options: DiffOptions) -> None:
    """Fill in what differs between two versions of a task; what stops it is told in `error`, not raised.

    Memory: the texts of the version before, without images.
    """
    try:
        old = {row.id: row for row, _ in _read(before, "before")}
        total = len(old)
        count = 0
        for count, (row, image) in enumerate(_read(after, "after"), 1):  # noqa: B007
            _compare_row(one, old.pop(row.id, None), row, image, options)
        one.instances = total, count
        for row in old.values():
            _add_dropped(one, row, after, options)
        one.reasons = _changed_counts(before, after) if before and after else {}
        if options.images and before:
            _show_old_images(one, before)
    except VflanError as error:
        one.error = error.what


def _read(side: Side | None, label: str) -> Iterator[tuple[Row, bytes | None]]:
    try:
        yield from side.rows() if side else ()
    except VflanError as error:
        raise VflanError(f"{label}: {error.what}") from error


def _compare_row(one: TaskDiff, old: Row | None, new: Row, image: bytes | None, options: DiffOptions) -> None:
    if old is None:
        one.added += 1
        found = RowDiff("added", new.id, after=_filled(new))
    else:
        names = [name for name in COMPARED if old.columns[name] != new.columns[name]]
        if not names:
            return
        one.changed += 1
        one.columns.update(names)
        before, after = ({name: row.columns[name] for name in names} for row in (old, new))
        found = RowDiff("changed", new.id, before, after)
    if options.shown is None or len(one.rows) < options.shown:
        found.images = "", _thumbnail(image) if options.images else ""
        one.rows.append(found)


def _add_dropped(one: TaskDiff, row: Row, after: Side | None, options: DiffOptions) -> None:
    one.dropped += 1
    reason = after.dropped.get(row.id, after.otherwise) if after else "the task was removed"
    if options.shown is None or len(one.rows) < options.shown:
        one.rows.append(RowDiff("dropped", row.id, before=_filled(row), reason=reason))


def _filled(row: Row) -> dict[str, str]:
    return {name: text for name, text in row.columns.items() if text}


def _changed_counts(before: Side, after: Side) -> dict[str, tuple[int, int]]:
    names = sorted({*before.counts, *after.counts})
    counts = {name: (before.counts.get(name, 0), after.counts.get(name, 0)) for name in names}
    return {name: pair for name, pair in counts.items() if pair[0] != pair[1]}


def _show_old_images(one: TaskDiff, before: Side) -> None:
    """The images of the version before, of rows whose image is another one now or which are gone."""
    waiting = {row.id: row for row in one.rows if row.kind == "dropped" or IMAGE in row.before}
    for row, image in before.rows() if waiting else ():
        if shown := waiting.pop(row.id, None):
            shown.images = _thumbnail(image), shown.images[1]
        if not waiting:
            return


def _thumbnail(image: bytes | None) -> str:
    try:
        return data_uri(image, SMALL)[0] if image else ""
    except BadImageError:
        return ""
