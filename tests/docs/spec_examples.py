"""docs/examples.md, and the shipped specs that docs/spec.md shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import vision_flan as vf
from vision_flan.records.tables import task_sources
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.files import read_text
from vision_flan.spec.model import DatasetSpec, TaskSpec

#: The tasks of docs/examples.md, and what each is an example of.
EXAMPLES = {
    "ocr_textocr": "An annotation file with two objects keyed by id; words are grouped by image and put in "
    "reading order.",
    "vqa_clevr_matching": "Questions are grouped by image in a view; distinct answers are shuffled, and the "
    "target names their positions.",
    "dialogue_visdial_medium": "Rounds are indices into tables that all dialogues share, and an image lies "
    "in either of two folders of another dataset.",
    "matching_coco_selection": "Wrong options are captions of other images.",
    "matching_vqav2_question": "Half of the questions come from another image.",
    "object_coco_kitchen": "A view keeps images with one class of a group, so that one option is right.",
    "quality_imagenet_c_fine": "The label is part of the path, and options are sampled from a label table.",
    "vehicle_cars": "A MATLAB struct array is joined to a cell of names by an index that counts from 1.",
    "object_stl10": "One binary file holds the images column by column, another the labels.",
    "reasoning_raven": "Sixteen arrays of an .npz file become one image with captions.",
    "human_hico": "The columns of a matrix are images, its rows actions.",
    "script_wikihow_next_step": "Earlier steps are the context, the next one is the target.",
}

_HEAD = """\
# Shipped tasks as examples

Made by `make docs` from the specs and instructions of this checkout. Each task is shown with the tables and
views of its dataset.yaml that it reads, its instruction, and an instance of its miniature, which
`vf.examples(TASK, n=1)` gives. Label tables are left out. [spec.md](spec.md) explains the keys.
"""
_INCLUDE = re.compile(
    r"(<!-- from (?P<source>[\w./]+)(?: (?P<kind>tables|views) (?P<name>\w+))? -->\n```yaml\n)(.*?)(^```)",
    re.MULTILINE | re.DOTALL,
)


def examples_document(catalog: Catalog) -> str:
    """All examples."""
    return "\n".join([_HEAD, *(_section(name, about, catalog) for name, about in EXAMPLES.items())])


def _section(name: str, about: str, catalog: Catalog) -> str:
    task = catalog.task(name)
    (row,) = vf.examples(name, n=1)
    instruction = read_text(catalog.instruction_file(name)).strip()
    parts = [
        f"## {name}\n\n{about}\n",
        f"{_label(task.document.path, catalog)}\n\n{_fenced(_task(task), 'yaml')}",
        f"{_label(catalog.dataset_of(task).document.path, catalog)}, in part\n\n"
        f"{_fenced(_used(task, catalog), 'yaml')}",
        f"`instructions/{name}.j2`\n\n{_fenced(instruction, 'jinja')}",
        f"Prompt and target\n\n{_fenced(row['prompt'], 'text')}\n{_fenced(row['target'], 'text')}",
    ]
    return "\n".join(parts)


def _label(path: Path, catalog: Catalog) -> str:
    return f"`{path.relative_to(catalog.specs.parent).as_posix()}`"


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def _task(task: TaskSpec) -> str:
    """The file without the line that names its schema."""
    lines = read_text(task.document.path).splitlines()
    return "\n".join(line for line in lines if not line.startswith("# yaml-language-server"))


def _used(task: TaskSpec, catalog: Catalog) -> str:
    """The tables and views that a task reads, as dataset.yaml writes them."""
    sources = task_sources(task, catalog)
    parts = ["tables:", *_entries(sources.dataset, "tables", sources.readers)]
    if sources.views:
        parts += ["views:", *_entries(sources.dataset, "views", sources.views)]
    return "\n".join(parts)


def _entries(dataset: DatasetSpec, kind: str, names: Iterable[str]) -> list[str]:
    """Entries in the file's order, each with the comments above it."""
    lines = read_text(dataset.document.path).splitlines()
    found = []
    for start in sorted(dataset.document.place(kind, name).line - 1 for name in names):
        indent = _indent(lines[start])
        first, end = start, start + 1
        while lines[first - 1].startswith(f"{' ' * indent}#"):
            first -= 1
        while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
            end += 1
        found.append("\n".join(lines[first:end]))
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def with_shipped_specs(document: str, catalog: Catalog) -> str:
    """A document whose blocks below `<!-- from FILE [tables|views NAME] -->` show what ships now."""

    def renewed(match: re.Match[str]) -> str:
        source = Path(match["source"])
        if match["kind"]:
            dataset = catalog.dataset(source.parent.name)
            text = "\n".join([f"{match['kind']}:", *_entries(dataset, match["kind"], [match["name"]])])
        else:
            text = _task(catalog.task(source.stem))
        return f"{match[1]}{text}\n{match[6]}"

    return _INCLUDE.sub(renewed, document)
