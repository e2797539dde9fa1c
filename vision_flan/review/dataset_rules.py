"""Rules for one dataset that a JSON schema cannot say. A function is a rule, its docstring its manual."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from vision_flan.errors import SpecError
from vision_flan.raw.links import page_instead_of_file, wrong_path, wrong_url
from vision_flan.readers.registry import make_reader
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import table_spec, view_tables
from vision_flan.review.bound import select_findings
from vision_flan.review.license_rules import PLACEHOLDER, credits, derived_from, license, notices, use
from vision_flan.spec.catalog import Catalog, load_labels
from vision_flan.spec.findings import Finding, at, from_error
from vision_flan.spec.model import DatasetSpec

_CITATION_KEY = re.compile(r"\s*@\w+\s*\{\s*[^\s,{}]+\s*,")


def citation(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """The citation is BibTeX with a key, balanced braces, a title and a year; a key is used for one work."""
    text, place = dataset.citation, dataset.document.place("citation")
    if PLACEHOLDER.search(text):
        yield at(place, "citation", "the citation is a placeholder", "BibTeX as the authors ask for")
    if text.count("{") != text.count("}"):
        yield at(place, "citation", f"{text.count('{')} opening and {text.count('}')} closing braces")
    if not _CITATION_KEY.match(text):
        yield at(place, "citation", "the entry has no key", "@inproceedings{name2020title, ...")
    for wanted in ("title", "year"):
        if not re.search(rf"\b{wanted}\s*=", text, re.IGNORECASE):
            yield at(place, "citation", f"the entry has no {wanted}", f"add {wanted} = {{...}}", "warning")


def files(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """Files have relative paths inside the folder, each once; files without a URL say how to get them."""
    seen: set[str] = set()
    for i, file in enumerate(dataset.files):
        place = dataset.document.place("files", i)
        wrong = wrong_path(file.path)
        if wrong:
            yield at(place, "files", wrong, "a relative path, without ..")
        if file.path in seen:
            yield at(place, "files", f"{file.path!r} is listed twice")
        seen.add(file.path)
        if not (file.url or file.note or dataset.how_to_get):
            yield at(place, "files", f"nothing says how to get {file.path}", "add `url`, or `how_to_get`")
    if dataset.access != "direct" and not dataset.how_to_get:
        yield at(
            dataset.document.place("access"),
            "files",
            f"access is {dataset.access}, and `how_to_get` does not say what to do",
            "how_to_get: the steps a person takes",
        )


def links(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """URLs can be requested; with `access: direct` each gives its file, with `manual` one gives a page."""
    pages = 0
    for i, file in enumerate(dataset.files):
        if not file.url:
            continue
        place = dataset.document.place("files", i)
        wrong = wrong_url(file.url)
        if wrong:
            yield at(place, "links", wrong, "the link as a browser copies it")
            continue
        page = page_instead_of_file(file.url, file.path)
        pages += bool(page)
        if page and dataset.access == "direct":
            hint = "the file's own URL; or access: manual, and how_to_get says what to do"
            yield at(place, "links", f"{file.path} is not at its url: {page}", hint)
    if dataset.access == "manual" and not pages and all(file.url for file in dataset.files):
        place = dataset.document.place("access")
        yield at(place, "links", "access is manual, but every url gives its file", "access: direct")


def borrows(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """`borrows` names other datasets that have a spec."""
    for i, slug in enumerate(dataset.borrows):
        if slug == dataset.dataset or slug not in catalog.dataset_files:
            what = "is this dataset itself" if slug == dataset.dataset else "has no dataset.yaml"
            place = dataset.document.place("borrows", i)
            yield at(place, "borrows", f"{slug!r} {what}", "name the dataset that the images belong to")


def tables(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """Every table has a reader that takes its options, a valid path pattern, and columns of known types."""
    for name in dataset.tables:
        try:
            make_reader(table_spec(dataset, name)).schema()
        except SpecError as error:
            yield from_error(error, "tables", dataset.document.path)


def views(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """Every view is one SELECT over tables and the views above it, has a unique name, and runs on empty
    tables; aggregates have ORDER BY, as in a task."""
    taken = sorted(dataset.views.keys() & dataset.tables.keys())
    for name in taken:
        place = dataset.view_place(name)
        yield at(place, "views", f"{name!r} is already a table", "give the view another name")
    if not taken and dataset.views:
        yield from _wrong_views(dataset)


def _wrong_views(dataset: DatasetSpec) -> Iterator[Finding]:
    with RecordStore() as store:
        try:
            store.load_labels(load_labels(dataset, dataset.folder))
            for name in dataset.tables:
                store.load(name, make_reader(table_spec(dataset, name)).schema(), iter(()))
        except SpecError:
            return  # `tables` and `labels` report it
        for name, sql in dataset.views.items():
            place = dataset.view_place(name)
            try:
                view_tables(dataset, name)
                store.create_view(name, sql, place)
                yield from select_findings(sql, place, dataset)
            except SpecError as error:
                found = from_error(error, "views", dataset.document.path)
                yield replace(found, message=" ".join(found.message.split()))


DATASET_RULES = (license, notices, credits, use, derived_from, citation, files, borrows, tables, views)
