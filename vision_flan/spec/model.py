"""A dataset and a task as frozen data, made from documents that passed the JSON schema."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vision_flan.errors import Location
from vision_flan.spec.license import (
    License,
    Source,
    Terms,
    Use,
    Withdrawn,
    license_from,
    terms_from,
    use_from,
    withdrawn_from,
)
from vision_flan.spec.text import Document

#: The 25 task categories of the Vision-Flan paper (arXiv 2402.11690, appendix), in its order.
CATEGORIES = (
    "Perception",
    "Outside Knowledge",
    "Reasoning",
    "OCR",
    "Document-Level OCR",
    "Phrase-Level OCR",
    "Knowledge Extraction",
    "Semantic Art Understanding",
    "Visual Dialogue",
    "Rational and Script Generation",
    "Coarse-grained Captioning",
    "Fine-grained Captioning",
    "Scene Classification",
    "Animal Classification",
    "Vehicle Classification",
    "Human Activity",
    "Facial Recognition",
    "Anomaly Detection",
    "General Object",
    "Complex Reasoning",
    "Image Text Matching",
    "General Object Classification in Special Image Domain",
    "Image-Style Classification",
    "Image Quality Classification",
    "Texture Classification",
)

#: Paper, section 3.1: at most 10,000 instances per task.
DEFAULT_LIMIT = 10_000

#: Kinds of sensitive content that are in labels, not in images: who borrows the images alone has none of it.
OF_LABELS = frozenset({"attributes", "identity"})

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


@dataclass(frozen=True)
class UpstreamFile:
    """A file as upstream ships it.

    Attributes:
        path: its name in the dataset's raw folder; may contain `*` for numbered parts.
        url: its address, None when it must be requested.
        bytes: its size.
        into: for archives, the folder of the layout its members appear under.
        provides: prefixes of the layout that it contains.
        note: how to get it, where a URL alone is not enough.
    """

    path: str
    url: str | None = None
    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    into: str = ""
    provides: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_archive(self) -> bool:
        return self.path.lower().endswith(ARCHIVE_SUFFIXES)


@dataclass(frozen=True)
class DatasetSpec:
    """One `task_specs/<dataset>/dataset.yaml`. See docs/spec.md for each field.

    Attributes:
        sources: the works behind `borrows` and `derived_from`, as the catalog knows them.
    """

    document: Document
    dataset: str
    title: str
    homepage: str
    license: License
    citation: str
    access: str
    files: tuple[UpstreamFile, ...]
    tables: Mapping[str, Mapping[str, Any]]
    views: Mapping[str, str] = field(default_factory=dict)
    borrows: tuple[str, ...] = ()
    derived_from: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    credits: str | None = None
    use: Use | None = None
    withdrawn: Withdrawn | None = None
    how_to_get: str = ""
    splits: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    labels: Mapping[str, object] = field(default_factory=dict)
    sensitive: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en",)

    @property
    def folder(self) -> Path:
        return self.document.path.parent

    @property
    def credits_place(self) -> Location:
        """Location of the first line of SQL of `credits`."""
        return _first_line(self.document.place("credits"), self.credits or "")

    def view_place(self, name: str) -> Location:
        """Location of a view's first line of SQL."""
        return _first_line(self.document.place("views", name), self.views[name])

    @cached_property
    def archives(self) -> tuple[UpstreamFile, ...]:
        return tuple(file for file in self.files if file.is_archive)


@dataclass(frozen=True)
class TaskSpec:
    """One `task_specs/<dataset>/<task id>.yaml`. See docs/spec.md for each field.

    Attributes:
        images: the terms of its images (`license.images`), where they are not those of the dataset.
        splits: several labeled splits that records come from, in the order preferred; a column `split` says
            which. Empty where the SQL takes one.
        own_instruction: whether there is an `instructions/<task id>.j2`; `instruction: null` says no.
    """

    document: Document
    id: str
    title: str
    category: str
    suites: tuple[str, ...]
    dataset: str
    key: str
    form: str
    images: Terms | None = None
    target: str | None = None
    turns: str | None = None
    own_instruction: bool = True
    alias: str | None = None
    split: str = "train"
    splits: tuple[str, ...] = ()
    table: str | None = None
    where: str | None = None
    sql: str | None = None
    image: tuple[str, ...] = ()
    compose: Mapping[str, object] | None = None
    labels: Mapping[str, object] = field(default_factory=dict)
    derive: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    input: str | None = None
    first: str = "instruction"
    options: Mapping[str, Any] | None = None
    limit: int | None = DEFAULT_LIMIT
    available: int | None = None
    confidence: str = "high"
    allow: tuple[str, ...] = ()

    def place(self, *keys: str | int) -> Location:
        return self.document.place(*keys)

    @property
    def records_place(self) -> Location:
        """Location of the SELECT's first line."""
        if self.sql is not None:
            return _first_line(self.place("sql"), self.sql)
        return _first_line(self.place("where"), self.where) if self.where else self.place("table")

    @property
    def key_place(self) -> Location:
        """Location of the key's first line."""
        return _first_line(self.place("key"), self.key)

    @property
    def records_sql(self) -> str:
        """The SELECT that yields the candidate rows, of the splits that the task names."""
        where = f" WHERE {self.where}" if self.where else ""
        rows = self.sql if self.sql is not None else f'SELECT * FROM "{self.table}"{where}'
        if not self.splits:
            return rows
        named = ", ".join(f"'{split}'" for split in self.splits)
        return f"SELECT * FROM ({rows}\n) AS _splits WHERE split IN ({named})"


def _first_line(key: Location, text: str) -> Location:
    """First line of a text: a YAML block starts on the line below its key."""
    return Location(key.file, key.line + 1) if text.endswith("\n") else key


def lender_of(license: object) -> str:
    """The dataset whose terms hold for the images of this `license` block, "" for none."""
    images = license.get("images") if isinstance(license, Mapping) else None
    return str(images.get("lender", "")) if isinstance(images, Mapping) else ""


def dataset_from(
    document: Document, lender: DatasetSpec | None = None, sources: tuple[Source, ...] = ()
) -> DatasetSpec:
    """Build a DatasetSpec from a document that passed dataset.schema.json.

    Args:
        lender: the dataset whose images these are, where `license.images` names one: its terms hold for them,
            and whatever sensitive they show.
        sources: the works behind `borrows` and `derived_from`.
    """
    data = dict(document.data)
    return DatasetSpec(
        document=document,
        dataset=data["dataset"],
        title=data["title"],
        homepage=data["homepage"],
        license=license_from(data["license"], lender.license.images if lender else None),
        citation=data["citation"],
        access=data["access"],
        files=tuple(
            UpstreamFile(**{**file, "provides": tuple(file.get("provides", ()))}) for file in data["files"]
        ),
        tables=data["tables"],
        views=data.get("views", {}),
        borrows=tuple(data.get("borrows", ())),
        derived_from=tuple(data.get("derived_from", ())),
        sources=sources,
        credits=data.get("credits"),
        use=use_from(data.get("use")),
        withdrawn=withdrawn_from(data.get("withdrawn")),
        how_to_get=data.get("how_to_get", ""),
        splits=data.get("splits", {}),
        labels=data.get("labels", {}),
        sensitive=_sensitive(data.get("sensitive", ()), lender.sensitive if lender else ()),
        languages=tuple(data.get("languages", ("en",))),
    )


def _sensitive(own: Collection[str], of_lender: Collection[str]) -> tuple[str, ...]:
    """A dataset's own kinds, and what borrowed images show; a lender's labels stay with the lender."""
    return tuple(dict.fromkeys([*own, *(kind for kind in of_lender if kind not in OF_LABELS)]))


def task_from(document: Document, lender: Terms | None = None) -> TaskSpec:
    """Build a TaskSpec from a document that passed task.schema.json.

    Args:
        lender: the terms of the images' lender, where `license.images` names one.
    """
    data = dict(document.data)
    license = data.pop("license", None)
    data["images"] = terms_from(license["images"], lender) if license else None
    image = data.get("image", ())
    data["image"] = (image,) if isinstance(image, str) else tuple(image)
    data["suites"] = tuple(data.get("suites", ()))
    data["allow"] = tuple(data.get("allow", ()))
    if isinstance(data.get("split"), list):
        data["splits"] = tuple(data["split"])
        data["split"] = data["splits"][0]
    data["own_instruction"] = "instruction" not in data
    data.pop("instruction", None)
    return TaskSpec(document=document, **data)
