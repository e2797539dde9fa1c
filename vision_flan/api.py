"""The package from Python: what `import vision_flan as vf` offers.

Six functions, each the counterpart of a command. Errors are `vision_flan.errors.VflanError`: what is wrong,
where, and the next step. The examples run in a folder in which `vflan miniature textocr --out raw --n 60` was
called, which writes a small copy of TextOCR in upstream's own format.

Raw files are untrusted, and a library that reads them may crash. So `examples`, `compile` and `verify` work
in a process of their own with limits of memory and time, as the commands do (docs/security.md); it ends with
the call, by Ctrl-C too. It takes about a second to start. `limits=None` works in this process, without
limits; `limits=Limits(memory=48 * 2**30)` of `vision_flan.limits` sets others, and so do the variables
`VFLAN_LIMIT_MEMORY` and so on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vision_flan.places.place import Place, files_in, place_of

if TYPE_CHECKING:
    from datasets import Dataset

    from vision_flan.build.compile import Options, Result
    from vision_flan.dataset.manifest import Verification
    from vision_flan.limits import Limits
    from vision_flan.raw.roots import RawPlaces
    from vision_flan.report import Reporter
    from vision_flan.spec.catalog import Catalog
    from vision_flan.spec.model import TaskSpec

__all__ = ["compile", "examples", "load", "task", "tasks", "verify"]


def tasks(suite: str | None = None, dataset: str | None = None) -> list[str]:
    """The ids of all tasks, or of those of a suite, a dataset, or both.

    Args:
        suite: name of a suite: `vision_flan` (the 187 of the paper), `evaluation`, `extras`, ...
        dataset: slug of a dataset, such as `textocr`.

    Returns:
        Task ids, sorted; those of a suite in the suite's order.

    Raises:
        SpecError: there is no such suite or dataset; the message names those that exist.

    Examples:
        >>> import vision_flan as vf
        >>> len(vf.tasks(suite="vision_flan"))
        187
        >>> vf.tasks(dataset="textocr")
        ['ocr_textocr']
    """
    from vision_flan.spec.catalog import Catalog

    catalog = Catalog.default()
    names = list(catalog.task_files) if suite is None else list(catalog.suite(suite))
    if dataset is None:
        return names
    slug = catalog.dataset(dataset).dataset
    return [name for name in names if catalog.task_files[name].parent.name == slug]


def task(id: str) -> TaskSpec:
    """The spec of a task.

    Args:
        id: task id, or its name in the published release.

    Returns:
        A frozen `TaskSpec`; its attributes are the keys of the spec (docs/spec.md).

    Raises:
        SpecError: there is no such task, or its spec is not valid.

    Examples:
        >>> import vision_flan as vf
        >>> spec = vf.task("AID+aerial_scene_classification")
        >>> spec.id, spec.category, spec.available
        ('scene_aid', 'Scene Classification', 10000)
    """
    from vision_flan.spec.catalog import Catalog

    return Catalog.default().task(id)


def examples(
    id: str,
    raw: RawPlaces | None = None,
    n: int = 5,
    seed: int = 0,
    *,
    limits: Limits | Literal["default"] | None = "default",
) -> list[dict[str, Any]]:
    """The first instances that a task makes, without compiling it.

    With raw files these are the rows that `compile` writes first with the same seed. Without, they come from
    a miniature made in a temporary folder: upstream's format, invented content.

    Args:
        id: task id, or its name in the published release.
        raw: folder with one subfolder a dataset, in upstream's own layout, or several; None: a miniature.
        n: how many; fewer come back if the records do not yield as many.
        seed: seed of selection, options and negatives.
        limits: what the work may take; None works in this process, without limits.

    Returns:
        A dict with the columns of a compiled config for each instance; `image` is decoded to a
        `PIL.Image.Image`, as `load` decodes it.

    Raises:
        SpecError: there is no such task, its spec is not valid, or its dataset has no miniature.
        MissingRawError: raw files are missing; the message says which, where from, and where to put them.
        BadRawError: a raw file is not what its format says.

    Examples:
        >>> import vision_flan as vf
        >>> row = vf.examples("ocr_textocr", n=1)[0]
        >>> list(row)[:7]
        ['id', 'image', 'instruction', 'input', 'options', 'target', 'prompt']
        >>> row["image"].mode, row["prompt"] == row["instruction"]
        ('RGB', True)
        >>> row["turns"] == [{"user": row["prompt"], "assistant": row["target"]}]
        True
    """
    from vision_flan.guard import guarded
    from vision_flan.review.examples import first_instances
    from vision_flan.spec.catalog import Catalog

    _check_number("n", n, 0)
    _check_number("seed", seed)
    return guarded(limits, None, first_instances, id, raw, n, seed, Catalog.default())


def compile(
    id: str,
    raw: RawPlaces,
    out: str | Place,
    *,
    seed: int = 0,
    limit: int | Literal["spec"] | None = "spec",
    jobs: int | None = 1,
    check_images: Literal["header", "full"] = "header",
    force: bool = False,
    verify_raw: bool = False,
    report: Reporter | None = None,
    limits: Limits | Literal["default"] | None = "default",
) -> Result:
    """Compile one task into a config of a folder that `load` and `datasets.load_dataset` open.

    What is up to date is left alone; a run that was stopped is resumed.

    Args:
        id: task id, or its name in the published release.
        raw: folder with one subfolder a dataset, in upstream's own layout, or several.
        out: the compiled folder, or its URL, such as `s3://bucket/name`; other configs in it stay.
        seed: seed of selection, options and negatives.
        limit: maximum number of instances; "spec" takes the task's own (mostly 10,000), None takes all.
        jobs: processes, None for the cores this process may use. The shards are the same for any number.
            With `limits=None`, a script that asks for more than one needs `if __name__ == "__main__":`.
        check_images: "full" decodes every image instead of checking header and end.
        force: compile even what is up to date.
        verify_raw: keep checksums of all raw files that are read, and compare with those kept.
        report: receives progress, in this thread; silent by default.
        limits: what the work may take; None works in this process, without limits.

    Returns:
        A `Result`: `manifest` (counts, drops by reason, shards), `folder`, and `built`, which is False if the
        config was up to date.

    Raises:
        SpecError: there is no such task, or its spec is not valid.
        MissingRawError: raw files are missing; the message says which, where from, and where to put them.
        BadRawError: a raw file is not what its format says, or changes while it is read.
        MachineError: disk full, no permission, or another compile of this task is running.
        VflanError: it takes more than its limits, or a library in it crashes.
        ValueError: an argument is none of what is said above.

    Examples:
        >>> import vision_flan as vf
        >>> result = vf.compile("ocr_textocr", raw="raw", out="vision-flan")
        >>> result.built, result.manifest.counts["written"]
        (True, 56)
        >>> vf.compile("ocr_textocr", raw="raw", out="vision-flan").built
        False
    """
    if raw is None:
        raise ValueError("raw is a folder or several, not None: only `examples` does without")
    options = _options(seed, limit, jobs, check_images, force, verify_raw)
    from vision_flan.guard import guarded
    from vision_flan.spec.catalog import Catalog

    return guarded(limits, report, _compile, id, raw, place_of(out), options, Catalog.default())


def _options(
    seed: int, limit: int | str | None, jobs: int | None, check_images: str, force: bool, verify_raw: bool
) -> Options:
    """The options of a compile; nothing else checks the types of texts at run time."""
    from vision_flan.build.compile import Options
    from vision_flan.build.engines import EngineSpec

    if check_images not in ("header", "full"):
        raise ValueError(f"check_images is 'header' or 'full', not {check_images!r}")
    if limit is not None and limit != "spec":
        _check_number("limit", limit, 1, ", None or 'spec'")
    if jobs is not None:
        _check_number("jobs", jobs, 1, ", or None")
    _check_number("seed", seed)
    engine = EngineSpec(jobs=jobs)
    return Options(seed, limit, engine, check_images == "full", force=force, verify_raw=verify_raw)


def _check_number(name: str, value: object, least: int | None = None, others: str = "") -> None:
    """Raise ValueError for an argument that is no whole number, or a smaller one than `least`."""
    if type(value) is not int or (least is not None and value < least):
        bound = "" if least is None else f" from {least} on"
        raise ValueError(f"{name} is a whole number{bound}{others}, not {value!r}")


def _compile(
    report: Reporter, id: str, raw: RawPlaces, out: Place, options: Options, catalog: Catalog
) -> Result:
    from vision_flan.build.compile import compile_task

    return compile_task(id, raw, out, catalog, options, report)


def load(folder: str | Place, id: str) -> Dataset:
    """A config as a `datasets.Dataset`; of a folder on this machine, nothing is looked up on the network.

    Args:
        folder: a compiled folder, or its URL.
        id: task id, or its name in the published release.

    Returns:
        The config's only split. Images are decoded when a row is read.

    Raises:
        VflanError: the folder has no such config, or its manifest is broken.

    Examples:
        >>> import vision_flan as vf
        >>> result = vf.compile("ocr_textocr", raw="raw", out="vision-flan")
        >>> rows = vf.load("vision-flan", "ocr_textocr")
        >>> rows.num_rows, rows[0]["category"]
        (56, 'OCR')
    """
    from vision_flan.dataset.manifest import FOLDER, manifest_path, read_manifest
    from vision_flan.errors import Location, VflanError, to_type
    from vision_flan.spec.catalog import Catalog

    root = place_of(folder)
    name = id if manifest_path(root, id).is_file() else Catalog.default().aliases.get(id, id)
    path = manifest_path(root, name)
    if not path.is_file():
        present = [other.stem for other in files_in(root / FOLDER, "*.json")]
        has = f"it has: {', '.join(present)}" if present else "it has none"
        what = f"no config {name!r} in this folder; {has}"
        hint = to_type("vflan", "compile", "--task", name, "--out", root)
        raise VflanError(what, where=Location(str(root)), hint=hint)
    manifest = read_manifest(path)
    from datasets import load_dataset

    if isinstance(root, Path):
        return load_dataset(str(root.resolve()), name, split=manifest.split)
    files = {manifest.split: [str(root / shard.path) for shard in manifest.shards]}
    return load_dataset("parquet", data_files=files, split=manifest.split)


def verify(folder: str | Place, *, limits: Limits | Literal["default"] | None = "default") -> Verification:
    """Check a compiled folder against its manifests: every shard's size, sha256 and rows.

    Args:
        folder: a compiled folder, or its URL.
        limits: what the work may take; None works in this process, without limits.

    Returns:
        A `Verification`: `tasks`, `shards` and `bytes` that were checked, and `problems`, a list of `Problem`
        (`task`, `path`, `message`) that is empty if all is as the manifests say.

    Raises:
        VflanError: the folder holds no compiled config.

    Examples:
        >>> import vision_flan as vf
        >>> result = vf.compile("ocr_textocr", raw="raw", out="vision-flan")
        >>> checked = vf.verify("vision-flan")
        >>> checked.tasks, checked.problems
        (1, [])
    """
    from vision_flan.errors import Location, VflanError
    from vision_flan.guard import guarded

    result = guarded(limits, None, _verified, place_of(folder))
    if not result.tasks:
        raise VflanError(
            "this folder holds no compiled config",
            where=Location(str(folder)),
            hint="give the folder that `vflan compile --out` wrote",
        )
    return result


def _verified(_report: Reporter, folder: Place) -> Verification:
    from vision_flan.dataset import verification

    *_, (_, result) = verification.verify(folder)  # the last one is complete
    return result
