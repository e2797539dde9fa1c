"""`vflan verify`: a compiled folder against its manifests, its card included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vision_flan.dataset import manifest
from vision_flan.dataset.card import CARD, is_current
from vision_flan.dataset.manifest import Problem, Verification, readable_manifests


def verify(folder: Path, tasks: list[str] | None = None) -> Iterator[tuple[int, Verification]]:
    """Check shards and manifests, as `manifest.verify`, and that README.md is what the manifests say.

    A folder into which configs were copied has a README.md that does not name them, so `load_dataset` does
    not see them.

    Args:
        folder: a compiled folder.
        tasks: only these; README.md is checked in any case.

    Yields:
        (bytes read since the last item, the verification so far); the last item is complete.
    """
    result = Verification()
    for size, state in manifest.verify(folder, tasks):
        result = state
        yield size, result
    manifests, _ = readable_manifests(folder)
    if manifests and not is_current(folder, manifests):
        message = f"is not what the manifests say; `vflan card {folder}` writes it again"
        result.problems.append(Problem("", CARD, message))
        yield 0, result
