"""What `vflan new` writes for a person to replace, found where nobody did."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vision_flan.errors import Location
from vision_flan.review.bound import BoundTask
from vision_flan.review.scaffold import HOW_TO_GET, LICENSE_NOTE, TASK_TITLE
from vision_flan.spec.findings import Finding, at
from vision_flan.spec.model import DatasetSpec

_EXAMPLE = re.compile(r"https?://(?:www\.)?example\.(?:com|org|net)(?:/|\Z)")
_NUMBERED_CLASS = re.compile(r"class \d+\Z")


def of_dataset(dataset: DatasetSpec) -> Iterator[Finding]:
    """Title, homepage, license, citation and files that nobody has looked up."""
    document = dataset.document
    if dataset.title == dataset.dataset and _EXAMPLE.match(dataset.homepage):
        yield _found(
            document.place("title"), f"the title is the slug {dataset.title!r}", "as its authors write it"
        )
    if _EXAMPLE.match(dataset.homepage):
        yield _found(document.place("homepage"), "the homepage is an example", "where the authors publish it")
    text = re.sub(r"\s+", " ", str(document.data["license"]))
    if LICENSE_NOTE in text:
        yield _found(document.place("license"), "the license is a placeholder", "what the authors' page says")
    if "{The authors}" in dataset.citation or f"{{{dataset.dataset}}}" in dataset.citation:
        yield _found(
            document.place("citation"), "the citation is a placeholder", "BibTeX as the authors ask for"
        )
    if dataset.how_to_get.strip() == HOW_TO_GET:
        yield _found(
            document.place("how_to_get"), "it does not say how to get the files", "the steps a person takes"
        )
    for at_file, file in enumerate(dataset.files):
        if file.url and _EXAMPLE.match(file.url):
            yield _found(document.place("files", at_file), "the url is an example", "the file's own URL")
    for name, table in dataset.labels.items():
        if isinstance(table, dict) and any(_NUMBERED_CLASS.match(str(shown)) for shown in table.values()):
            yield _found(document.place("labels", name), "labels are numbered classes", "write their names")


def of_task(bound: BoundTask) -> Iterator[Finding]:
    """A title that nobody has written."""
    if bound.task.title == TASK_TITLE:
        yield _found(bound.task.place("title"), "the title is a placeholder", "a few words for people")


def _found(place: Location, message: str, hint: str) -> Finding:
    return at(place, "placeholder", message, hint)
