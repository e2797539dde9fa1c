"""Finds specs by id, and knows suites and the aliases of the published release."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path

from vision_flan.errors import Location, SpecError
from vision_flan.spec.files import read_text
from vision_flan.spec.findings import Finding, as_text
from vision_flan.spec.license import License, Source, Terms
from vision_flan.spec.model import DatasetSpec, TaskSpec, dataset_from, lender_of, task_from
from vision_flan.spec.nearest import did_you_mean
from vision_flan.spec.schema import check_schema
from vision_flan.spec.text import Document, load_yaml

_ALIAS_LINE = re.compile(r"^alias:\s*(.+?)\s*$", re.MULTILINE)


class Catalog:
    """The specs below one folder.

    Args:
        specs: folder with `<dataset>/dataset.yaml`, `<dataset>/<task id>.yaml` and `suites/`.
        instructions: folder with `<task id>.j2`.
    """

    def __init__(self, specs: Path, instructions: Path) -> None:
        self.specs = specs
        self.instructions = instructions
        self._datasets: dict[str, DatasetSpec] = {}
        self._tasks: dict[str, TaskSpec] = {}

    @classmethod
    def default(cls) -> Catalog:
        """The specs that ship with the package (or are beside it in a checkout)."""
        package = Path(__file__).resolve().parent.parent
        root = package if (package / "task_specs").is_dir() else package.parent
        return cls(root / "task_specs", root / "instructions")

    @cached_property
    def task_files(self) -> Mapping[str, Path]:
        """Task id -> file, sorted by id."""
        files = (
            path
            for path in self.specs.glob("*/*.yaml")
            if path.name != "dataset.yaml"
            and path.parent.name != "suites"
            and (path.parent / "dataset.yaml").exists()
            and not self._is_label_table(path)
        )
        return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}

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
        return {path.parent.name: path for path in sorted(self.specs.glob("*/dataset.yaml"))}

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
        for path in sorted((self.specs / "suites").glob("*.yaml")):
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
        """A task by id or alias, checked against the schema."""
        task = self.resolve(name)
        if task not in self._tasks:
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
        return task_from(document, self._lender(document))

    def _lender(self, document: Document) -> Terms | None:
        slug = lender_of(document.data.get("license"))
        if not slug:
            return None
        place = document.place("license", "images", "lender")
        path = self.dataset_files.get(slug)
        if path is None or slug == document.path.parent.name == document.data.get("dataset"):
            raise _unknown("dataset", slug, self.dataset_files, place)
        terms = self.dataset(slug, place).license.images
        if terms.lender:
            raise SpecError(
                f"{slug} takes its own terms from {terms.lender}", where=place, hint=f"lender: {terms.lender}"
            )
        return terms

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
        path = self.specs / "sources.yaml"
        if not path.exists():
            return {}
        document = load_yaml(path)
        entries = document.data if isinstance(document.data, dict) else {}
        for key, about in entries.items():
            if not isinstance(about, dict):
                raise SpecError(f"{key} is not a mapping", where=document.place(key))
        return entries

    def dataset_of(self, task: TaskSpec) -> DatasetSpec:
        """The dataset that a task's spec names."""
        return self.dataset(task.dataset, task.place("dataset"))

    def files(self, tasks: Collection[str] | None = None) -> list[tuple[Path, str]]:
        """Spec files with their kind, "dataset" or "task": of these tasks and their datasets, or all.

        Raises:
            SpecError: no such task.
        """
        chosen = [self.task_files[self.resolve(name)] for name in tasks or ()]
        folders = {path.parent.name for path in chosen}
        datasets = [path for slug, path in self.dataset_files.items() if tasks is None or slug in folders]
        found = self.task_files.values() if tasks is None else chosen
        return [*((path, "dataset") for path in datasets), *((path, "task") for path in found)]

    def instruction_file(self, task: str) -> Path:
        """Path of a task's Jinja instruction."""
        return self.instructions / f"{task}.j2"


def _source(key: str, about: Mapping[str, object]) -> Source:
    text = {name: str(about.get(name, "")).strip() for name in ("title", "homepage", "license", "citation")}
    return Source(key, text["title"] or key, text["homepage"], text["license"], text["citation"])


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
        if isinstance(content, str):
            document = load_yaml(folder / content)
            content = document.data
            if not isinstance(content, dict) or any(isinstance(v, dict | list) for v in content.values()):
                raise SpecError("a label table maps raw values to names", where=document.place())
        tables[name] = {str(key): "" if value is None else str(value) for key, value in content.items()}
    return tables
