"""Miniatures of many datasets, in processes: for builds of a whole suite without the data.

A dataset is made in one piece. Those that others borrow images from come first, so that nobody writes into a
folder that is being made. What is there already, with the same number and seed, is left alone; what a stopped
run left unfinished is written again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from vision_flan import children
from vision_flan.errors import VflanError
from vision_flan.miniatures import registry
from vision_flan.miniatures.miniature import is_made
from vision_flan.spec.catalog import Catalog


@dataclass(frozen=True)
class Order:
    """A miniature to make; see `registry.make`."""

    dataset: str
    root: Path
    n: int
    seed: int
    archives: bool = False
    images: bool = True


@dataclass(frozen=True)
class Made:
    """What became of an order.

    Attributes:
        records: lines of truth, which is what tasks are expected to read; 0 if it was there already.
        seconds: that it took.
        error: why it was not made.
    """

    dataset: str
    tasks: tuple[str, ...] = ()
    records: int = 0
    seconds: float = 0.0
    error: VflanError | None = None


def make_many(orders: Sequence[Order], catalog: Catalog, jobs: int) -> Iterator[Made]:
    """Make miniatures, `jobs` at a time, in the order in which they are finished.

    One that fails does not stop the others.
    """
    borrows = {
        slug: catalog.dataset(slug).borrows
        for slug in (order.dataset for order in orders)
        if slug in catalog.dataset_files
    }
    lenders = {lender for slugs in borrows.values() for lender in slugs}
    first = [order for order in orders if order.dataset in lenders]
    then = [order for order in orders if order.dataset not in lenders]
    roots = (catalog.specs, catalog.instructions)
    with children.pool(jobs) as pool:
        for phase in (first, then):
            try:
                futures = [pool.submit(_make, order, roots) for order in phase]
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def _make(order: Order, roots: tuple[Path, Path]) -> Made:
    began = time.monotonic()
    facts = {"archives": order.archives, "images": order.images}
    if is_made(order.root, order.dataset, order.n, order.seed, **facts):
        return Made(order.dataset)
    try:
        mini = registry.make(
            order.dataset, order.root, order.n, order.seed, **facts, catalog=Catalog(*roots), resume=True
        )
    except VflanError as error:
        return Made(order.dataset, error=error)
    return Made(order.dataset, tuple(mini.tasks), mini.records, time.monotonic() - began)
