"""The compiled folder's README.md: `configs` and `dataset_info` of every config, made from the manifests.

Made anew from whatever manifests are there, so configs that were compiled on different days or machines
merge by copying their folders together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vision_flan.columns import COLUMNS, features_yaml
from vision_flan.manifest import Manifest, read_manifests, write_atomically

DEFAULT_CONFIG = "ocr_textocr"


def write_card(folder: Path) -> Path:
    """Write README.md of a compiled folder from its manifests."""
    path = folder / "README.md"
    write_atomically(path, render_card(read_manifests(folder)))
    return path


def render_card(manifests: Mapping[str, Manifest]) -> str:
    """The card's text."""
    front = yaml.safe_dump(front_matter(manifests), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n\n{_body(manifests)}"


def front_matter(manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    """The YAML block that `datasets` and the Hub read."""
    default = DEFAULT_CONFIG if DEFAULT_CONFIG in manifests else next(iter(manifests), None)
    configs = []
    for task, manifest in manifests.items():
        config: dict[str, Any] = {
            "config_name": task,
            "data_files": [{"split": manifest.split, "path": f"{task}/{manifest.split}-*.parquet"}],
        }
        if task == default:
            config["default"] = True
        configs.append(config)
    return {
        "pretty_name": "Vision-Flan",
        "configs": configs,
        "dataset_info": [_info(manifest) for manifest in manifests.values()],
    }


def _info(manifest: Manifest) -> dict[str, Any]:
    return {
        "config_name": manifest.task,
        "features": features_yaml(),
        "splits": [{"name": manifest.split, "num_bytes": manifest.num_bytes, "num_examples": manifest.rows}],
        "download_size": manifest.download_size,
        "dataset_size": manifest.num_bytes,
    }


def _body(manifests: Mapping[str, Manifest]) -> str:
    lines = ["# Vision-Flan", "", "| config | category | source | instances |", "|---|---|---|---:|"]
    lines += [
        f"| `{task}` | {m.category} | [{m.source['title']}]({m.source['homepage']}) | {m.rows:,} |"
        for task, m in manifests.items()
    ]
    lines += ["", "## Columns", ""]
    lines += [f"- `{name}`: {meaning}" for name, meaning in COLUMNS.items()]
    return "\n".join(lines) + "\n"
