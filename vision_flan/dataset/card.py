"""README.md of a compiled folder and of a published dataset, made from the manifests.

It is regenerated from the manifests present, so that configs compiled on different days or machines can be
merged by copying their folders together, and several people can publish to one repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from vision_flan.columns import COLUMNS
from vision_flan.dataset.licenses import PAPER_BIBTEX, by_source, cell, license_name, link, piped, shown
from vision_flan.dataset.manifest import Manifest, readable_manifests, write_atomically
from vision_flan.dataset.publication import (
    MIXED,
    RECIPE,
    RECIPE_COLUMNS,
    WHOLE,
    Publication,
    PublishedTask,
    data_files,
    form_features_yaml,
    license_of,
)
from vision_flan.dataset.sensitive import NOT_FOR_ALL, SENSITIVE, is_not_for_all, kinds_of
from vision_flan.errors import VflanError
from vision_flan.spec.model import CATEGORIES

DEFAULT_CONFIG = "ocr_textocr"
TASK_CATEGORIES = ("image-text-to-text", "visual-question-answering", "image-classification", "image-to-text")
TAGS = ("vision-flan", "visual-instruction-tuning", "instruction-tuning", "multimodal")
#: Upper bounds of the Hub's `size_categories`.
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
GATED_PROMPT = (
    "Each source keeps its own license; see LICENSES.md. By asking for access you agree to follow the "
    "license of every source you use, and not to try to identify people in the images."
)
#: libyaml writes the 187 feature lists ten times faster than the Python dumper, with the same text.
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def write_card(folder: Path) -> Path:
    """Write README.md of a compiled folder from its manifests."""
    refresh_card(folder)
    return folder / "README.md"


def refresh_card(folder: Path) -> list[VflanError]:
    """Write README.md of a compiled folder, if it does not match the manifests.

    Returns:
        The errors of manifests that cannot be read; their configs are left out.
    """
    path = folder / "README.md"
    manifests, broken = readable_manifests(folder)
    text = render_card(manifests)
    try:
        same = path.read_bytes() == text.encode()
    except FileNotFoundError:
        same = False
    if not same:
        write_atomically(path, text)
    return list(broken.values())


def render_card(manifests: Mapping[str, Manifest]) -> str:
    """The card of a folder on disk, all tasks whole."""
    tasks = {
        name: PublishedTask(manifest, Publication(WHOLE, license_of(manifest), "", manifest.shards))
        for name, manifest in manifests.items()
    }
    return _text(front_matter(tasks), _body(tasks, ""))


def render_published_card(
    tasks: Mapping[str, PublishedTask], repo_id: str, *, gated: bool, kept: Mapping[str, Any]
) -> str:
    """The card of a dataset repository.

    Args:
        tasks: everything the repository holds, by task.
        gated: ask readers to accept the terms.
        kept: front matter found there; keys that we do not write are kept.
    """
    front = front_matter(tasks)
    about = {
        "license": "other",
        "license_name": "per-source",
        "license_link": "LICENSES.md",
        "language": sorted(
            {lang for t in tasks.values() for lang in t.manifest.source.get("languages", ["en"])}
        ),
        "task_categories": list(TASK_CATEGORIES),
        "size_categories": [size_category(sum(task.rows for task in tasks.values()))],
        "source_datasets": list(by_source(tasks)),
        "tags": [
            *TAGS,
            *([NOT_FOR_ALL] if any(is_not_for_all(task.manifest) for task in tasks.values()) else []),
        ],
    }
    if gated:
        about["extra_gated_prompt"] = GATED_PROMPT
    ours = {"pretty_name": front["pretty_name"], **about}
    data = {"configs": front["configs"], "dataset_info": front["dataset_info"]}
    others = {key: value for key, value in kept.items() if key not in ours and key not in data}
    return _text({**ours, **others, **data}, _body(tasks, repo_id))


def front_matter_of(card: str) -> dict[str, Any]:
    """The front matter of a card; empty if there is none, or it cannot be parsed."""
    if not card.startswith("---\n") or "\n---\n" not in card[3:]:
        return {}
    try:
        data = yaml.load(card[4 : card.index("\n---\n", 3) + 1], Loader=_Loader)
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}


def front_matter(tasks: Mapping[str, PublishedTask]) -> dict[str, Any]:
    """The part of the YAML block that `datasets` reads."""
    default = default_config(tasks)
    configs = []
    for name, task in tasks.items():
        files = [{"split": task.manifest.split, "path": data_files(task)}]
        config: dict[str, Any] = {"config_name": name, "data_files": files}
        if name == default:
            config["default"] = True
        configs.append(config)
    return {
        "pretty_name": "Vision-Flan",
        "configs": configs,
        "dataset_info": [_info(task) for task in tasks.values()],
    }


def default_config(tasks: Mapping[str, PublishedTask]) -> str | None:
    """The config that `load_dataset` opens by default: TextOCR, or the first that has images."""
    whole = [name for name, task in tasks.items() if task.publication.form == WHOLE]
    if DEFAULT_CONFIG in whole:
        return DEFAULT_CONFIG
    return next(iter(whole), next(iter(tasks), None))


def size_category(rows: int) -> str:
    """The Hub's `size_categories` for a number of rows."""
    return next((name for bound, name in SIZES if rows < bound), "10M<n<100M")


def _info(task: PublishedTask) -> dict[str, Any]:
    manifest, whole = task.manifest, task.publication.form == WHOLE
    download = sum(shard.bytes for shard in task.publication.shards)
    size = manifest.num_bytes if whole else download
    return {
        "config_name": task.task,
        "features": form_features_yaml(task.publication.form),
        "splits": [{"name": manifest.split, "num_bytes": size, "num_examples": task.rows}],
        "download_size": download,
        "dataset_size": size,
    }


def _text(front: Mapping[str, Any], body: str) -> str:
    block = yaml.dump(dict(front), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{block}---\n\n{body}"


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
    environment.filters |= {"cell": cell, "limit": limit_of, "link": link, "piped": piped, "shown": shown}
    environment.filters |= {"license_name": license_name, "images": images}
    return environment.get_template("card.md.j2")


def limit_of(task: PublishedTask) -> str:
    """What its makers say against using a task, in a sentence; "" for nothing."""
    source = task.manifest.source
    use, withdrawn = source.get("use"), source.get("withdrawn")
    parts = []
    if use:
        parts.append(f"training is {use['train']}: {use['reason']}")
    if withdrawn:
        parts.append(f"withdrawn on {withdrawn['date']} by {withdrawn['by']}")
    return "; ".join(parts)


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


def _body(tasks: Mapping[str, PublishedTask], repo_id: str) -> str:
    """The text below the front matter; `repo_id` is empty for a folder on disk."""
    unclear = {name: task for name, task in tasks.items() if images(task).endswith("unclear")}
    sensitive = {
        kind.text: [task for task in tasks.values() if name in kinds_of(task.manifest)]
        for name, kind in SENSITIVE.items()
    }
    order = {category: at for at, category in enumerate(CATEGORIES)}
    categories: dict[str, list[PublishedTask]] = {}
    for task in sorted(tasks.values(), key=lambda t: (order.get(t.manifest.category, len(order)), t.task)):
        categories.setdefault(task.manifest.category, []).append(task)
    default = default_config(tasks)
    return _template().render(
        tasks=tasks,
        categories=categories,
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
        example=tasks[default] if default else None,
    )


def _versions(tasks: Mapping[str, PublishedTask]) -> dict[str, list[str]]:
    """Package -> the versions that the configs were compiled with."""
    found: dict[str, set[str]] = {}
    for task in tasks.values():
        for package, version in task.manifest.versions.items():
            found.setdefault(package, set()).add(str(version))
    return {package: sorted(versions) for package, versions in sorted(found.items())}
