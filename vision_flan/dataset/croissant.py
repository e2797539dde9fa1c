"""croissant.json: every config as a Croissant record set, with the license and citation of its source.

The Hub generates one too, but only for the first hundred configs and without the licenses of the sources. The
format is Croissant 1.1 (docs.mlcommons.org/croissant), checked with mlcroissant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_flan.columns import COLUMNS, IMAGE, OPTIONS, TURNS, Turn
from vision_flan.dataset.citations import bibtex
from vision_flan.dataset.licenses import PAPER_BIBTEX, by_source, limit_of
from vision_flan.dataset.publication import (
    MIXED,
    RECIPE,
    RECIPE_COLUMNS,
    PublishedTask,
    columns_of,
    data_files,
    license_of,
)
from vision_flan.dataset.sensitive import SENSITIVE, kinds_of
from vision_flan.spec.license import license_from
from vision_flan.spec.markdown import flat

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
REPOSITORY = "repository"
#: The day of the paper: the same manifests give the same text whenever they are published.
PAPER_DATE = "2024-02-18"
_BIASES = "The sources are mostly English, and mostly from the web of North America and Europe."

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "excludes": "cr:excludes",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(tasks: Mapping[str, PublishedTask], repo_id: str) -> dict[str, Any]:
    """The JSON-LD document for these tasks in this repository."""
    url = f"https://huggingface.co/datasets/{repo_id}"
    repository = {
        "@type": "cr:FileObject",
        "@id": REPOSITORY,
        "name": REPOSITORY,
        "description": "The repository on the Hugging Face Hub.",
        "contentUrl": url,
        "encodingFormat": "git+https",
        "sha256": "https://github.com/mlcommons/croissant/issues/80",
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": repo_id.split("/")[-1],
        "description": f"{len(tasks)} visual instruction tuning tasks after Vision-Flan (arXiv 2402.11690).",
        "url": url,
        "version": max(
            (str(t.manifest.versions.get("vision_flan", "0")) for t in tasks.values()), default="0"
        ),
        "inLanguage": sorted(
            {lang for t in tasks.values() for lang in t.manifest.source.get("languages", ["en"])}
        ),
        "license": [_license(dataset, members[0]) for dataset, members in by_source(tasks).items()],
        "citeAs": PAPER_BIBTEX,
        **_responsible(tasks),
        "distribution": [repository, *(_file_set(task) for task in tasks.values())],
        "recordSet": [_record_set(task) for task in tasks.values()],
    }


def _responsible(tasks: Mapping[str, PublishedTask]) -> dict[str, Any]:
    """Creator, date, and the properties of Croissant RAI 1.1: origin, people shown, biases, limits."""
    sources = by_source(tasks)
    works = {
        source["homepage"]: source["title"]
        for members in sources.values()
        for source in (members[0].manifest.source, *(members[0].manifest.source.get("sources") or ()))
    }
    found = {kind for task in tasks.values() for kind in kinds_of(task.manifest)}
    limits = sorted({f"{task.task}: {said}" for task in tasks.values() if (said := limit_of(task))})
    return {
        "creator": {
            "@type": "sc:Organization",
            "name": "vision-flan",
            "url": "https://github.com/vision-flan",
        },
        "datePublished": PAPER_DATE,
        "prov:wasDerivedFrom": [
            {"@type": "sc:Dataset", "name": title, "url": url} for url, title in sorted(works.items())
        ],
        "rai:dataCollection": "Compiled from the raw files of each source, which its authors collected.",
        "rai:dataCollectionType": ["Secondary Data Analysis"],
        "rai:personalSensitiveInformation": [kind.text for name, kind in SENSITIVE.items() if name in found],
        "rai:dataBiases": _BIASES,
        "rai:dataLimitations": [
            "Labels are upstream's, mistakes included. A task is a sample of its source.",
            *limits,
        ],
    }


def _license(dataset: str, task: PublishedTask) -> dict[str, Any]:
    source = task.manifest.source
    license = license_from(source["license"])
    about = f"{license.note} Images may be passed on: {license_of(task.manifest)}."
    spdx = license.images.spdx
    url = f"https://spdx.org/licenses/{spdx}" if spdx else source["homepage"]
    return {
        "@type": "sc:CreativeWork",
        "name": f"{source['title']} ({dataset}): {license.name}",
        "url": url,
        "description": flat(about),
    }


def _file_set(task: PublishedTask) -> dict[str, Any]:
    source = task.manifest.source
    return {
        "@type": "cr:FileSet",
        "@id": f"files/{task.task}",
        "name": f"files/{task.task}",
        "description": flat(
            f"From {source['title']}, {source['homepage']}. License: {license_from(source['license']).name}."
        ),
        "containedIn": {"@id": REPOSITORY},
        "encodingFormat": "application/x-parquet",
        "includes": data_files(task),
    }


def _record_set(task: PublishedTask) -> dict[str, Any]:
    manifest = task.manifest
    cite = flat(bibtex(manifest.dataset, manifest.source))
    form = {RECIPE: " Recipe: without the images.", MIXED: f" Mixed: {task.images} images."}.get(
        task.publication.form, ""
    )
    return {
        "@type": "cr:RecordSet",
        "@id": task.task,
        "name": task.task,
        "description": f"{manifest.title}: {task.rows} instances.{form} Cite: {cite}",
        "key": {"@id": f"{task.task}/id"},
        "field": _fields(task),
    }


def _fields(task: PublishedTask) -> list[dict[str, Any]]:
    fields = []
    for name in columns_of(task.publication.form):
        kind, meaning = RECIPE_COLUMNS.get(name) or ("string", COLUMNS[name])
        field = _field(task.task, name, meaning, "sc:Text" if kind == "string" else "cr:Int32")
        if name == IMAGE:
            field["dataType"] = "sc:ImageObject"
            field["source"]["transform"] = {"jsonPath": "bytes"}
        if name == OPTIONS:
            field |= {"isArray": True, "arrayShape": "-1"}
        if name == TURNS:
            field = _turns_field(field)
        fields.append(field)
    return fields


def _turns_field(field: dict[str, Any]) -> dict[str, Any]:
    """A list of structs is a repeated field with a subfield a part, and no type or source of its own."""
    parts = []
    for part in Turn._fields:
        source = {**field["source"], "transform": {"jsonPath": part}}
        place = f"{field['@id']}/{part}"
        about = {"@type": "cr:Field", "@id": place, "name": part, "dataType": "sc:Text", "source": source}
        parts.append(about)
    plain = {key: value for key, value in field.items() if key not in ("dataType", "source")}
    return {**plain, "repeated": True, "subField": parts}


def _field(task: str, name: str, meaning: str, data_type: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{task}/{name}",
        "name": name,
        "description": meaning,
        "dataType": data_type,
        "source": {"fileSet": {"@id": f"files/{task}"}, "extract": {"column": name}},
    }
