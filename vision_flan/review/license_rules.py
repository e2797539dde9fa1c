"""Rules for licenses, evidence, credits and limits of use. A function is a rule, its docstring its manual."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

from vision_flan.dataset.attribution import KNOWN
from vision_flan.errors import Location, SpecError
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import create_views, credit_sources
from vision_flan.review.bound import BoundTask
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.findings import Finding, at, from_error
from vision_flan.spec.license import NO, PER_IMAGE, UNCLEAR, YES, Evidence, Terms
from vision_flan.spec.model import DatasetSpec, TaskSpec

PLACEHOLDER = re.compile(r"\b(?:todo|tbd|fixme|xxx|fill in|placeholder)\b", re.IGNORECASE)
_NONE_STATED = re.compile(r"\b(?:none|not) (?:stated|found)\b", re.IGNORECASE)
#: A name is what upstream says; where it was read stands in `evidence`, doubts in `note`.
_DOUBT = re.compile(
    r"\b(?:recalled|not confirmed|unconfirmed|as commonly (?:listed|stated)|probably|presumably)\b",
    re.IGNORECASE,
)
#: License ids have letters, digits, dots, dashes and plus signs (SPDX specification 2.3, annex D).
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*\Z")
#: A lender's verdict -> what a borrower may say of the same images; with `--include-unclear` the images of an
#: unclear license go out, so it is looser than per_image, too.
_BORROWER = {
    YES: (YES, PER_IMAGE, UNCLEAR, NO),
    PER_IMAGE: (PER_IMAGE, NO),
    UNCLEAR: (UNCLEAR, NO),
    NO: (NO,),
}
Keys = tuple[str | int, ...]


def license(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """Each half of the license is stated, or "None stated": no placeholder and no doubt in the name, an SPDX
    id that has the form of one; evidence for "yes" and per_image, seen on a day, with a quote or
    `states_none`; a note where images are not free. Nobody passes on images that their lender does not."""
    known = dataset.license
    place = dataset.document.place("license")
    if PLACEHOLDER.search(f"{known.images.name} {known.annotations.name} {known.note}"):
        yield at(place, "license", "the license is a placeholder", "see the dataset's homepage")
    if not known.images.lender:
        yield from _terms(known.images, dataset, ("license", "images"))
    yield from _terms(known.annotations, dataset, ("license", "annotations"))
    if known.images.verdict != YES and not known.note and not known.images.lender:
        yield at(
            place,
            "license",
            f"the verdict of the images is {known.images.verdict}, and no note says why",
            "add `note:` with what the license says about the images",
            "warning",
        )
    lender = known.images.lender
    if lender and lender not in dataset.borrows:
        place = dataset.document.place("license", "images", "lender")
        yield at(place, "license", f"{lender} is not among `borrows`", f"borrows: [{lender}]")
    for slug in dataset.borrows:
        if slug in catalog.dataset_files:
            yield from _looser(known.images, slug, catalog, dataset.document.place("license", "images"))


def task_license(bound: BoundTask) -> Iterator[Finding]:
    """A task's own terms for its images follow the rules of a dataset's; their lender is among the dataset's
    `borrows`."""
    task, dataset, terms = bound.task, bound.dataset, bound.task.images
    if terms is None:
        return
    if not terms.lender:
        yield from _terms(terms, task, ("license", "images"), dataset)
    elif terms.lender not in dataset.borrows:
        place = task.document.place("license", "images", "lender")
        message = f"{terms.lender} is not among `borrows` of {dataset.dataset}"
        yield at(place, "task_license", message, "name the dataset that lends the images")


def _looser(terms: Terms, slug: str, catalog: Catalog, place: Location) -> Iterator[Finding]:
    try:
        lender = catalog.dataset(slug).license.images
    except SpecError:
        return  # the lender's own file has findings
    if terms.verdict not in _BORROWER[lender.verdict]:
        message = f"the verdict is {terms.verdict}, but {slug}, which lends the images, says {lender.verdict}"
        yield at(place, "license", message, f"images: {{lender: {slug}}}")


def _terms(
    terms: Terms, owner: DatasetSpec | TaskSpec, keys: Keys, dataset: DatasetSpec | None = None
) -> Iterator[Finding]:
    """Findings of one half."""
    rule = "license" if isinstance(owner, DatasetSpec) else "task_license"
    place = owner.document.place
    if _NONE_STATED.search(terms.name) and terms.name != "None stated":
        hint = "name: None stated; what else is known goes into `note`"
        yield at(place(*keys, "name"), rule, "no license is stated", hint)
    doubt = _DOUBT.search(terms.name)
    if doubt:
        hint = "name what was read, and where in `evidence`; doubts go into `note`, with the verdict unclear"
        yield at(place(*keys, "name"), rule, f"the name holds a doubt: {doubt[0]!r}", hint)
    if terms.spdx is not None and not _SPDX.match(terms.spdx):
        yield at(
            place(*keys, "spdx"),
            rule,
            f"{terms.spdx!r} is not a valid SPDX id",
            "https://spdx.org/licenses/ lists them; null where there is none",
        )
    if terms.verdict in (YES, PER_IMAGE) and all(entry.states_none for entry in terms.evidence):
        hint = "evidence: [{url, quote, seen}], or the verdict unclear until somebody has read it"
        yield at(
            place(*keys), rule, f"the verdict is {terms.verdict}, and nothing says where it was read", hint
        )
    if (terms.verdict == PER_IMAGE) != bool(terms.allowed):
        hint = "per_image: {column: license, allowed: [...]}, with the verdict per_image only"
        yield at(place(*keys, "verdict"), rule, "`per_image` and the verdict do not fit", hint)
    if terms.allowed and terms.column != "license":
        yield at(
            place(*keys, "per_image", "column"),
            rule,
            "the column is not `license`",
            "column: license of `credits`",
        )
    known = dataset or owner
    if terms.needs_credits and not (isinstance(known, DatasetSpec) and known.credits):
        hint = "credits: a SELECT that yields `image`, `license` and `author`"
        yield at(place(*keys), rule, "the images need credits, and the dataset has none", hint)
    yield from _evidence(terms.evidence, owner, (*keys, "evidence"), rule)


def _evidence(
    evidence: tuple[Evidence, ...], owner: DatasetSpec | TaskSpec, keys: Keys, rule: str
) -> Iterator[Finding]:
    for i, entry in enumerate(evidence):
        place = owner.document.place(*keys, i, "seen")
        try:
            datetime.date.fromisoformat(entry.seen)
        except ValueError:
            yield at(place, rule, f"{entry.seen!r} is not a day", "seen: YYYY-MM-DD")
        if entry.states_none == bool(entry.quote):
            what = "a quote and `states_none`" if entry.quote else "neither a quote nor `states_none`"
            hint = "quote: a sentence of the page; `states_none: true` for a page that states no license"
            yield at(owner.document.place(*keys, i), rule, f"the evidence has {what}", hint)


def notices(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """`license.notices` names texts that lie beside dataset.yaml."""
    for i, notice in enumerate(dataset.license.notices):
        if notice.file and not (dataset.folder / notice.file).is_file():
            place = dataset.document.place("license", "notices", i)
            yield at(place, "notices", f"there is no {notice.file} beside dataset.yaml", "put the text there")


def credits(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """`credits` is one SELECT over tables and views: `image` and columns of the attribution table."""
    if dataset.credits is None:
        return
    place = dataset.credits_place
    try:
        sources = credit_sources(dataset)
        with RecordStore() as store:
            store.load_labels(sources.labels)
            for name, reader in sources.readers.items():
                store.load(name, reader.schema(), iter(()))
            create_views(sources, store)
            columns = store.describe(dataset.credits, place)
    except SpecError as error:
        yield from_error(error, "credits", dataset.document.path)
        return
    if "image" not in columns:
        yield at(place, "credits", "there is no column `image`", "the image's path, or the end of it")
    for unknown in sorted(set(columns) - {"image", *KNOWN}):
        yield at(
            place, "credits", f"the column {unknown!r} is not used", f"columns: image, {', '.join(KNOWN)}"
        )


def use(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """A forbidden use, and a withdrawal, have evidence: where its makers say so."""
    limit = dataset.use
    if limit and limit.train == "forbidden" and not limit.evidence:
        place = dataset.document.place("use")
        yield at(
            place, "use", "training is forbidden, and nothing says where", "evidence: [{url, quote, seen}]"
        )
    if limit:
        yield from _evidence(limit.evidence, dataset, ("use", "evidence"), "use")
    if dataset.withdrawn:
        if not dataset.withdrawn.evidence:
            place = dataset.document.place("withdrawn")
            yield at(place, "use", "nothing says where it was withdrawn", "evidence: [{url, quote, seen}]")
        yield from _evidence(dataset.withdrawn.evidence, dataset, ("withdrawn", "evidence"), "use")


def derived_from(dataset: DatasetSpec, catalog: Catalog) -> Iterator[Finding]:
    """`derived_from` names datasets, or works in `task_specs/sources.yaml`, and not the dataset itself."""
    for i, key in enumerate(dataset.derived_from):
        if key == dataset.dataset or catalog.source(key) is None:
            known = key == dataset.dataset
            what = "is this dataset itself" if known else "is neither a dataset nor in sources.yaml"
            place = dataset.document.place("derived_from", i)
            yield at(place, "derived_from", f"{key!r} {what}", "add it to task_specs/sources.yaml")
