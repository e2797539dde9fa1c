"""Several datasets at once: what is to download, what fits a budget, and parallel downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass

from vision_flan.errors import VflanError
from vision_flan.raw.fetch import Action, Step, download, plan, total_bytes
from vision_flan.raw.roots import RawPlaces
from vision_flan.raw.terms import Terms
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DatasetSpec


@dataclass(frozen=True)
class DatasetPlan:
    """What happens to the files of one dataset."""

    dataset: DatasetSpec
    steps: Sequence[Step]

    def of(self, *actions: Action) -> list[Step]:
        """The steps with these actions."""
        return [step for step in self.steps if step.action in actions]

    @property
    def bytes_left(self) -> int:
        """Bytes still to download, of files whose size is known."""
        return total_bytes(self.steps)


def plan_datasets(slugs: Sequence[str], raw: RawPlaces, catalog: Catalog) -> list[DatasetPlan]:
    """Decide about the files of datasets, and of those that they borrow images from.

    A file that is there is compared by its size and first bytes only: for the checksums of a suite a terabyte
    would be read. `plan` for one dataset compares them.

    Raises:
        SpecError: a path or URL that cannot be used.
        BadRawError: a folder is a link that leads out.
    """
    wanted = dict.fromkeys(slugs)
    for slug in slugs:
        borrows = catalog.dataset(slug).borrows
        wanted |= dict.fromkeys(other for other in borrows if other in catalog.dataset_files)
    datasets = [catalog.dataset(slug) for slug in wanted]
    return [DatasetPlan(dataset, plan(dataset, raw, checksums=False)) for dataset in datasets]


def within(plans: Sequence[DatasetPlan], most: int | None) -> tuple[list[DatasetPlan], list[DatasetPlan]]:
    """The datasets whose downloads fit into a number of bytes together, the smallest first; and the others.

    The smallest come first so that as many datasets as possible become complete.
    """
    chosen: list[DatasetPlan] = []
    left_out: list[DatasetPlan] = []
    total = 0
    for one in sorted(plans, key=lambda one: one.bytes_left):
        fits = most is None or not one.bytes_left or total + one.bytes_left <= most
        (chosen if fits else left_out).append(one)
        total += one.bytes_left if fits else 0
    return chosen, left_out


def download_all(
    steps: Sequence[Step],
    jobs: int,
    reporters: Callable[[Step], AbstractContextManager[Reporter]],
    terms: Terms | None = None,
) -> Iterator[tuple[Step, VflanError | None]]:
    """Download files in parallel, in the order in which they finish. One failure does not stop the others.

    What is not started is given up when the caller stops; what came of a file stays for the next run.

    Args:
        jobs: files at one time.
        reporters: makes the reporter of a file.
        terms: for all files together; None for those of the environment.
    """

    terms = terms or Terms.of()

    def bring(step: Step) -> VflanError | None:
        try:
            with reporters(step) as report:
                download(step, report, terms)
        except VflanError as error:
            return error
        return None

    pool = ThreadPoolExecutor(jobs)
    futures: dict[Future[VflanError | None], Step] = {pool.submit(bring, step): step for step in steps}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
