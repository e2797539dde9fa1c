"""LICENSES.md and CITATIONS.bib of a published dataset, with a row and an entry for each source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vision_flan.dataset.citations import bibtex, citation_key
from vision_flan.dataset.publication import FORMS, PublishedTask, terms_of
from vision_flan.spec.license import License, evidence_from, license_from, withdrawn_from
from vision_flan.spec.markdown import cell, link, quoted, shown

#: The paper the tasks and their instructions come from (arXiv 2402.11690).
PAPER_BIBTEX = """@inproceedings{xu2024visionflan,
  title     = {{Vision-Flan}: Scaling Human-Labeled Tasks in Visual Instruction Tuning},
  author    = {Xu, Zhiyang and Feng, Chao and Shao, Rulin and Ashby, Trevor and Shen, Ying and Jin, Di and
               Cheng, Yu and Wang, Qifan and Huang, Lifu},
  booktitle = {Findings of the Association for Computational Linguistics: ACL 2024},
  year      = {2024},
  url       = {https://arxiv.org/abs/2402.11690}
}"""

_INTRODUCTION = """# Licenses

Each source keeps its own license. This file lists them as the maintainers of vision-flan found them; it is
not legal advice. Follow the link before you rely on a row. `whole`: the images are here. `recipe`: they are
not, and `vflan rehydrate` puts them back from your own copy of the source. `mixed`: those are here that their
own license lets go out.

| source | license | images may be passed on | here | tasks |
|---|---|---|---|---|
"""


def by_source(tasks: Mapping[str, PublishedTask]) -> dict[str, list[PublishedTask]]:
    """Tasks by their dataset, both sorted."""
    found: dict[str, list[PublishedTask]] = {}
    for _, task in sorted(tasks.items()):
        found.setdefault(task.manifest.dataset, []).append(task)
    return dict(sorted(found.items()))


def licenses_md(tasks: Mapping[str, PublishedTask]) -> str:
    """LICENSES.md: one row per source and license, links to where it was read, notices, and lenders."""
    rows: list[str] = []
    notes: list[str] = []
    for dataset, members in by_source(tasks).items():
        for license, those in _by_license(members).items():
            source = those[0].manifest.source
            forms = " and ".join(form for form in FORMS if any(t.publication.form == form for t in those))
            names = ", ".join(f"`{t.task}`" for t in those)
            rows.append(
                f"| {link(source['title'], source['homepage'])} | {_linked(license)} "
                f"| {license.images.verdict.replace('_', ' ')} | {forms} | {names} |"
            )
            notes += _notes(f"**{cell(source['title'])}** (`{dataset}`)", license, those[0])
    text = _INTRODUCTION + "\n".join(rows) + "\n"
    if notes:
        text += "\n## Notes and evidence\n\n" + "\n".join(dict.fromkeys(notes)) + "\n"
    return text + _lenders(tasks) + _granted(tasks)


def _by_license(members: Sequence[PublishedTask]) -> dict[License, list[PublishedTask]]:
    """A source's tasks by their license: a task may have its own."""
    found: dict[License, list[PublishedTask]] = {}
    for task in members:
        found.setdefault(terms_of(task.manifest), []).append(task)
    return found


def _notes(name: str, license: License, task: PublishedTask) -> Iterator[str]:
    if license.note:
        yield f"- {name}: {shown(license.note)}"
    for half, terms in (("images", license.images), ("annotations", license.annotations)):
        for entry in terms.evidence:
            said = ": no license stated" if entry.states_none else ""
            said = f": \u201c{shown(entry.quote)}\u201d" if entry.quote else said
            copy = f", a copy of <{quoted(entry.copy_of)}>" if entry.copy_of else ""
            yield f"- {name}, {half}: <{quoted(entry.url)}>{copy}, seen {entry.seen}{said}"
    for notice, text in task.manifest.notices.items():
        if text:
            yield f"- {name}: [{shown(notice)}](LICENSES/{quoted(notice)})"
    if task.manifest.attribution.get("sha256"):
        yield f"- {name}: authors of the images in `attribution/`"


def _lenders(tasks: Mapping[str, PublishedTask]) -> str:
    """The works that the sources take images or annotations from."""
    found: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for dataset, members in by_source(tasks).items():
        for lender in members[0].manifest.source.get("sources") or ():
            found.setdefault(lender["key"], (lender, []))[1].append(dataset)
    if not found:
        return ""
    rows = [
        f"| {link(about['title'], about['homepage'])} | {cell(about['license'] or 'None stated')} "
        f"| {_read_at(about)} | {', '.join(f'`{dataset}`' for dataset in borrowers)} |"
        for _, (about, borrowers) in sorted(found.items())
    ]
    head = "| work | license | read at | used by |\n|---|---|---|---|\n"
    return "\n## Works they are made from\n\n" + head + "\n".join(rows) + "\n"


def _read_at(about: Mapping[str, Any]) -> str:
    """Links to where the license of a work was read."""
    evidence = evidence_from(about.get("evidence"))
    return ", ".join(f"[{number}]({quoted(entry.url)})" for number, entry in enumerate(evidence, 1))


def _granted(tasks: Mapping[str, PublishedTask]) -> str:
    granted = [t for _, t in sorted(tasks.items()) if t.publication.reason]
    if not granted:
        return ""
    lines = "\n".join(f"- `{t.task}`: {shown(t.publication.reason)}" for t in granted)
    return "\n## Published by permission\n\n" + lines + "\n"


def limit_of(task: PublishedTask) -> str:
    """What its makers say against using a task, in a sentence; "" for nothing."""
    source = task.manifest.source
    use, withdrawn = source.get("use"), withdrawn_from(source.get("withdrawn"))
    parts = []
    if use:
        parts.append(f"training is {use['train']}: {use['reason']}")
    if withdrawn:
        parts.append(withdrawn.said)
    return "; ".join(parts)


def license_name(license: Mapping[str, Any]) -> str:
    """The name of a license in a manifest, with its SPDX id if the name does not include it."""
    known = license_from(license)
    name, spdx = cell(known.name), known.spdx
    included = spdx is None or _letters(spdx) in _letters(name)
    return name if included else f"{name} (`{spdx}`)"


def _linked(license: License) -> str:
    """The names of both halves, with links to the texts of their licenses."""
    halves = {"images": license.images, "annotations": license.annotations}
    if license.images.name == license.annotations.name:
        halves = {"": license.images}
    linked = []
    for half, terms in halves.items():
        name = cell(terms.name)
        link = f"[{name}](https://spdx.org/licenses/{terms.spdx}.html)" if terms.spdx else name
        linked.append(f"{half}: {link}" if half else link)
    return "; ".join(linked)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def citations_bib(tasks: Mapping[str, PublishedTask]) -> str:
    """CITATIONS.bib: the paper, and each source and each work it is made from once."""
    entries = [PAPER_BIBTEX]
    seen = {citation_key(PAPER_BIBTEX)}
    for dataset, members in by_source(tasks).items():
        source = members[0].manifest.source
        lenders = [bibtex(about["key"], about) for about in source.get("sources") or ()]
        for entry in (bibtex(dataset, source), *lenders):
            if citation_key(entry) not in seen:
                seen.add(citation_key(entry))
                entries.append(entry)
    return "\n\n".join(entries) + "\n"
