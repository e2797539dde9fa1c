"""The tables of memory and of what GPUs send, in docs/train.md, from the trainer's own step without a GPU.

    python -m tests.benchmarks.train_cost          # writes them, some minutes

`tests/train/test_cost.py` holds that real processes send what is said here, and computes a cell again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from vision_flan.train.collectives import Sent
from vision_flan.train.config import Init
from vision_flan.train.cost import Cost, cost, gib, shape_of
from vision_flan.train.recipe import load

DOCUMENT = Path(__file__).parents[2] / "docs" / "train.md"
GPUS = (1, 4, 8, 16, 64)
#: row of the first table -> recipe, model, what differs
MEMORY = {
    "LLaVA-7B": ("stage1", "7b", ()),
    "LLaVA-13B": ("stage1", "13b", ()),
    "stage 0, 13B": ("stage0", "13b", ()),
    "LoRA, 13B, `train.lora.r=16`": ("stage1", "13b", ("train.lora.r=16",)),
}
WAYS = {
    "`full`": ("parallel.checkpointing=full",),
    "`selective`": ("parallel.checkpointing=selective",),
    "`2`": ("parallel.checkpointing=2",),
    "`none`": ("parallel.checkpointing=none",),
    "`full`, `parallel.replicate=8`": ("parallel.checkpointing=full", "parallel.replicate=8"),
}


Cell = tuple[str, str, tuple[str, ...], int]


def found(cell: Cell) -> Cost:
    """One cell's figures: of a recipe, a model, what differs, and GPUs."""
    recipe, model, changed, gpus = cell
    return cost(load(recipe, changed), shape_of(Init(llm=model)), gpus)


def memory_cells() -> list[Cell]:
    """Of the first table, row by row."""
    return [(*row, gpus) for row in MEMORY.values() for gpus in GPUS]


def memory_table(costs: Mapping[Cell, Cost]) -> str:
    """GiB a GPU, by model and GPUs."""
    lines = [f"| GPUs | {' | '.join(map(str, GPUS))} |", "|---|" + "---|" * len(GPUS)]
    for name, row in MEMORY.items():
        lines.append(f"| {name} | {' | '.join(f'{costs[*row, gpus].peak / 2**30:.0f}' for gpus in GPUS)} |")
    return "\n".join(lines)


def ways_cells() -> dict[str, Cell]:
    """Name of a row of the second table -> what it is of."""
    return {
        f"{model.upper()}, {way} | {gpus}": ("stage1", model, changed, gpus)
        for model in ("7b", "13b")
        for gpus in (8, 64)
        for way, changed in WAYS.items()
        if gpus == 64 or "replicate" not in way
    }


def between_copies(costs: Mapping[Cell, Cost], cell: Cell) -> list[Sent]:
    """The all-reduces of gradients that HSDP adds to those of a few numbers, which every run has."""
    recipe, model, changed, gpus = cell
    flat = (recipe, model, tuple(key for key in changed if "replicate" not in key), gpus)
    all_reduces = [costs[one].sent["all-reduce"] for one in (cell, flat)]
    return [all_reduces[0].plus(all_reduces[1], -1)] if flat != cell else []


def ways_table(costs: Mapping[Cell, Cost]) -> str:
    """What recomputing and copies change, at 8 and 64 GPUs."""
    titles = ["stage 1", "GPUs", "peak", "of it activations", "gathered", "reduced", "between copies"]
    lines = [f"| {' | '.join(titles)} |", "|---|" + "---|" * (len(titles) - 1)]
    for name, cell in ways_cells().items():
        one = costs[cell]
        sent = [one.sent[kind] for kind in ("all-gather", "reduce-scatter")]
        sent += between_copies(costs, cell)
        cells = [gib(one.peak), gib(one.rest), *(f"{part.count} x, {gib(part.bytes)}" for part in sent)]
        cells += [""] * (5 - len(cells))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def replaced(text: str, name: str, table: str) -> str:
    """The document with another table between its marks."""
    marks = f"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    made, count = re.subn(marks, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.DOTALL)
    assert count == 1, name
    return made


if __name__ == "__main__":
    wanted = list(dict.fromkeys([*memory_cells(), *ways_cells().values()]))
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        known = dict(zip(wanted, pool.map(found, wanted), strict=True))
    document = DOCUMENT.read_text(encoding="utf-8")
    document = replaced(document, "memory", memory_table(known))
    document = replaced(document, "ways", ways_table(known))
    DOCUMENT.write_text(document, encoding="utf-8")
