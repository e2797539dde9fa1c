"""The catalog of the site: a page per category with an image, prompt and answer of every task, a page of all
categories, and the page of `vflan preview`, which filters.

All of it is drawn from miniatures when the site is built. Texts of specs and instances are data, and escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from vision_flan.errors import VflanError
from vision_flan.report import Silent
from vision_flan.review.preview import Source, collect, page
from vision_flan.review.shown import Sample, Shown, TaskShown
from vision_flan.review.thumbnails import SMALL
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import CATEGORIES

#: Instances of a task on the page that filters; the catalog shows the first with an image.
INSTANCES = 6
#: Instances asked of a miniature when that many give none.
LARGER = 100
SEED = 0

#: Whoever searches for a task wants its entry before pages that mention it.
_FIRST = "---\nsearch:\n  boost: 4\n---\n\n"
_DATA_URI = re.compile(r"data:image/(\w+);base64,(.*)", re.DOTALL)
#: Characters above which a text of the catalog scrolls.
_LONG = 600

_INTRO = """\
# Catalog of tasks

{count} tasks in {categories} categories, each with an instance of its miniature: records in upstream's
formats, images that were drawn, not taken. The search above finds tasks by name, dataset and text.
[All tasks on one page](all-tasks.html) shows {instances} instances of each, with filters by category,
dataset, form and license, the spec and the instruction.

"""


def write_catalog(pages: Path, tasks: Sequence[str] = ()) -> None:
    """Write `tasks.md`, `tasks/` and `all-tasks.html`, of all tasks or of those named.

    Raises:
        VflanError: a task has nothing to show.
    """
    catalog = Catalog.default()
    names = list(tasks or catalog.task_files)
    shown = [_with_image(task, catalog) for task in _collected(catalog, names, INSTANCES)]
    (pages / "all-tasks.html").write_text(page("All tasks", shown, SEED), "utf-8")
    write_pages(pages, shown, catalog)


def _collected(catalog: Catalog, names: Sequence[str], n: int) -> list[TaskShown]:
    return list(collect(catalog, names, Source(), Sample(n, SEED, SMALL), Silent()))


def _with_image(task: TaskShown, catalog: Catalog) -> TaskShown:
    """The task, from a larger miniature if this one has no instance: a class may be rare."""
    if task.instances:
        return task
    (task,) = _collected(catalog, [task.task], LARGER)
    task.instances = task.instances[:INSTANCES]
    if not task.instances:
        raise VflanError(f"{task.task} has nothing to show: {task.error or 'no instance'}")
    return task


def write_pages(pages: Path, tasks: Sequence[TaskShown], catalog: Catalog) -> None:
    """Write the pages of the catalog and their images."""
    (pages / "tasks" / "images").mkdir(parents=True)
    by_category: dict[str, list[TaskShown]] = {}
    for task in sorted(tasks, key=lambda task: task.task):
        by_category.setdefault(catalog.task(task.task).category, []).append(task)
    order = [name for name in CATEGORIES if name in by_category]
    order += sorted(by_category.keys() - set(CATEGORIES))
    intro = _INTRO.format(count=len(tasks), categories=len(order), instances=INSTANCES)
    cards = []
    for category in order:
        slug = re.sub(r"\W+", "-", category.lower()).strip("-")
        members = by_category[category]
        sections = [_section(pages, task, catalog) for task in members]
        head = f"{_FIRST}# {_text(category)}\n\n[All categories](../tasks.md)\n"
        (pages / "tasks" / f"{slug}.md").write_text("\n".join([head, *sections]), "utf-8")
        image = _image_file(members[0])
        number = f"{len(members)} task{'s' if len(members) > 1 else ''}"
        cards.append(
            f'<a href="tasks/{slug}.html"><img src="tasks/images/{image}" alt="" loading="lazy">'
            f"<strong>{escape(category)}</strong>{number}</a>"
        )
    grid = f'<div class="categories">{"".join(cards)}</div>\n'
    (pages / "tasks.md").write_text(intro + grid, "utf-8")


def _section(pages: Path, task: TaskShown, catalog: Catalog) -> str:
    spec = catalog.task(task.task)
    instance = _chosen(task)
    match = _DATA_URI.fullmatch(instance.image)
    assert match, f"{task.task}: no image"
    name = _image_file(task)
    (pages / "tasks" / "images" / name).write_bytes(base64.b64decode(match[2]))
    license = catalog.dataset_of(spec).license.images
    rows = [
        ("Title", spec.title),
        ("Prompt", instance.text["prompt"]),
        ("Answer", instance.text["target"]),
        ("Form", spec.form),
        ("Dataset", f"{catalog.dataset_of(spec).title} ({spec.dataset})"),
        ("License of the images", f"{license.name}; may be passed on: {license.verdict}"),
        *([("Name in the published release", spec.alias)] if spec.alias else []),
    ]
    listed = "".join(_row(key, value) for key, value in rows)
    figure = f'<figure><img src="images/{name}" alt="The image of this instance" loading="lazy"></figure>'
    return f'## `{task.task}`\n\n<div class="task">{figure}<dl>{listed}</dl></div>\n'


def _row(key: str, value: str) -> str:
    scrolls = ' class="long" tabindex="0"' if len(value) > _LONG else ""
    text = escape(value).replace("\n", "&#10;")  # an empty line would end the block
    return f"<dt>{key}</dt> <dd{scrolls}>{text}</dd> "  # without the spaces, search reads one word


def _chosen(task: TaskShown) -> Shown:
    return next((one for one in task.instances if one.image), task.instances[0])


def _image_file(task: TaskShown) -> str:
    match = _DATA_URI.fullmatch(_chosen(task).image)
    return f"{task.task}.{match[1] if match else 'png'}"


def _text(text: str) -> str:
    """Text of a spec as Markdown text."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|-])", r"\\\1", escape(text))
