"""LICENSES.md and CITATIONS.bib of a published dataset, with a row and an entry for each source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from vision_flan.dataset.publication import RECIPE, WHOLE, PublishedTask

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
not, and `vflan rehydrate` puts them back from your own copy of the source.

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
    """LICENSES.md: one row per source, with a link to where its license is stated."""
    rows, notes = [], []
    for dataset, members in by_source(tasks).items():
        source = members[0].manifest.source
        license = source["license"]
        forms = " and ".join(
            form for form in (WHOLE, RECIPE) if any(t.publication.form == form for t in members)
        )
        names = ", ".join(f"`{t.task}`" for t in members)
        rows.append(
            f"| {link(source['title'], source['homepage'])} | {license_name(license)} "
            f"| {license['redistribute_images']} | {forms} | {names} |"
        )
        if license.get("note"):
            notes.append(f"- **{shown(source['title'])}** (`{dataset}`): {shown(license['note'])}")
    text = _INTRODUCTION + "\n".join(rows) + "\n"
    if notes:
        text += "\n## Notes\n\n" + "\n".join(notes) + "\n"
    granted = [t for _, t in sorted(tasks.items()) if t.publication.reason]
    if granted:
        text += "\n## Published by permission\n\n"
        text += "\n".join(f"- `{t.task}`: {shown(t.publication.reason)}" for t in granted) + "\n"
    return text


def license_name(license: Mapping[str, Any]) -> str:
    """The name of a license, with its SPDX id if the name does not include it."""
    name, spdx = str(license["name"]), license.get("spdx")
    included = spdx is None or _letters(spdx) in _letters(name)
    return cell(shown(name)) if included else f"{cell(shown(name))} (`{spdx}`)"


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def citations_bib(tasks: Mapping[str, PublishedTask]) -> str:
    """CITATIONS.bib: the paper, and each source once."""
    entries = [PAPER_BIBTEX]
    seen = {citation_key(PAPER_BIBTEX)}
    for dataset, members in by_source(tasks).items():
        entry = bibtex(dataset, members[0].manifest.source)
        if citation_key(entry) not in seen:
            seen.add(citation_key(entry))
            entries.append(entry)
    return "\n\n".join(entries) + "\n"


def bibtex(dataset: str, source: Mapping[str, Any]) -> str:
    """A source's citation; one that is not BibTeX becomes a @misc entry."""
    citation = str(source.get("citation", "")).strip()
    if citation.startswith("@"):
        return citation
    note = f",\n  note  = {{{flat(citation)}}}" if citation else ""
    return (
        f"@misc{{{dataset},\n  title = {{{source['title']}}},\n  url   = {{{source['homepage']}}}{note}\n}}"
    )


def citation_key(entry: str) -> str:
    """The key of a BibTeX entry."""
    found = re.match(r"@\w+\s*\{\s*([^,\s]+)", entry)
    return found[1] if found else ""


def citation_keys(tasks: Iterable[PublishedTask]) -> list[str]:
    """The keys in CITATIONS.bib to cite for these tasks."""
    return sorted({citation_key(bibtex(t.manifest.dataset, t.manifest.source)) for t in tasks})


#: What Markdown or HTML may read as more than text. A `_` within a word is none of it.
_MARKDOWN = re.compile(r"[\\`*\[\]<>&~#!$]|(?<![^\W_])_|_(?![^\W_])")
#: Control characters, and those that turn text around.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
#: Characters of a URL that end neither a link nor a cell.
_IN_URLS = "%/:=&?~#+!$,;'@-._"


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return flat(text).replace("|", "\\|")


def shown(text: str) -> str:
    """Text of a spec for a line of Markdown: it shows as it is written, whatever it holds."""
    escaped = _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", flat(text))
    return _UNSEEN.sub("", escaped)


def link(text: str, url: str) -> str:
    """A link to a page that a spec names, for a cell; only the text if it is no web page."""
    if not url.startswith(("https://", "http://")):
        return cell(shown(text))
    return f"[{cell(shown(text))}]({quote(url, safe=_IN_URLS)})"


def flat(text: str) -> str:
    """Text on one line."""
    return " ".join(str(text).split())
