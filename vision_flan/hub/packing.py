"""Packs whole tasks into commits, and files into calls of the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vision_flan.hub.plan import Change, Choices, PublishPlan, Upload

Item = TypeVar("Item", Change, Upload)

#: The Hub asks for fewer than 100 files per commit (huggingface.co/docs/hub/storage-limits); the card and the
#: other documents come on top of these.
FILES_PER_COMMIT = 90
BYTES_PER_COMMIT = 20 * 10**9
#: What one call of the client uploads; progress is shown after each call.
FILES_PER_UPLOAD = 16
BYTES_PER_UPLOAD = 256 * 10**6


@dataclass(frozen=True)
class Limits:
    """The largest commit and the largest call of the client."""

    files_per_commit: int = FILES_PER_COMMIT
    bytes_per_commit: int = BYTES_PER_COMMIT
    files_per_upload: int = FILES_PER_UPLOAD
    bytes_per_upload: int = BYTES_PER_UPLOAD


def groups(changes: Sequence[Change], limits: Limits) -> Iterator[list[Change]]:
    """The tasks of each commit, within the limits."""
    return _packed(changes, lambda change: change.files, limits.files_per_commit, limits.bytes_per_commit)


def batches(uploads: Sequence[Upload], limits: Limits) -> Iterator[list[Upload]]:
    """The files of each call of the client, within the limits."""
    return _packed(uploads, lambda upload: 1, limits.files_per_upload, limits.bytes_per_upload)


def _packed(
    items: Sequence[Item], files_of: Callable[[Item], int], most_files: int, most_bytes: int
) -> Iterator[list[Item]]:
    """Items in order, in lists within both limits; an item above a limit is alone."""
    pack: list[Item] = []
    files = size = 0
    for item in items:
        if pack and (files + files_of(item) > most_files or size + item.bytes > most_bytes):
            yield pack
            pack, files, size = [], 0, 0
        pack.append(item)
        files, size = files + files_of(item), size + item.bytes
    if pack:
        yield pack


def commits_of(plan: PublishPlan, choices: Choices, limits: Limits | None = None) -> int:
    """How many commits a plan takes if none has to be split."""
    tasks = len(list(groups(plan.to_do, limits or Limits())))
    texts = not tasks and bool(plan.changed_documents)
    changelog_entry = bool(choices.tag) and choices.tag not in plan.remote.tags
    return tasks + (texts or changelog_entry)
