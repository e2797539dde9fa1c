"""What the catalog says of a compiled task by now: its license and source, corrected after compiling.

Of what limits what goes out, the stricter counts, the manifest's or the catalog's. All else is the catalog's:
titles, citations, and where a license was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from vision_flan.build.notices import notice_beside
from vision_flan.dataset.manifest import Manifest, source_block
from vision_flan.dataset.publication import license_of, terms_of
from vision_flan.dataset.sensitive import SENSITIVE, kinds_of
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import DISCOURAGED, FORBIDDEN, NO, License, stricter
from vision_flan.spec.model import DatasetSpec

#: From open to closed.
_ACCESS = ("direct", "manual", "registration", "gated")
_USES = (None, DISCOURAGED, FORBIDDEN)
#: Facts of a source that limit nothing, as a publisher knows them.
_NAMES = {
    "title": "title",
    "homepage": "homepage",
    "citation": "citation",
    "languages": "languages",
    "sources": "works it is made from",
}


def with_current_facts(manifest: Manifest, catalog: Catalog) -> Manifest:
    """The manifest with the facts of its source as the catalog has them, but the stricter of two licenses,
    accesses and limits of use, and what is sensitive by either. The same object if nothing differs.

    Raises:
        SpecError: a dataset.yaml that is not valid, or a license text beside it that cannot be read.
    """
    if manifest.dataset not in catalog.dataset_files:
        return manifest
    dataset, was = catalog.dataset(manifest.dataset), manifest.source
    now = _as_json(source_block(dataset, _license(manifest, catalog, dataset)))
    kinds = kinds_of(manifest)
    now["sensitive"] = [*kinds, *(kind for kind in dataset.sensitive if kind not in kinds)]
    if _closed(was.get("access")) > _closed(now["access"]):
        now["access"] = was["access"]
    if _limit(was.get("use")) > _limit(now["use"]):
        now["use"] = was["use"]
    now["withdrawn"] = now["withdrawn"] or was.get("withdrawn")
    current = replace(manifest, source=now, notices=_notices(manifest, catalog, dataset))
    return manifest if current.to_json() == manifest.to_json() else current


def corrections(compiled: Manifest, current: Manifest) -> Iterator[str]:
    """What was corrected after compiling and lets less go out, or that a user must know."""
    was, now = compiled.source, current.source
    if _terms(compiled)[:-1] != _terms(current)[:-1]:
        yield (
            f"license corrected after compiling, {license_of(compiled)} -> {license_of(current)}; "
            "the stricter one decides"
        )
    more = [kind for kind in kinds_of(current) if kind not in kinds_of(compiled)]
    if more:
        names = ", ".join(SENSITIVE[kind].text if kind in SENSITIVE else kind for kind in more)
        yield f"marked after compiling: {names}"
    if now.get("access") != was.get("access"):
        yield f"access corrected after compiling, it needs {now.get('access')} by now"
    if _limit(now.get("use")) != _limit(was.get("use")):
        yield f"by its makers, training is {_use(now.get('use'))} by now"
    if bool(now.get("withdrawn")) != bool(was.get("withdrawn")):
        yield "withdrawn after compiling"
    added = [name for name in current.notices if name not in compiled.notices]
    if added:
        yield f"a license text was added after compiling: {', '.join(added)}"


def renewed(compiled: Manifest, current: Manifest) -> list[str]:
    """What else of the source is newer in the catalog: its title, citation and the like."""
    was, now = compiled.source, current.source
    names = [name for key, name in _NAMES.items() if (was.get(key) or None) != (now.get(key) or None)]
    same_terms = _terms(compiled) == _terms(current)
    return [*names, *(["license's text"] if same_terms and was.get("license") != now.get("license") else [])]


def license_was_corrected(manifest: Manifest, catalog: Catalog) -> bool:
    """Whether the catalog's license lets less go out than the manifest's.

    Raises:
        SpecError: a dataset.yaml that is not valid.
    """
    return _terms(with_current_facts(manifest, catalog)) != _terms(manifest)


def _terms(manifest: Manifest) -> tuple[object, ...]:
    """What decides of a license: the terms of the images, and whether the annotations must stay."""
    license = terms_of(manifest)
    images = license.images
    return images.verdict, images.attribution, set(images.allowed), license.annotations.verdict == NO


def _license(manifest: Manifest, catalog: Catalog, dataset: DatasetSpec) -> License:
    """The license of the task by now, or of its dataset where the catalog has no such task; stricter where
    the manifest is."""
    known, compiled = dataset.license, terms_of(manifest)
    if manifest.task in catalog.task_files and catalog.task(manifest.task).dataset == manifest.dataset:
        known = catalog.license(catalog.task(manifest.task))
    return replace(
        known,
        images=stricter(known.images, compiled.images),
        annotations=stricter(known.annotations, compiled.annotations),
    )


def _notices(manifest: Manifest, catalog: Catalog, dataset: DatasetSpec) -> Mapping[str, str]:
    """The license texts: those beside dataset.yaml as they are now. One that should have come from the raw
    folder and did not is empty, so its images count as unclear."""
    lenders = (catalog.dataset(slug) for slug in dataset.borrows if slug in catalog.dataset_files)
    found = dict(manifest.notices)
    for one in (dataset, *lenders):
        for notice in one.license.notices:
            name = f"{one.dataset}-{PurePosixPath(notice.file or notice.raw).name}"
            found[name] = notice_beside(one, notice.file) if notice.file else found.get(name, "")
    return found


def _as_json(value: object) -> Any:
    """A value as a manifest that was read has it: lists, no tuples."""
    return json.loads(json.dumps(value))


def _closed(access: object) -> int:
    return _ACCESS.index(access) if access in _ACCESS else 0


def _use(use: object) -> object:
    return use.get("train") if isinstance(use, Mapping) else None


def _limit(use: object) -> int:
    train = _use(use)
    return _USES.index(train) if train in _USES else len(_USES)
