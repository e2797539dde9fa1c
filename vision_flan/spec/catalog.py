"""Finds specs by id, and knows suites and the aliases of the published release."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.spec.files import read_text
from vision_flan.spec.findings import Finding, as_text
from vision_flan.spec.license import License, Source, evidence_from
from vision_flan.spec.model import DatasetSpec, TaskSpec, dataset_from, lender_of, task_from
from vision_flan.spec.nearest import did_you_mean
from vision_flan.spec.roots import Root, refuse_another
from vision_flan.spec.roots import roots as all_roots
from vision_flan.spec.schema import check_schema
from vision_flan.spec.text import Document, load_yaml

_ALIAS_LINE = re.compile(r"^alias:\s*(.+?)\s*$", re.MULTILINE)


class Catalog:
    """The specs of one root, or of several.

    A root may add tasks to a dataset of an earlier root. Where two have the same name, the earlier one
    counts if they are alike, and it is an error to ask for it if they differ.

    Args:
        specs: folder with `<dataset>/dataset.yaml`, `<dataset>/<task id>.yaml` and `suites/`.
        instructions: folder with `<task id>.j2`.
        beside: roots after this one.

    Attributes:
        home: the last root: where specs are written, and what `vflan validate --all` checks.
    """

    def __init__(self, specs: Path, instructions: Path, beside: Sequence[Root] = ()) -> None:
        first = Root(specs, instructions, specs.parent / "tests" / "miniatures")
        self._set_roots((first, *beside))

    def _set_roots(self, roots: Sequence[Root]) -> None:
        self.roots = tuple(roots)
        self.home = self.roots[-1]
        self._datasets: dict[str, DatasetSpec] = {}
        self._tasks: dict[str, TaskSpec] = {}

    @classmethod
    def of(cls, roots: Sequence[Root]) -> Catalog:
        """The specs of these roots."""
        made = cls.__new__(cls)
        made._set_roots(roots)
        return made

    @classmethod
    def default(cls) -> Catalog:
        """The specs that ship with the package (or are beside it in a checkout), and those of private roots.

        Raises:
            SpecError: a private root has no specs.
        """
        return cls.of(all_roots())

    @property
    def specs(self) -> Path:
        """The folder of specs in the last root."""
        return self.home.specs

    @property
    def instructions(self) -> Path:
        """The folder of instructions in the last root."""
        return self.home.instructions

    @cached_property
    def task_files(self) -> Mapping[str, Path]:
        """Task id -> file, sorted by id."""
        found: dict[str, Path] = {}
        for root in self.roots:
            for path in sorted(root.specs.glob("*/*.yaml")):
                if path.parent.name in self.dataset_files and self._is_task(path):
                    found.setdefault(path.stem, path)
        return dict(sorted(found.items()))

    @classmethod
    def _is_task(cls, path: Path) -> bool:
        return path.name != "dataset.yaml" and path.parent.name != "suites" and not cls._is_label_table(path)

    @property
    def tasks_at_home(self) -> tuple[str, ...]:
        """The tasks of the last root, which is the only one unless there are private ones."""
        return tuple(task for task, path in self.task_files.items() if path.parent.parent == self.home.specs)

    @property
    def datasets_at_home(self) -> tuple[str, ...]:
        """The datasets of the last root."""
        return tuple(
            slug for slug, path in self.dataset_files.items() if path.parent.parent == self.home.specs
        )

    @staticmethod
    def _is_label_table(path: Path) -> bool:
        """Label tables are stored beside the specs; the first key of a task spec is `id:`."""
        for line in _lines(path):
            if line.strip() and not line.startswith("#"):
                return not line.startswith("id:")
        return False

    @cached_property
    def dataset_files(self) -> Mapping[str, Path]:
        """Dataset slug -> dataset.yaml."""
        found: dict[str, Path] = {}
        for root in self.roots:
            for path in sorted(root.specs.glob("*/dataset.yaml")):
                found.setdefault(path.parent.name, path)
        return dict(sorted(found.items()))

    @cached_property
    def suite_files(self) -> Mapping[str, Path]:
        """Suite name -> `suites/<name>.yaml`, sorted by name."""
        found: dict[str, Path] = {}
        for root in self.roots:
            for path in sorted((root.specs / "suites").glob("*.yaml")):
                found.setdefault(path.stem, path)
        return dict(sorted(found.items()))

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Name in the published release -> task id."""
        found = {}
        for task, path in self.task_files.items():
            match = _ALIAS_LINE.search("\n".join(_lines(path)))
            if match and match.group(1) not in ("null", "~"):
                found[match.group(1).strip("'\"")] = task
        return found

    @cached_property
    def suites(self) -> Mapping[str, tuple[str, ...]]:
        """Suite name -> its task ids, from `suites/<name>.yaml`."""
        found = {}
        for path in self.suite_files.values():
            document = load_yaml(path)
            tasks = document.data.get("tasks") if isinstance(document.data, dict) else None
            if not isinstance(tasks, list):
                raise SpecError("a suite is a mapping with `title` and a list `tasks`", where=Location(path))
            found[path.stem] = tuple(str(task) for task in tasks)
        return found

    def resolve(self, name: str) -> str:
        """The task id for an id or an alias.

        Raises:
            SpecError: no such task; lists similar ones.
        """
        if name in self.task_files:
            return name
        if name in self.aliases:
            return self.aliases[name]
        raise _unknown("task", name, [*self.task_files, *self.aliases])

    def suite(self, name: str) -> tuple[str, ...]:
        """The tasks of a suite, in its file's order.

        Raises:
            SpecError: no such suite; names the nearest ones, or all.
        """
        if name not in self.suites:
            known = "suites: " + ", ".join(sorted(self.suites))
            raise SpecError(f"there is no suite {name!r}", hint=did_you_mean(name, self.suites, known))
        return self.suites[name]

    def task(self, name: str) -> TaskSpec:
        """A task by id or alias, checked against the schema.

        Raises:
            SpecError: no such task, a spec with errors, or two roots with a different one each.
        """
        task = self.resolve(name)
        if task not in self._tasks:
            refuse_another(self.roots, self.task_files[task], f"*/{task}.yaml", f"the task id {task!r}")
            document = _checked(self.task_files[task], "task")
            self._tasks[task] = self.bind_task(document)
        return self._tasks[task]

    def dataset(self, slug: str, asked: Location | None = None) -> DatasetSpec:
        """A dataset by slug, checked against the schema.

        Raises:
            SpecError: no such dataset; points to where it was `asked` for and lists similar ones.
        """
        if slug not in self._datasets:
            path = self.dataset_files.get(slug)
            if path is None:
                raise _unknown("dataset", slug, self.dataset_files, asked)
            refuse_another(self.roots, path, f"{slug}/dataset.yaml", f"the dataset {slug!r}")
            self._datasets[slug] = self.bind_dataset(_checked(path, "dataset"))
        return self._datasets[slug]

    def bind_dataset(self, document: Document) -> DatasetSpec:
        """A dataset with what the catalog knows of its lenders and sources.

        Raises:
            SpecError: the lender has no dataset.yaml, or takes its terms from another one itself.
        """
        keys = [*document.data.get("borrows", ()), *document.data.get("derived_from", ())]
        sources = [self.source(key) for key in dict.fromkeys(keys)]
        return dataset_from(document, self._lender(document), tuple(s for s in sources if s))

    def bind_task(self, document: Document) -> TaskSpec:
        """A task with the terms of its images' lender; raises what `bind_dataset` raises."""
        lender = self._lender(document)
        return task_from(document, lender.license.images if lender else None)

    def _lender(self, document: Document) -> DatasetSpec | None:
        slug = lender_of(document.data.get("license"))
        if not slug:
            return None
        place = document.place("license", "images", "lender")
        path = self.dataset_files.get(slug)
        if path is None or slug == document.path.parent.name == document.data.get("dataset"):
            raise _unknown("dataset", slug, self.dataset_files, place)
        lender = self.dataset(slug, place)
        of_lender = lender.license.images.lender
        if of_lender:
            raise SpecError(
                f"{slug} takes its own terms from {of_lender}", where=place, hint=f"lender: {of_lender}"
            )
        return lender

    def license(self, task: TaskSpec) -> License:
        """The license of a task: its dataset's, with the task's own terms for its images if it has them."""
        return self.dataset_of(task).license.with_images(task.images)

    def source(self, key: str) -> Source | None:
        """A work that datasets come from: a dataset here, or one of `sources.yaml`; None for neither.

        Raises:
            SpecError: the file is not YAML, or an entry is not a mapping.
        """
        path = self.dataset_files.get(key)
        about = load_yaml(path).data if path else self.other_sources.get(key)
        if not isinstance(about, dict):
            return None
        return _source(key, {**about, "license": _images_name(about.get("license"))} if path else about)

    @cached_property
    def other_sources(self) -> Mapping[str, Mapping[str, object]]:
        """The works of `sources.yaml` by key: title, homepage, license, citation.

        Raises:
            SpecError: the file is not YAML, or an entry is not a mapping.
        """
        found: dict[str, Mapping[str, object]] = {}
        for path in (root.specs / "sources.yaml" for root in reversed(self.roots)):
            if path.exists():
                document = load_yaml(path)
                entries = document.data if isinstance(document.data, dict) else {}
                for key, about in entries.items():
                    if not isinstance(about, dict):
                        raise SpecError(f"{key} is not a mapping", where=document.place(key))
                found |= entries
        return found

    def dataset_of(self, task: TaskSpec) -> DatasetSpec:
        """The dataset that a task's spec names."""
        return self.dataset(task.dataset, task.place("dataset"))

    def files(self, tasks: Collection[str] | None = None) -> list[tuple[Path, str]]:
        """Spec files with their kind, "dataset" or "task": of these tasks and their datasets, or all of the
        last root.

        Raises:
            SpecError: no such task.
        """
        chosen = [self.task_files[self.resolve(name)] for name in tasks or ()]
        folders = {path.parent.name for path in chosen}
        folders |= set(self.datasets_at_home if tasks is None else ())
        datasets = [path for slug, path in self.dataset_files.items() if slug in folders]
        found = [self.task_files[name] for name in self.tasks_at_home] if tasks is None else chosen
        return [*((path, "dataset") for path in datasets), *((path, "task") for path in found)]

    def instruction_file(self, task: str) -> Path:
        """Path of a task's Jinja instruction, in the root of its spec; of a new task in the last root."""
        return self.root_of(task).instructions / f"{task}.j2"

    def root_of(self, task: str) -> Root:
        """The root that a task's spec is in; for a task that does not exist, the last one."""
        path = self.task_files.get(task)
        return next((root for root in self.roots if path and path.parent.parent == root.specs), self.home)

    def miniature_folder(self, dataset: str) -> Path | None:
        """The folder of a dataset's cut miniature, `tests/miniatures/<dataset>`; None where there is none."""
        folders = (root.miniatures / dataset for root in self.roots)
        return next((folder for folder in folders if (folder / "expected.jsonl").is_file()), None)


def _source(key: str, about: Mapping[str, object]) -> Source:
    text = {name: str(about.get(name, "")).strip() for name in ("title", "homepage", "license", "citation")}
    evidence = evidence_from(about.get("evidence"))
    return Source(key, text["title"] or key, text["homepage"], text["license"], text["citation"], evidence)


def _images_name(license: object) -> str:
    """The name of a license block for a list of sources: that of the images."""
    images = license.get("images") if isinstance(license, Mapping) else None
    return str(images.get("name", "")) if isinstance(images, Mapping) else ""


def _lines(path: Path) -> list[str]:
    """The lines of a spec; none if it cannot be read, which is said when the task is used."""
    try:
        return read_text(path).splitlines()
    except SpecError:
        return []


def _unknown(kind: str, name: str, known: Collection[str], asked: Location | None = None) -> SpecError:
    hint = did_you_mean(name, known, f"`vflan list` shows all {kind}s")
    return SpecError(f"there is no {kind} {name!r}", where=asked, hint=hint)


def _checked(path: Path, kind: str) -> Document:
    document = load_yaml(path)
    findings: list[Finding] = check_schema(document, kind)
    if findings:
        raise SpecError("the spec is not valid:\n" + as_text(findings), where=Location(path))
    return document


def load_labels(owner: DatasetSpec | TaskSpec, folder: Path) -> dict[str, dict[str, str]]:
    """The label tables of a dataset or a task: name -> {raw value: shown name}.

    Raises:
        SpecError: a file that is missing or is not a flat mapping.
    """
    tables: dict[str, dict[str, str]] = {}
    for name, content in owner.labels.items():
        place = owner.document.place("labels", name)
        if isinstance(content, str):
            document = load_yaml(folder / content)
            content, place = document.data, document.place()
        if not isinstance(content, dict) or any(isinstance(v, dict | list) for v in content.values()):
            raise SpecError("a label table maps raw values to names", where=place)
        truth = next((key for key, value in content.items() if isinstance(value, bool)), None)
        if truth is not None:
            raise SpecError(f"the name of {truth!r} is true or false", where=place, hint="quote it")
        tables[name] = {str(key): "" if value is None else str(value) for key, value in content.items()}
    return tables
