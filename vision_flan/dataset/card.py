"""README.md of a compiled folder and of a published dataset, made from the manifests.

It is regenerated from the manifests present, so that configs compiled on different days or machines can be
merged by copying their folders together, and several people can publish to one repository.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from vision_flan.columns import COLUMNS
from vision_flan.dataset import front_matter
from vision_flan.dataset.contents import distinct_images, images_of, tokens_of
from vision_flan.dataset.gallery import FOLDER as GALLERY
from vision_flan.dataset.gallery import chosen, read_gallery, refresh_gallery
from vision_flan.dataset.licenses import (
    PAPER_BIBTEX,
    by_source,
    license_name,
    limit_of,
)
from vision_flan.dataset.manifest import FOLDER, Manifest, readable_manifests, write_atomically
from vision_flan.dataset.overlaps import Overlaps, by_benchmark, read_overlaps
from vision_flan.dataset.plot import PLOT, by_category
from vision_flan.dataset.publication import (
    MIXED,
    RECIPE,
    RECIPE_COLUMNS,
    WHOLE,
    Example,
    Publication,
    PublishedTask,
    license_of,
)
from vision_flan.dataset.sensitive import SENSITIVE, kinds_of
from vision_flan.errors import VflanError
from vision_flan.places.place import P, Place
from vision_flan.places.remote import RemotePath
from vision_flan.report import human_bytes
from vision_flan.spec.markdown import cell, link, piped, quoted, shown

CARD = "README.md"
#: The task that examples show, if it is there.
EXAMPLE = "ocr_textocr"


def write_card(folder: P) -> P:
    """Write README.md of a compiled folder from its manifests."""
    refresh_card(folder)
    return folder / CARD


def refresh_card(folder: Place) -> list[VflanError]:
    """Write README.md of a compiled folder, if it does not match the manifests.

    Returns:
        The errors of manifests that cannot be read; their configs are left out.
    """
    if isinstance(folder, RemotePath):
        return _refresh_in_store(folder)
    return _refresh(folder)


def _refresh_in_store(folder: RemotePath) -> list[VflanError]:
    """Several processes may write one card at one time, and nothing keeps others away. So each looks again
    after it has written: the last one to write has then seen the manifests of all."""
    while True:
        seen = folder.marks(FOLDER)
        # examples are listed first, so each that is listed belongs to a manifest that is listed too
        problems = _refresh(folder.listed(GALLERY, FOLDER))
        if folder.marks(FOLDER) == seen:
            return problems


def _refresh(folder: Place) -> list[VflanError]:
    manifests, broken = readable_manifests(folder)
    refresh_gallery(folder, manifests)
    if not is_current(folder, manifests):
        write_atomically(folder / CARD, _card_of(folder, manifests))
    return list(broken.values())


def is_current(folder: Place, manifests: Mapping[str, Manifest]) -> bool:
    """Whether README.md of a compiled folder is what its manifests say."""
    try:
        return (folder / CARD).read_bytes() == _card_of(folder, manifests).encode()
    except FileNotFoundError:
        return False


def _card_of(folder: Place, manifests: Mapping[str, Manifest]) -> str:
    return render_card(manifests, read_gallery(folder, manifests), read_overlaps(folder, manifests))


def render_card(
    manifests: Mapping[str, Manifest],
    gallery: Mapping[str, Example] | None = None,
    overlaps: Overlaps | None = None,
) -> str:
    """The card of a folder on disk, all tasks whole.

    Args:
        gallery: the examples in the folder, by task.
        overlaps: what tasks share with benchmarks, as far as it is known.
    """
    examples, shared = gallery or {}, overlaps or {}
    tasks = {}
    for name, manifest in manifests.items():
        publication = Publication(
            WHOLE,
            license_of(manifest),
            shards=manifest.shards,
            example=examples.get(name),
            overlaps=shared.get(name, {}),
        )
        tasks[name] = PublishedTask(manifest, publication)
    front = {"pretty_name": "Vision-Flan", **front_matter.loadable(tasks)}
    return f"{front_matter.as_text(front)}\n{_body(tasks, '', '')}"


def render_published_card(
    tasks: Mapping[str, PublishedTask], repo_id: str, *, gated: bool, kept: Mapping[str, Any]
) -> str:
    """The card of a dataset repository.

    Args:
        tasks: everything the repository holds, by task.
        gated: ask readers to accept the terms.
        kept: front matter found there; what a person wrote is kept (`front_matter.of_repository`).
    """
    front = front_matter.of_repository(tasks, repo_id, gated=gated, kept=kept)
    contact = front.get(front_matter.CONTACT)
    return (
        f"{front_matter.as_text(front)}\n{_body(tasks, repo_id, contact if isinstance(contact, str) else '')}"
    )


def prepare() -> None:
    """Compile the template of cards, which takes 40 ms: for a thread that does it while others wait."""
    with suppress(Exception):  # the card meets it too, and says so
        _template()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
        "cell": cell,
        "limit": limit_of,
        "link": link,
        "piped": piped,
        "shown": shown,
        "size": size,
    }
    environment.filters |= {
        "contact": writes_to,
        "form": images,
        "license_name": license_name,
        "number": number,
        "pictured": pictured,
        "said": said,
        "short": short_number,
    }
    return environment.get_template("card.md.j2")


def pictured(task: PublishedTask) -> int | None:
    """Distinct images of a task, None if they were not counted."""
    return images_of(task.manifest.contents)


def images(task: PublishedTask) -> str:
    """Whether a task includes its images, and why if the license does not say so."""
    publication = task.publication
    if publication.form == RECIPE:
        return RECIPE
    if publication.form == MIXED:
        return f"mixed, {task.images:,} of {task.rows:,}"
    if publication.reason:
        return "whole, by permission"
    return "whole, license unclear" if publication.license == "unclear" else WHOLE


def number(count: int | None) -> str:
    """A count in a table; empty if it is not known."""
    return "" if count is None else f"{count:,}"


def short_number(count: int) -> str:
    """A large count with three digits: 1.23 M."""
    for bound, unit in ((10**9, "G"), (10**6, "M")):
        if count >= bound:
            return f"{count / bound:.3g} {unit}"
    return f"{count:,}"


def size(task: PublishedTask) -> str:
    """What there is to download of a task."""
    return human_bytes(front_matter.download_size(task))


def said(text: str, most: int = 320) -> str:
    """A request or an answer in a cell, its lines kept; a long one is cut."""
    short = text if len(text) <= most else f"{text[:most].rstrip()} …"
    return "<br>".join(line for line in map(cell, short.splitlines()) if line)


def writes_to(contact: str) -> str:
    """A contact as a link, if it is an address or a page."""
    text = shown(contact)
    if re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", contact):
        return f"[{text}](mailto:{quoted(contact)})"
    return f"<{quoted(contact)}>" if re.fullmatch(r"https?://\S+", contact) else text


def _body(tasks: Mapping[str, PublishedTask], repo_id: str, contact: str) -> str:
    """The text below the front matter; `repo_id` is empty for a folder on disk."""
    unclear = {name: task for name, task in tasks.items() if images(task).endswith("unclear")}
    sensitive = {
        kind.text: [task for task in tasks.values() if name in kinds_of(task.manifest)]
        for name, kind in SENSITIVE.items()
    }
    whole = [task for task in tasks.values() if task.publication.form == WHOLE]
    shown = [tasks[EXAMPLE]] if EXAMPLE in {task.task for task in whole} else whole or list(tasks.values())
    return _template().render(
        tasks=tasks,
        categories=by_category(tasks),
        plot=PLOT,
        total_bytes=human_bytes(sum(map(front_matter.download_size, tasks.values()))),
        rows=sum(task.rows for task in tasks.values()),
        recipes=[task for task in tasks.values() if task.publication.form != WHOLE],
        mixed=[task for task in tasks.values() if task.publication.form == MIXED],
        limited=[task for task in tasks.values() if limit_of(task)],
        unclear=[members[0].manifest.source for members in by_source(unclear).values()],
        granted=[task for task in tasks.values() if task.publication.reason],
        sensitive={text: members for text, members in sensitive.items() if members},
        sources=by_source(tasks),
        columns=COLUMNS,
        recipe_columns=RECIPE_COLUMNS,
        versions=_versions(tasks),
        seeds=sorted({task.manifest.seed for task in tasks.values()}),
        paper=PAPER_BIBTEX,
        repo_id=repo_id,
        contact=contact,
        gallery=chosen([(task.manifest, task.publication.example) for task in whole]),
        images=distinct_images(task.manifest.contents for task in tasks.values()),
        tokens=_tokens(tasks),
        example=shown[0] if shown else None,
        benchmarks=by_benchmark({name: task.publication.overlaps for name, task in tasks.items()}),
        whole=whole,
        mixture=[task.task for task in whole[:2]],
        whole_rows=sum(task.rows for task in whole),
        whole_bytes=human_bytes(sum(map(front_matter.download_size, whole))),
    )


def _tokens(tasks: Mapping[str, PublishedTask]) -> int | None:
    """Tokens of all answers; None if those of a task were not counted."""
    counts = [tokens_of(task.manifest.contents) for task in tasks.values()]
    return None if None in counts else sum(count or 0 for count in counts)


def _versions(tasks: Mapping[str, PublishedTask]) -> dict[str, list[str]]:
    """Package -> the versions that the configs were compiled with."""
    found: dict[str, set[str]] = {}
    for task in tasks.values():
        for package, version in task.manifest.versions.items():
            found.setdefault(package, set()).add(str(version))
    return {package: sorted(versions) for package, versions in sorted(found.items())}
