"""vision-flan: the tasks of Vision-Flan (Xu et al. 2024, arXiv 2402.11690) as source.

    import vision_flan as vf

    vf.tasks(suite="vision_flan")         # ids
    vf.examples("ocr_textocr", n=1)       # instances, from a miniature or from raw files
    vf.compile("ocr_textocr", raw="raw", out="vision-flan")
    vf.load("vision-flan", "ocr_textocr") # a datasets.Dataset

Nothing is imported until it is used. The package mirrors the way of the data: `spec` (what a task is), `raw`
(files as upstream ships them), `readers` (their formats), `records` (rows), `instances` (what a model sees),
`dataset` (a compiled folder), `build` (how it is made), `hub`. docs/design.md describes them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vision_flan.api import compile, examples, load, task, tasks, verify

__version__ = "0.1.0"

__all__ = ["__version__", "compile", "examples", "load", "task", "tasks", "verify"]


def __getattr__(name: str) -> Any:
    """Import `vision_flan.api` when one of its functions is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vision_flan import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
