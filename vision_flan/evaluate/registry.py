"""Every benchmark by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vision_flan.errors import VflanError
from vision_flan.evaluate import forgetting, llava_bench, mm_vet, mmbench, mme, mmmu, pope, textocr, wit
from vision_flan.evaluate.request import Request
from vision_flan.evaluate.values import Score

BENCHMARKS: dict[str, Callable[[Request], Score]] = {
    "mme": mme.run,
    "pope": pope.run,
    "mmbench": mmbench.run,
    "mmmu": mmmu.run,
    "mm_vet": mm_vet.run,
    "llava_bench": llava_bench.run,
    "cf": forgetting.run,
    "textocr": textocr.run,
    "wit": wit.run,
    "yes_ratio": pope.run_yes_ratio,
}

#: Those whose protocol has a language model decide; elsewhere a judge is refused.
JUDGED = ("mmbench", "mm_vet", "llava_bench", "cf")


def score(name: str, request: Request) -> Score:
    """The score of a benchmark.

    Raises:
        VflanError: there is no such benchmark, or the answers cannot be scored.
    """
    if name not in BENCHMARKS:
        raise VflanError(f"no benchmark {name!r}", hint=f"one of {', '.join(BENCHMARKS)}")
    if request.judge is not None and name not in JUDGED:
        raise VflanError(f"{name} is scored without a judge", hint="leave --judge out")
    if not request.path.exists():
        raise VflanError("no such file or folder", where=request.where)
    found = BENCHMARKS[name](request)
    if not request.partial:
        return found
    return replace(found, notes=("--partial: perhaps not the whole benchmark", *found.notes))
