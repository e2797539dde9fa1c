"""What the catalog says of a compiled task by now, where that lets less go out than its manifest.

Licenses are corrected, and sources get marked as sensitive, after a task was compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

from vision_flan.dataset.manifest import Manifest
from vision_flan.dataset.publication import license_of, terms_of
from vision_flan.dataset.sensitive import SENSITIVE, kinds_of
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import License, stricter
from vision_flan.spec.model import DatasetSpec

#: From open to closed.
_ACCESS = ("direct", "manual", "registration", "gated")


def with_current_facts(manifest: Manifest, catalog: Catalog) -> Manifest:
    """The manifest with the stricter of two licenses and accesses, its own and the catalog's, and what is
    sensitive by either. The same object if nothing differs.

    Raises:
        SpecError: a dataset.yaml that is not valid.
    """
    if manifest.dataset not in catalog.dataset_files:
        return manifest
    dataset = catalog.dataset(manifest.dataset)
    changed: dict[str, object] = {}
    known, compiled = _license(manifest, catalog, dataset), terms_of(manifest)
    images = stricter(compiled.images, known.images)
    if images != compiled.images:
        changed["license"] = {**asdict(known), "images": asdict(images)}
    kinds = kinds_of(manifest)
    more = [kind for kind in dataset.sensitive if kind not in kinds]
    if more:
        changed["sensitive"] = [*kinds, *more]
    if _closed(dataset.access) > _closed(manifest.source.get("access")):
        changed["access"] = dataset.access
    return replace(manifest, source={**manifest.source, **changed}) if changed else manifest


def corrections(compiled: Manifest, current: Manifest) -> Iterator[str]:
    """What was corrected after compiling, for the publisher."""
    if current.source.get("license") != compiled.source.get("license"):
        yield (
            f"license corrected after compiling, {license_of(compiled)} -> {license_of(current)}; "
            "the stricter one decides"
        )
    more = [kind for kind in kinds_of(current) if kind not in kinds_of(compiled)]
    if more:
        names = ", ".join(SENSITIVE[kind].text if kind in SENSITIVE else kind for kind in more)
        yield f"marked after compiling: {names}"
    if current.source.get("access") != compiled.source.get("access"):
        yield f"access corrected after compiling, it needs {current.source.get('access')} by now"


def license_was_corrected(manifest: Manifest, catalog: Catalog) -> bool:
    """Whether the catalog's license lets less go out than the manifest's.

    Raises:
        SpecError: a dataset.yaml that is not valid.
    """
    return with_current_facts(manifest, catalog).source.get("license") != manifest.source.get("license")


def _license(manifest: Manifest, catalog: Catalog, dataset: DatasetSpec) -> License:
    """The license of the task, or of its dataset where the catalog has no such task."""
    if manifest.task in catalog.task_files and catalog.task(manifest.task).dataset == manifest.dataset:
        return catalog.license(catalog.task(manifest.task))
    return dataset.license


def _closed(access: object) -> int:
    return _ACCESS.index(access) if access in _ACCESS else 0
