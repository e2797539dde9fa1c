"""What each task's license says and what follows from it: `vflan licenses`, docs/licenses.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypedDict

from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import NO, PER_IMAGE, UNCLEAR, VERDICTS, YES, Evidence, License, Terms
from vision_flan.spec.model import DatasetSpec, TaskSpec


class EvidenceFacts(TypedDict):
    """Where a verdict was read."""

    url: str
    quote: str
    seen: str
    copy_of: str
    states_none: bool


class HalfFacts(TypedDict):
    """The license of images or annotations."""

    license: str
    spdx: str | None
    verdict: str
    lender: str
    evidence: list[EvidenceFacts]


class LicenseFacts(TypedDict):
    """The license of a task in full.

    Attributes:
        published: what `vflan publish` sends of it, in a sentence.
        train: allowed, discouraged or forbidden.
    """

    task: str
    dataset: str
    title: str
    homepage: str
    images: HalfFacts
    annotations: HalfFacts
    note: str
    published: str
    train: str
    train_reason: str
    train_evidence: list[EvidenceFacts]
    withdrawn: str
    withdrawn_evidence: list[EvidenceFacts]
    sensitive: list[str]
    made_from: list[str]


def license_facts(catalog: Catalog, tasks: Iterable[str]) -> list[LicenseFacts]:
    """The licenses of tasks, in their order."""
    return [_facts(catalog, catalog.task(name)) for name in tasks]


def _facts(catalog: Catalog, task: TaskSpec) -> LicenseFacts:
    dataset, license = catalog.dataset_of(task), catalog.license(task)
    use, withdrawn = dataset.use, dataset.withdrawn
    return {
        "task": task.id,
        "dataset": dataset.dataset,
        "title": dataset.title,
        "homepage": dataset.homepage,
        "images": _half(license.images),
        "annotations": _half(license.annotations),
        "note": " ".join(license.note.split()),
        "published": published(license),
        "train": use.train if use else "allowed",
        "train_reason": use.reason if use else "",
        "train_evidence": evidence_facts(use.evidence if use else ()),
        "withdrawn": withdrawn.said if withdrawn else "",
        "withdrawn_evidence": evidence_facts(withdrawn.evidence if withdrawn else ()),
        "sensitive": list(dataset.sensitive),
        "made_from": [source.title for source in dataset.sources],
    }


def evidence_facts(evidence: Iterable[Evidence]) -> list[EvidenceFacts]:
    """Evidence as plain data."""
    return [
        {
            "url": entry.url,
            "quote": entry.quote,
            "seen": entry.seen,
            "copy_of": entry.copy_of,
            "states_none": entry.states_none,
        }
        for entry in evidence
    ]


def _half(terms: Terms) -> HalfFacts:
    return {
        "license": terms.name,
        "spdx": terms.spdx,
        "verdict": terms.verdict,
        "lender": terms.lender,
        "evidence": evidence_facts(terms.evidence),
    }


def published(license: License) -> str:
    """What `vflan publish` sends under a license, in a sentence."""
    images = license.images
    if license.annotations.verdict == NO:
        return "Nothing: the annotations must not be passed on."
    if images.verdict == YES and images.attribution:
        return (
            "Images whose author upstream's list names, with the attribution table; the others as a recipe."
        )
    return {
        YES: "All of it, images included.",
        PER_IMAGE: f"Images under {', '.join(images.allowed)} in upstream's list; the others as a recipe.",
        UNCLEAR: "A recipe without images; the images too with --include-unclear.",
        NO: "A recipe without images.",
    }[images.verdict]


def licenses_table(catalog: Catalog) -> str:
    """Every dataset with its verdicts and evidence, as a Markdown table under its counts."""
    rows = [_row(catalog.dataset(slug)) for slug in catalog.dataset_files]
    own = [
        _row(catalog.dataset_of(task), task)
        for task in map(catalog.task, catalog.task_files)
        if task.images is not None
    ]
    head = "| dataset | images | may go out | annotations | may go out | training | read at |\n"
    table = head + "|---|---|---|---|---|---|---|\n" + "".join(rows + own)
    return f"{_counts(catalog)}\n{_shared(catalog, 'mscoco')}\n{table}\n{_works(catalog)}"


def _counts(catalog: Catalog) -> str:
    """How many verdicts stand on evidence, as a Markdown table."""
    found: Counter[tuple[str, str]] = Counter()
    for license in (catalog.dataset(slug).license for slug in catalog.dataset_files):
        for terms in (license.images, license.annotations):
            silent = all(entry.states_none for entry in terms.evidence)
            how = "quoted" if not silent else "silent" if terms.evidence else "unread"
            found.update([(terms.verdict, how), (terms.verdict, "all"), ("all", how), ("all", "all")])
    columns = ("all", "quoted", "silent", "unread")
    rows = [
        f"| {verdict.replace('_', ' ')} | {' | '.join(str(found[verdict, how]) for how in columns)} |\n"
        for verdict in (*VERDICTS, "all")
    ]
    head = (
        "| verdict | halves | a page is quoted | a page was read whole, states no license | not read yet |\n"
    )
    return head + "|---|---|---|---|---|\n" + "".join(rows)


def _shared(catalog: Catalog, slug: str) -> str:
    """Which tasks take a dataset's terms, and which have its images among others, as a paragraph."""
    tasks = {name: catalog.license(catalog.task(name)).images for name in catalog.task_files}
    datasets = {name: catalog.dataset(name) for name in catalog.dataset_files}
    family = {slug}
    for _ in datasets:  # until nothing is added: what is drawn from a member is a member
        family |= {name for name, known in datasets.items() if family & {*known.borrows, *known.derived_from}}
    takers = [name for name, terms in tasks.items() if slug in (terms.lender, catalog.task(name).dataset)]
    others = [
        name
        for name, terms in tasks.items()
        if catalog.task(name).dataset in family and name not in takers and catalog.task(name).images is None
    ]
    verdicts = ", ".join(f"`{name}` ({tasks[name].verdict.replace('_', ' ')})" for name in others)
    return (
        f"{len(takers)} tasks take the terms of `{slug}`. {len(others)} more have its images among others, "
        f"directly or through another dataset, and a verdict of their own: {verdicts}.\n"
    )


def _works(catalog: Catalog) -> str:
    """The works that datasets are made from and that are no datasets here, as a Markdown table."""
    rows = []
    for key in catalog.other_sources:
        work = catalog.source(key)
        if work is not None:
            users = ", ".join(
                slug for slug in catalog.dataset_files if key in catalog.dataset(slug).derived_from
            )
            cells = (f"[{work.title}]({work.homepage})", work.license, users, _read_at(work.evidence))
            rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n")
    head = "| work that is no dataset here | license | used by | read at |\n|---|---|---|---|\n"
    return head + "".join(rows) if rows else ""


def _row(dataset: DatasetSpec, task: TaskSpec | None = None) -> str:
    license = dataset.license.with_images(task.images if task else None)
    images, annotations = license.images, license.annotations
    read = _read_at((*images.evidence, *annotations.evidence))
    gone = dataset.withdrawn and ("host gone" if dataset.withdrawn.host_gone else "withdrawn")
    train = ", ".join(said for said in (dataset.use and dataset.use.train, gone) if said)
    name = f"`{task.id}`" if task else f"[{dataset.dataset}]({dataset.homepage})"
    verdict = images.verdict.replace("_", " ") + (f", as {images.lender}" if images.lender else "")
    cells = (name, images.name, verdict, annotations.name, annotations.verdict, train, read)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _read_at(evidence: Iterable[Evidence]) -> str:
    """Links to the pages, each once."""
    pages = {entry.url: entry for entry in evidence}
    links = (f"[{number}]({url}){_kind(entry)}" for number, (url, entry) in enumerate(pages.items(), 1))
    return ", ".join(links) or "—"


def _kind(entry: Evidence) -> str:
    kinds = [kind for kind, so in (("copy", entry.copy_of), ("states none", entry.states_none)) if so]
    return f" ({', '.join(kinds)})" if kinds else ""
