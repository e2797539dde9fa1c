"""The YAML block of a card: what `datasets` loads, and what the Hub shows and searches.

It is parsed at every load, by every user, so it holds only what carries weight: where a config's files are,
and the sizes and counts that `datasets` checks. Features come from the Parquet files themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vision_flan.dataset.licenses import by_source
from vision_flan.dataset.publication import WHOLE, PublishedTask, data_files
from vision_flan.dataset.sensitive import NOT_FOR_ALL, is_not_for_all
from vision_flan.errors import SpecError
from vision_flan.spec.files import MAX_BYTES
from vision_flan.spec.text import parse_yaml

#: The config of all whole tasks; no task may have its name (vision_flan/spec/task.schema.json).
ALL = "all"
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
#: The key of our own: whom to write to, as given with the last `--contact`.
CONTACT = "contact"
#: Keys whose value follows from the tasks; any other that a person wrote on the Hub is kept.
_COMPUTED = frozenset({"configs", "dataset_info", "size_categories", "source_datasets"})
#: Lists to which a person may have added.
_MERGED = frozenset({"language", "task_categories", "tags"})

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def loadable(tasks: Mapping[str, PublishedTask]) -> dict[str, Any]:
    """The part that `datasets` reads: a config a task and, by default, `all` whole tasks together."""
    whole = [task for task in tasks.values() if task.publication.form == WHOLE]
    configs = [_config(task.task, {task.manifest.split: data_files(task)}) for task in tasks.values()]
    infos = [_info(task.task, [task]) for task in tasks.values()]
    if whole:
        # a pattern, not a list: recipes lie one folder deeper
        patterns = {split: f"*/{split}-*.parquet" for split in sorted({t.manifest.split for t in whole})}
        configs.insert(0, {**_config(ALL, patterns), "default": True})
        infos.insert(0, _info(ALL, whole))
    elif configs:
        configs[0]["default"] = True
    return {"configs": configs, "dataset_info": infos}


def of_repository(
    tasks: Mapping[str, PublishedTask], repo_id: str, *, gated: bool, kept: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole block of a dataset repository.

    Args:
        kept: the block found there. Lists are joined, other keys and changed values are kept.
    """
    ours: dict[str, Any] = {
        "pretty_name": "Vision-Flan",
        "license": "other",
        "license_name": "per-source",
        "license_link": f"https://huggingface.co/datasets/{repo_id}/blob/main/LICENSES.md",
        "language": sorted(
            {lang for t in tasks.values() for lang in t.manifest.source.get("languages", ["en"])}
        ),
        "task_categories": list(TASK_CATEGORIES),
        "size_categories": [size_category(sum(task.rows for task in tasks.values()))],
        "source_datasets": list(by_source(tasks)),
        "tags": [*TAGS, *([NOT_FOR_ALL] if any(is_not_for_all(t.manifest) for t in tasks.values()) else [])],
    }
    if gated:
        ours["extra_gated_prompt"] = GATED_PROMPT
    data = loadable(tasks)
    joined = {key: _joined(key, value, kept) for key, value in ours.items()}
    others = {key: value for key, value in kept.items() if key not in joined and key not in data}
    return {**joined, **others, **data}


def _joined(key: str, ours: Any, kept: Mapping[str, Any]) -> Any:
    theirs = kept.get(key)
    if key in _COMPUTED or theirs is None:
        return ours
    if key not in _MERGED:
        return theirs
    return list(dict.fromkeys([*ours, *(theirs if isinstance(theirs, list) else [theirs])]))


def parsed(card: str) -> dict[str, Any]:
    """The block of a card, found as the Hub's client finds it; empty if there is none.

    Raises:
        ValueError: it is not a YAML mapping of plain data, as specs are.
    """
    from huggingface_hub.repocard import REGEX_YAML_BLOCK  # a compile need not load the client

    found = REGEX_YAML_BLOCK.search(card)
    if not found:
        return {}
    if len(found[2]) > MAX_BYTES:
        raise ValueError(f"the front matter has {len(found[2]):,} characters; the limit is {MAX_BYTES:,}")
    try:
        data = parse_yaml(found[2], Path("README.md")).data
    except SpecError as error:
        line = f", line {error.where.line + 1}" if error.where else ""
        raise ValueError(f"the front matter is not YAML{line} ({error.what})"[:300]) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValueError("the front matter is not a mapping of keys to values")  # noqa: TRY004
    for key in sorted(_MERGED & data.keys()):
        value = data[key]
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{key!r} in the front matter is not a list of texts")
    return data


def as_text(front: Mapping[str, Any]) -> str:
    """The block as it stands in a card."""
    block = yaml.dump(dict(front), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{block}---\n"


def size_category(rows: int) -> str:
    """The Hub's `size_categories` for a number of rows."""
    return next((name for bound, name in SIZES if rows < bound), "10M<n<100M")


def _config(name: str, patterns: Mapping[str, str]) -> dict[str, Any]:
    files = [{"split": split, "path": path} for split, path in patterns.items()]
    return {"config_name": name, "data_files": files}


def _info(name: str, tasks: Sequence[PublishedTask]) -> dict[str, Any]:
    splits: dict[str, list[PublishedTask]] = {}
    for task in tasks:
        splits.setdefault(task.manifest.split, []).append(task)
    return {
        "config_name": name,
        "splits": [
            {
                "name": split,
                "num_bytes": sum(map(_size, members)),
                "num_examples": sum(task.rows for task in members),
            }
            for split, members in sorted(splits.items())
        ],
        "download_size": sum(map(download_size, tasks)),
        "dataset_size": sum(map(_size, tasks)),
    }


def download_size(task: PublishedTask) -> int:
    """Bytes of a task's files in the repository."""
    return sum(shard.bytes for shard in task.publication.shards)


def _size(task: PublishedTask) -> int:
    """Bytes in memory."""
    return task.manifest.num_bytes if task.publication.form == WHOLE else download_size(task)
