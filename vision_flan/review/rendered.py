"""Instances of every task, rendered from miniatures for the lints: text only, one process per dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vision_flan import children
from vision_flan.build.open_task import OpenTask, open_task
from vision_flan.errors import VflanError
from vision_flan.instances.maker import Text
from vision_flan.miniatures import registry
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.roots import Root

#: Records of a miniature, and seeds over which option letters are counted.
RECORDS, SEEDS = 30, 8

_LETTER = re.compile(r"\(([A-Z])\) ")


@dataclass(frozen=True)
class RenderedTask:
    """What a task yields from its miniature.

    Attributes:
        texts: instances of seed 0.
        letters: number of options -> how often each letter was right, over `SEEDS` seeds.
        dropped: reason -> records.
        error: what stopped it; the others are empty then.
    """

    task: str
    texts: list[Text] = field(default_factory=list)
    letters: Mapping[int, Counter[str]] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    error: VflanError | None = None

    @property
    def answers(self) -> list[str]:
        """Targets without the letters of their options."""
        return [answer_of(text) for text in self.texts]


def answer_of(text: Text) -> str:
    """A target without the letter of its option."""
    return _LETTER.sub("", text.target, count=1) if text.options else text.target


def render_miniatures(
    catalog: Catalog, tasks: Iterable[str], report: Reporter, workers: int = 2
) -> Iterator[RenderedTask]:
    """Render tasks whose dataset has a miniature; others are skipped."""
    known = set(registry.available(catalog))
    by_dataset: dict[str, list[str]] = {}
    for task in tasks:
        by_dataset.setdefault(catalog.task_files[task].parent.name, []).append(task)
    jobs = [(dataset, names) for dataset, names in sorted(by_dataset.items()) if dataset in known]
    if jobs:
        report.stage("rendering miniatures", sum(len(names) for _, names in jobs))
    if len(jobs) < 2:
        for dataset, names in jobs:
            yield from _advanced(_render_dataset(catalog.roots, dataset, names), report)
        return
    with children.pool(workers) as pool:
        futures = [pool.submit(_render_dataset, catalog.roots, dataset, names) for dataset, names in jobs]
        for future in futures:
            yield from _advanced(future.result(), report)


def _advanced(rendered: list[RenderedTask], report: Reporter) -> list[RenderedTask]:
    report.advance(len(rendered))
    return rendered


def _render_dataset(roots: Sequence[Root], dataset: str, tasks: list[str]) -> list[RenderedTask]:
    catalog = Catalog.of(roots)
    try:
        with registry.temporary(dataset, RECORDS, seed=1, catalog=catalog) as raw:
            return [_render_task(task, raw, catalog) for task in tasks]
    except VflanError as error:
        return [RenderedTask(task, error=error) for task in tasks]


def _render_task(task: str, raw: Path, catalog: Catalog) -> RenderedTask:
    try:
        with open_task(task, raw, catalog) as opened:
            texts, dropped = [], Counter(opened.candidates.dropped)
            for _, text in opened.texts(RECORDS, seed=0):
                if isinstance(text, Text):
                    texts.append(text)
                else:
                    dropped[text.reason] += 1
            letters = _letters(opened) if texts and _LETTER.match(texts[0].target) else {}
            return RenderedTask(task, texts, letters, dropped)
    except VflanError as error:
        return RenderedTask(task, error=error)


def _letters(opened: OpenTask) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {}
    for seed in range(SEEDS):
        for _, text in opened.texts(RECORDS, seed):
            letter = _LETTER.match(text.target) if isinstance(text, Text) else None
            if isinstance(text, Text) and letter:
                found.setdefault(len(text.options), Counter())[letter.group(1)] += 1
    return found
